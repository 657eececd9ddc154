"""Measures the coverage of fastwsgi, Python and Cython: `python -m tests.coverage.measure [TEST…]`.

A copy of the repository is built with line tracing, and pytest runs there over the given tests, or
over all that do not measure the server itself: tracing changes what those see. Fails when a test
fails, and when a compiled module has no measured line: then its tracing is broken, and a percentage
would say nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.package.checkout import ROOT, copy_checkout

COPY = ROOT / "build" / "coverage"
RC = "--rcfile=tests/coverage/coverage.ini"

# Frames, system calls, builds and speed are not what they are without tracing.
LEFT_OUT = ("bench", "contract", "package")


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


def python(*args: str, env: Mapping[str, str] | None = None, check: bool = True) -> int:
    """Runs this interpreter in the copy, with the copy's fastwsgi; its exit code."""
    everything = {**os.environ, "PYTHONPATH": str(COPY), **(env or {})}
    return subprocess.run([sys.executable, *args], cwd=COPY, env=everything, check=check).returncode


def main(tests: Sequence[str]) -> int:
    build()
    rooms = sorted(path.name for path in (COPY / "tests").iterdir() if path.is_dir())
    chosen = tests or [f"tests/{room}" for room in rooms if room not in LEFT_OUT]
    suite = ["-m", "pytest", "-p", "tests.coverage.gentle", "-p", "no:cacheprovider", *chosen]
    failed = python("-m", "coverage", "run", RC, *suite, check=False)
    for command in (["combine", "--quiet"], ["report"], ["json", "--quiet"], ["html", "--quiet"]):
        python("-m", "coverage", command[0], RC, *command[1:])
    report = json.loads((COPY / "coverage.json").read_text())
    modules = sorted(path.relative_to(COPY).as_posix() for path in COPY.glob("fastwsgi/*.pyx"))
    silent = unmeasured(report, modules)
    for name in silent:
        print(f"{name}: no line was measured", file=sys.stderr)
    print(f"The pages stand in {COPY / 'htmlcov'}")
    return failed or bool(silent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
