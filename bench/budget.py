"""How many instructions a request of fastwsgi may cost: recorded for a build, held by the test command.

A count depends on the interpreter, on who compiled it, and on who compiled our modules. So a budget is
recorded for that build, and there 2 % above it fail. On every other build what holds is what the project
has promised for all.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.programs import FOLDER

FILE = FOLDER / "budget.json"
ALLOWED = 1.02  # times what was recorded
PROMISED = {"hello": 9_000, "browser": 20_000}
"""Instructions per request that no build may exceed."""
COMPILER = re.compile(rb"GCC: \([^)]*\) ([\d.]+)|(clang version [\d.]+)")


@dataclass(frozen=True)
class Build:
    """What a count depends on."""

    python: str
    modules: str
    """The compiler of our modules, as they say themselves."""
    machine: str

    def __str__(self) -> str:
        return f"{self.python}, modules by {self.modules}, {self.machine}"


def this_build() -> Build:
    """The build that runs, and its fastwsgi."""
    from fastwsgi import _parser  # noqa: PLC0415 - who only compares peers needs no fastwsgi

    found = COMPILER.search(Path(_parser.__file__).read_bytes())
    modules = "an unknown compiler"
    if found is not None:
        modules = f"GCC {found[1].decode()}" if found[1] else found[2].decode()
    python = f"{platform.python_implementation()} {platform.python_version()}{sys.abiflags}"
    return Build(f"{python} ({platform.python_compiler()})", modules, platform.machine())


@dataclass(frozen=True)
class Limit:
    """The most that a request may cost, and where that comes from."""

    most: float
    source: str

    def complaint(self, workload: str, instructions: float) -> str:
        """What is wrong and what to do; empty where nothing is."""
        if instructions <= self.most:
            return ""
        over = 100 * (instructions / self.most - 1)
        return (
            f"{workload}: {instructions:,.0f} instructions per request, {over:.1f} % above the"
            f" {self.most:,.0f} of {self.source}. `python -m bench instructions --functions 20` says"
            " where they go; if the cost is meant, `python -m bench instructions --record` makes it"
            " the budget."
        )


def limits(build: Build) -> dict[str, Limit]:
    """For each gated workload, by its name."""
    recorded = read().get(build, {})
    return {
        name: Limit(
            recorded[name] * ALLOWED, f"the budget of this build ({recorded[name]:,} + 2 %)"
        )
        if name in recorded
        else Limit(promised, "the project's promise, as this build has no budget recorded")
        for name, promised in PROMISED.items()
    }


def read() -> dict[Build, dict[str, int]]:
    """Every budget that is recorded."""
    if not FILE.exists():
        return {}
    rows = json.loads(FILE.read_text())
    return {Build(**row["build"]): row["instructions"] for row in rows}


def write(build: Build, instructions: Mapping[str, float]) -> None:
    """Makes these the budget of the build, beside those of others."""
    gated = {name: round(value) for name, value in instructions.items() if name in PROMISED}
    known = read() | {build: gated}
    rows = [{"build": asdict(each), "instructions": known[each]} for each in sorted(known, key=str)]
    FILE.write_text(json.dumps(rows, indent=1) + "\n")
