"""Measures the coverage of fastwsgi, Python and Cython: `python -m tests.coverage.measure [TEST…]`.

A copy of the repository is built with line tracing, and pytest runs there over the given tests, or
over all that fit: tracing makes the server many times slower, so what measures it or is large stays
out. For the same reason a test that fails here fails nothing; `make test` is its judge. This fails
when less than FLOOR percent of the lines were run, and when a compiled module has no measured line:
then its tracing is broken, and a percentage would say nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from coverage import CoverageData
from coverage.exceptions import CoverageException

from tests.package.checkout import ROOT, copy_checkout

COPY = ROOT / "build" / "coverage"
LOG = COPY / "pytest.txt"
RC = "--rcfile=tests/coverage/coverage.ini"

FLOOR = 90  # percent of all lines
PROCESSES = "4"  # tests wait more than they compute

# Frames, system calls, builds, memory and speed are not what they are without tracing, and fuzzing compiles anew.
# Nor is what the GIL guards: a tracer may run Python code within compiled lines, which chaos is bound to meet.
LEFT_OUT = ("bench", "chaos", "contract", "fuzz", "leaks", "package")
# What takes minutes under tracing, and what runs the same lines over another transport or in another model again.
SELECTED = (
    "not million and not pathological and not large-bodies and not one_piece and not browser"
    " and not above-the-limit and not feeds_lose_nothing"  # see gentle.py
    " and not ((test_corpus or apps) and (unix or threads or gevent or over_tls))"
    " and not test_gevent and not test_timeouts"
)


def unmeasured(report: Mapping[str, Any], sources: Iterable[str]) -> list[str]:
    """The sources of which a report of `coverage json` knows no executed line."""
    files = report["files"]
    return [name for name in sources if not files.get(name, {}).get("executed_lines")]


def build() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    copy_checkout(COPY)
    switches = {"FASTWSGI_TRACE": "1", "FASTWSGI_DEBUG": "1"}
    python("setup.py", "--quiet", "build_ext", "--inplace", env=switches)
    for generated in (COPY / "build" / "cython" / "fastwsgi").glob("*.c"):
        shutil.copy(generated, COPY / "fastwsgi")  # the plugin looks beside the .pyx


def python(
    *args: str, env: Mapping[str, str] | None = None, log: Path | None = None, check: bool = True
) -> None:
    """Runs this interpreter in the copy, with the copy's fastwsgi; its output goes to `log`."""
    everything = {**os.environ, "PYTHONPATH": str(COPY), **(env or {})}
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else None
        subprocess.run(
            [sys.executable, *args],
            cwd=COPY,
            env=everything,
            stdout=output,
            stderr=subprocess.STDOUT if log else None,
            check=check,
        )


def measure(tests: Sequence[str]) -> None:
    """Runs the tests under coverage, which leaves its reports in the copy."""
    rooms = sorted(path.name for path in (COPY / "tests").iterdir() if path.is_dir())
    chosen = tests or [f"tests/{room}" for room in rooms if room not in LEFT_OUT]
    plugins = ["-p", "tests.coverage.gentle", "-p", "no:cacheprovider"]
    shared_out = ["--numprocesses", PROCESSES, "--dist", "worksteal"]
    suite = ["-m", "pytest", *plugins, *shared_out, "--tb=line", "-k", SELECTED, *chosen]
    python("-m", "coverage", "run", RC, *suite, log=LOG, check=False)
    combine()
    for command in (["json", "--quiet"], ["html", "--quiet"], ["report"]):
        python("-W", "ignore", "-m", "coverage", command[0], RC, *command[1:])


def combine() -> None:
    """Makes one file of the data of all processes, but for those that were killed while they wrote theirs."""
    whole = CoverageData(str(COPY / ".coverage"))
    for path in sorted(COPY.glob(".coverage.*")):
        part = CoverageData(str(path))
        with suppress(CoverageException):
            part.read()
            if is_complete(part):
                whole.update(part)
        path.unlink()


def is_complete(data: CoverageData) -> bool:
    """Whether every Cython file in it has its tracer, which is written last."""
    return all(data.file_tracer(name) for name in data.measured_files() if name.endswith(".pyx"))


def main(tests: Sequence[str]) -> int:
    build()
    measure(tests)
    report = json.loads((COPY / "coverage.json").read_text())
    modules = sorted(path.relative_to(COPY).as_posix() for path in COPY.glob("fastwsgi/*.pyx"))
    faults = [f"{name}: no line was measured" for name in unmeasured(report, modules)]
    covered = report["totals"]["percent_covered"]
    if not tests and covered < FLOOR:
        faults.append(f"{covered:.1f} % of the lines were run, and {FLOOR} are asked for")
    print(f"The pages stand in {COPY / 'htmlcov'}, what the tests said in {LOG}")
    print("\n".join(faults), file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
