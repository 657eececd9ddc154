"""Measures fastwsgi against the physical limit and against other Python servers, in one run.

The servers run on one core, the load comes from the others, one server at a time. In each round every
workload goes to every server, and the order rotates, so that a slow minute of the machine hits all alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any, TypeVar

from bench import servers, workloads
from bench.comparison import Comparison, efficiency, rate
from bench.load import LoadError
from bench.record import Record
from bench.run import Run, add_load, add_servers, chosen_servers, count
from bench.running import Running
from bench.servers import Server
from bench.tables import Chart, Table
from bench.workloads import Workload

ABOUT = "requests per second and per server CPU-second, against the limit and other servers"
LINE = 40  # bytes that a line of an access log has at least
WARM_UP = 1  # seconds of load on each started server that are not counted
Item = TypeVar("Item")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=count, default=5, metavar="N")
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=workloads.NAMES,
        default=list(workloads.NAMES),
        metavar="NAME",
        help=", ".join(workloads.NAMES),
    )
    add_servers(parser, servers.NAMES)
    add_load(parser, seconds=3)


def measure(run: Run) -> None:
    """Every workload to every server of its execution model, in as many rounds as wanted."""
    options = run.options
    asked = [workload for workload in workloads.TABLE if workload.name in options.workloads]
    taking_part = [s for s in chosen_servers(run) if any(w.includes(s) for w in asked)]
    options.servers = [server.name for server in taking_part]
    run.record.options |= {"servers": options.servers, "workloads": [w.name for w in asked]}
    run.record.facts |= facts(run)
    chosen = run.ready(taking_part)
    run.steps = options.rounds * sum(w.includes(s) for w in asked for s in chosen)
    for number in range(options.rounds):
        for module, of_module in groupby(asked, lambda workload: workload.module):
            measure_application(run, number, module, list(of_module), chosen)


def facts(run: Run) -> dict[str, str]:
    options = run.options
    return {
        "cores": str(run.cores),
        "load": f"{options.load}, {options.connections} connections where the workload does not "
        f"say, {options.rounds} rounds of {options.seconds} s",
        "figures": "medians of the rounds; ratios are of requests per server CPU-second (where the "
        "application sleeps, per second), paired by round (min-max); MiB are private memory of "
        "the worker after the load",
    }


def measure_application(
    run: Run, number: int, module: str, asked: Sequence[Workload], chosen: Sequence[Server]
) -> None:
    """Starts those servers that have a part, and puts the workloads to them in turn."""
    with ExitStack() as stack:
        running: list[tuple[Server, Running]] = []
        for server in chosen:
            wanted = [workload for workload in asked if workload.includes(server)]
            if wanted and not run.record.failure(server.name, ""):
                with run.attempt(server.name):
                    started = stack.enter_context(run.start(server, module))
                    run.put_load(started, wanted[0], WARM_UP)
                    running.append((server, started))
        for place, workload in enumerate(asked):
            included = [(s, r) for s, r in running if workload.includes(s)]
            for server, started in rotated(included, number + place):
                measure_one(run, number, server, started, workload)


def measure_one(run: Run, number: int, row: Server, server: Running, workload: Workload) -> None:
    """Verifies the server's answers, then measures it; what goes wrong becomes a row that says so."""
    record = run.record
    if row.hello_only and not workload.fits_limit:
        record.failures[row.name, workload.name] = "knows only the hello answer"
    if record.failure(row.name, workload.name):
        run.done += 1
        return
    with run.attempt(row.name, workload.name):
        figures: Mapping[str, Any] = run.figures_of(server, workload)
        if row.model == "logged" and figures["said"] < LINE * figures["requests"]:
            raise LoadError("writes no line of a log for each request")
        measured = record.add(row.name, workload.name, number, **figures)
        run.step(
            f"round {number + 1} of {run.options.rounds}: {workload.name} {row.name} "
            f"{rate(measured):,.0f} req/s, {efficiency(measured):,.0f} req/CPU-s"
        )


def rotated(items: Sequence[Item], steps: int) -> list[Item]:
    """The items in a circle, from another one on."""
    first = steps % len(items) if items else 0
    return [*items[first:], *items[:first]]


def tables(record: Record) -> list[Table]:
    return Comparison(record).tables()


def charts(record: Record) -> list[Chart]:
    return [*Comparison(record).charts()]


def faults(record: Record) -> list[str]:
    """None: a row without a figure says why, and how fast is for the reader to judge."""
    return []
