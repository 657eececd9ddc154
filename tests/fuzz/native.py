"""The parser's C under libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer.

A harness is one C file that includes what Cython made of _parser.pyx. Inputs that were worth keeping
stay in build/fuzz/corpus, so each run begins where the last one ended.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.differential.grammar import TRAPS
from tests.fuzz.results import BUILD, REGRESSIONS, ROOT, Budget, CannotRun, Result, Say
from tests.fuzz.seeds import LONGEST, SEEDS

HARNESSES: Final = Path(__file__).parent / "harness"
GENERATED: Final = ROOT / "build" / "cython" / "fastwsgi" / "_parser.c"
SANITIZERS: Final = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
COMPILE: Final = ("-O2", "-g", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-unused-function")
# Nothing of Python is linked. What the parser would use of it has the address zero.
LINK: Final = ("-no-pie", "-Wl,--unresolved-symbols=ignore-all", "-Wl,--no-warnings")
ENVIRONMENT: Final = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
STATISTIC: Final = re.compile(r"^stat::(\w+): +(\d+)$", re.MULTILINE)
PULSE: Final = re.compile(r"^#\d+\s+pulse")
INPUT_SECONDS: Final = 10  # that one input may take


@dataclass(frozen=True)
class Native:
    """One harness and how it is compiled; `harness` is the file and names the seeds."""

    name: str
    harness: str
    flags: tuple[str, ...] = ()

    def fuzz(self, budget: Budget, say: Say) -> Result:
        """Runs it for the budget. Raises CannotRun."""
        program = compiled(self.harness, self.flags, BUILD / "bin" / self.name)
        corpus, artifacts = BUILD / "corpus" / self.name, BUILD / "findings" / self.name
        corpus.mkdir(parents=True, exist_ok=True)
        artifacts.mkdir(parents=True, exist_ok=True)
        seeds = BUILD / "seeds" / self.harness
        write_inputs(seeds, SEEDS[self.harness]())
        command = [
            *(str(program), f"-max_total_time={max(1, round(budget.seconds))}"),
            *("-print_final_stats=1", f"-max_len={LONGEST}", f"-timeout={INPUT_SECONDS}"),
            *(f"-artifact_prefix={artifacts}/", f"-dict={dictionary()}"),
            *([f"-runs={budget.executions}"] if budget.executions is not None else []),
            *(str(corpus), str(seeds), *map(str, regressions(self.harness))),
        ]
        begin = time.monotonic()
        output = followed(command, say)
        found = dict(STATISTIC.findall(output))
        return Result(
            self.name,
            int(found.get("number_of_executed_units", 0)),
            int(found.get("parses", 0)),
            time.monotonic() - begin,
            re.findall(r"Test unit written to (\S+)", output) or complaint(found, output),
        )


NATIVE: Final = (
    Native("head", "head"),
    Native("head-portable", "head", ("-U__SSE2__",)),  # as on other processors
    Native("chunks", "chunks"),
    Native("target", "target"),
)


def clang() -> str:
    """The compiler: clang, or the newest one with a version in its name. Raises CannotRun."""
    versioned = (
        (int(match[1]), str(path))
        for folder in os.get_exec_path()
        for path in Path(folder).glob("clang-*")
        if (match := re.fullmatch(r"clang-(\d+)", path.name))
    )
    found = shutil.which("clang") or max(versioned, default=(0, ""))[1]
    if not found:
        raise CannotRun("clang is not installed (Debian: clang libclang-rt-dev)")
    return found


def generated() -> Path:
    """What Cython made of the parser. Raises CannotRun where it was not built here."""
    if not GENERATED.exists():
        raise CannotRun(f"{GENERATED.relative_to(ROOT)} is not there (make build)")
    return GENERATED


def compiled(harness: str, flags: Iterable[str], program: Path) -> Path:
    """The harness as a program, compiled where it is older than its sources. Raises CannotRun."""
    source = HARNESSES / f"{harness}.c"
    made_of = [source, *HARNESSES.glob("*.h"), generated(), Path(__file__)]
    if program.exists() and program.stat().st_mtime > max(p.stat().st_mtime for p in made_of):
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(clang(), *COMPILE, *SANITIZERS, *flags, f'-DGENERATED="{generated()}"'),
        *("-isystem", sysconfig.get_paths()["include"]),
        *(str(source), "-o", str(program), *LINK),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line or "cannot" in line]
        raise CannotRun(f"{command[0]}: {(errors or ['failed'])[0]} (Debian: libclang-rt-dev)")
    return program


def write_inputs(folder: Path, inputs: Iterable[bytes]) -> None:
    """Each input as a file that is named by what it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def dictionary() -> Path:
    """The bytes that parsers have disagreed about, in libFuzzer's form."""
    path = BUILD / "traps.dict"
    escaped = ("".join(rf"\x{byte:02x}" for byte in trap) for trap in TRAPS)
    path.write_text("".join(f'"{text}"\n' for text in escaped))
    return path


def regressions(target: str) -> list[Path]:
    """The folder of the inputs kept for a target, where there is one."""
    return [folder for folder in [REGRESSIONS / target] if folder.is_dir()]


def followed(command: list[str], say: Say) -> str:
    """Runs the command and passes on what libFuzzer says of its progress; returns all it said."""
    lines = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT},
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if PULSE.match(line):
                say(line.strip())
            elif not line.startswith("#"):
                lines.append(line)
    return "".join([*lines, f"exit code {process.returncode}"])


def complaint(found: dict[str, str], output: str) -> list[str]:
    """A run that ended badly without naming an input is a finding, too."""
    if found.get("number_of_executed_units") and output.endswith("exit code 0"):
        return []
    return [output[-2000:]]
