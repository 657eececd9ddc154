"""Fuzzes every target in turn and prints a table; the exit code is 1 where something was found.

`python -m tests.fuzz [--seconds 60] [--executions N] [--target head]… [--markdown]`, or `make fuzz`.
The table also goes to build/fuzz/results.json, what was found to build/fuzz/findings. The exit code
is 2 where a target could not run.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import hypothesis

from tests.fuzz.native import clang
from tests.fuzz.results import BUILD, Budget, CannotRun, Result, markdown, table
from tests.fuzz.targets import TARGETS

RESULTS: Final = BUILD / "results.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz every target in turn.")
    parser.add_argument("--target", action="append", choices=TARGETS, metavar="NAME",
                        help=f"any of {', '.join(TARGETS)}; all of them")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=60, help="for each target (60)")
    parser.add_argument("--executions", type=int, help="after which a target ends sooner")
    parser.add_argument("--markdown", action="store_true", help="the table for a document")
    wanted = parser.parse_args(arguments)
    budget = Budget(wanted.seconds, wanted.executions)
    results, left_out = [], []
    for name in wanted.target or TARGETS:
        try:
            results.append(fuzz(name, budget))
        except CannotRun as reason:
            left_out.append(f"{name} was not fuzzed: {reason}")
    write_results(results)
    print(f"\n{where()}\n", markdown(results), sep="\n") if wanted.markdown else print()
    print(table(results), *left_out, sep="\n")
    return 1 if any(result.findings for result in results) else 2 if left_out else 0


def fuzz(name: str, budget: Budget) -> Result:
    """Fuzzes one target and says how it goes. Raises CannotRun."""
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {line}", file=sys.stderr, flush=True)

    print(f"{name}, for {budget.seconds:.0f} s", file=sys.stderr, flush=True)
    result = TARGETS[name].fuzz(budget, say)
    for finding in result.findings:
        print(f"{name}: {finding}", file=sys.stderr, flush=True)
    return result


def write_results(results: Sequence[Result]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    found = {"where": where(), "results": [asdict(result) for result in results]}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def where() -> str:
    """The machine and the versions, in a line."""
    versions = [f"CPython {platform.python_version()}", f"hypothesis {hypothesis.__version__}"]
    try:
        said = subprocess.run([clang(), "--version"], capture_output=True, text=True, check=False)
        versions.append(said.stdout.partition("\n")[0])
    except CannotRun:
        versions.append("no clang")
    return ", ".join([processor(), f"Linux {platform.release()}", *versions])


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
