"""How fast the parser's C is by itself, on a browser's request of 700 bytes, with all of its checks.

Compiles what `make build` left of Cython's output together with `parser.c`, as the extension is
compiled, and once more without SSE2, as on other processors. Prints gigabytes a second of the
processor's time, the median and the best of several rounds, and by callgrind, where valgrind is
installed, instructions a byte: what another program on the machine cannot change.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.programs import FOLDER, ROOT
from bench.workloads import browser_get

ABOUT = "gigabytes a second of the parser's C by itself"
GENERATED = ROOT / "build" / "cython" / "fastwsgi" / "_parser.c"
COMPILE = ("gcc", "-O3", "-fno-strict-aliasing", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2")
LINK = ("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
VARIANTS = {"as built": (), "without SSE2": ("-U__SSE2__",)}
SIZE = 700
HEADS = 64  # no two alike, so that no branch is learned by heart


def browser_head(number: int) -> bytes:
    """A browser's GET of SIZE bytes."""
    head = (
        browser_get(number)[:-2] + b"Sec-Fetch-User: ?1\r\nReferer: https://shop.bench.example/?q="
    )
    return head + b"q" * (SIZE - len(head) - 4) + b"\r\n\r\n"


def compile_program(program: Path, flags: Sequence[str]) -> None:
    """Raises subprocess.CalledProcessError."""
    include = sysconfig.get_paths()["include"]
    sources = [f'-DGENERATED="{GENERATED}"', "-isystem", include, str(FOLDER / "parser.c")]
    subprocess.run([*COMPILE, *flags, *LINK, *sources, "-o", str(program)], check=True)


def rates(program: Path, heads: Path, rounds: int, times: int) -> list[float]:
    """Bytes a nanosecond of each round."""
    words = [program, heads, str(rounds), str(times)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    pairs = (map(int, line.split()) for line in done.stdout.splitlines())
    return [size / nanoseconds for nanoseconds, size in pairs]


def instructions(program: Path, heads: Path) -> float:
    """Instructions a byte, without those of the program's start."""
    few, many = (collected([str(program), str(heads), "1", str(times)]) for times in (10, 20))
    return (many - few) / (10 * HEADS * SIZE)


def collected(command: Sequence[str]) -> int:
    valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command)
    done = subprocess.run(valgrind, capture_output=True, text=True, check=True)
    return int(done.stderr.partition("Collected : ")[2].split()[0])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument(
        "--times", type=int, default=500, help=f"a round parses {HEADS} heads (500)"
    )


def main(options: argparse.Namespace) -> int:
    """Exit code 2 where there is no C of Cython's."""
    if not GENERATED.exists():
        print("the parser was not built here: make build", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        heads = Path(name, "heads")
        heads.write_bytes(b"".join(map(browser_head, range(10_000, 10_000 + HEADS))))
        for variant, flags in VARIANTS.items():
            program = Path(name, "parser")
            compile_program(program, flags)
            found = rates(program, heads, options.rounds, options.times)
            line = f"{variant:14}{statistics.median(found):6.2f} GB/s, at best {max(found):.2f}"
            if shutil.which("valgrind"):
                line += f"; {instructions(program, heads):.2f} instructions a byte"
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
