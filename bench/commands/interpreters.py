"""Instructions per request of fastwsgi on several interpreters, beside each other.

For each of them fastwsgi is built into an environment of its own, below build/bench/interpreters. Instructions are
counted as by `instructions`; between interpreters they tell what CPython has gained or lost, and whether a part
of fastwsgi that knows its insides still does. `--record` makes them the budgets of these builds.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import budget, servers, workloads
from bench.callgrind import count as count_instructions
from bench.charts import least_first
from bench.programs import BUILT, ROOT, last_line, printed
from bench.record import Record
from bench.run import Run, count
from bench.servers import ServerError
from bench.tables import Chart, Table, unmeasured

ABOUT = "instructions per request on several interpreters"
ENVIRONMENTS = BUILT / "interpreters"
BUILDING = 600.0  # seconds
NEWEST = 15  # the last 3.x that is looked for
# The harness is found last: fastwsgi is to be the installed one.
BUILD = (
    f"import sys; sys.path = [*sys.path[1:], {str(ROOT)!r}]; from bench.budget import this_build; "
    "build = this_build(); print(build.python, build.modules, build.machine, sep='\\n')"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pythons",
        nargs="+",
        metavar="PROGRAM",
        help="interpreters by path or name (this one, and others on PATH)",
    )
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=workloads.NAMES,
        default=list(budget.PROMISED),
        metavar="NAME",
    )
    parser.add_argument("--requests", type=count, default=500, metavar="N")
    parser.add_argument(
        "--record", action="store_true", help="make these the budgets of the builds"
    )


def here() -> list[str]:
    """This interpreter, and those of other versions that are on PATH."""
    names = [f"python3.{minor}" for minor in range(10, NEWEST + 1)]
    others = [name for name in names if name != f"python3.{sys.version_info.minor}"]
    return [sys.executable, *filter(starts, others)]


def starts(program: str) -> bool:
    """Whether there is such a program, and not only what pyenv has in its place."""
    if shutil.which(program) is None:
        return False
    return subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0


def measure(run: Run) -> None:
    options, record = run.options, run.record
    record.facts["figures"] = (
        f"user-space instructions of a request, by callgrind over {options.requests} of them"
    )
    named: list[str] = []
    record.options["servers"] = named  # as the others' tables and charts have it
    pythons = options.pythons or here()
    run.steps = len(pythons)
    for program in pythons:
        name = program  # until it is known what it is
        with run.attempt(program):
            python = environment(program)
            build = build_of(python)
            figures = count_instructions(
                servers.find("fastwsgi"),
                replace(run.programs, python=python),
                [workloads.find(workload) for workload in options.workloads],
                requests=options.requests,
                functions=0,
            )
            name = str(build)
            for figure in figures:
                record.add(name, figure.workload, 0, instructions=figure.instructions)
            if options.record:
                budget.write(build, {f.workload: f.instructions for f in figures})
            run.step(f"{name}: counted")
        named.append(name)


def environment(program: str) -> Path:
    """The interpreter of an environment of `program`'s own in which fastwsgi is installed. Raises ServerError."""
    found = shutil.which(program)
    if found is None:
        raise ServerError("no such program")
    tag = printed(
        Path(found), "import sysconfig; print(sysconfig.get_config_var('SOABI'))", "no interpreter"
    )
    if not tag:
        raise ServerError("no interpreter")
    folder = ENVIRONMENTS / tag.strip()
    python = folder / "bin" / "python"
    perform([found, "-m", "venv", str(folder)])
    perform([str(python), "-m", "pip", "install", "--quiet", "--force-reinstall", str(ROOT)])
    return python


def perform(command: Sequence[str]) -> None:
    """Raises ServerError with the last line of what the command says when it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILDING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"not built within {BUILDING:.0f} s") from None
    if done.returncode != 0:
        raise ServerError(f"not built: {last_line(done.stderr)}")


def build_of(python: Path) -> budget.Build:
    """What a count with this interpreter depends on. Raises ServerError."""
    return budget.Build(*printed(python, BUILD, "fastwsgi cannot be imported").splitlines())


def tables(record: Record) -> list[Table]:
    headings = ("interpreter", *record.workloads, "note")
    rows = []
    for name in record.servers:
        values = [record.median(name, workload, "instructions") for workload in record.workloads]
        cells = [f"{value:,.0f}" for value in values if value is not None]
        reason = record.failure(name, "")
        rows.append((name, *cells, reason) if cells else unmeasured(name, headings, reason))
    title = "User-space instructions per request by interpreter"
    return [Table("interpreters", title, headings, rows)]


def charts(record: Record) -> list[Chart]:
    return [
        least_first(
            record,
            workload,
            lambda measured: float(measured["instructions"]),
            "{:,.0f}".format,
            name=f"interpreters-{workload}",
            title=f"User-space instructions per request by interpreter: {workload}",
            about=f"{workloads.find(workload).about}; less is better",
        )
        for workload in record.workloads
    ]


def faults(record: Record) -> list[str]:
    """The interpreters that could not be counted."""
    return [f"{name}: {reason}" for (name, _), reason in record.failures.items()]
