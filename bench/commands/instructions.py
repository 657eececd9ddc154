"""Counts user-space instructions per request by callgrind: the figure that noise cannot touch.

One keep-alive connection asks one request after another, or several ask at once. All threads and the
application are in it, the kernel is not. `--record` makes the figures of fastwsgi the budget of this build,
which the test command holds; `--gate` fails where they exceed it.
"""

from __future__ import annotations

import argparse

from bench import budget, servers, workloads
from bench.callgrind import MARK
from bench.callgrind import count as count_instructions
from bench.charts import least_first
from bench.record import Record
from bench.run import Run, add_servers, chosen_servers, count
from bench.tables import Chart, Table

ABOUT = "instructions per request (callgrind), and the budget that the tests hold"
OURS = "fastwsgi"
GATED = ["hello", "browser"]
# Those that run the application that has /mark, and are asked for it without TLS.
NAMES = tuple(s.name for s in servers.TABLE if not s.hello_only and s.model != "tls")
COUNTED = tuple(w.name for w in workloads.TABLE if w.module == MARK.module)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workloads", nargs="+", choices=COUNTED, default=GATED, metavar="NAME")
    parser.add_argument("--requests", type=count, default=500, metavar="N")
    parser.add_argument(
        "--connections", type=count, default=1, metavar="N", help="that ask at the same time (1)"
    )
    parser.add_argument(
        "--functions", type=int, default=0, metavar="N", help="print the N most expensive too"
    )
    parser.add_argument("--gate", action="store_true", help="fail when fastwsgi exceeds its budget")
    parser.add_argument("--record", action="store_true", help="make this the budget of this build")
    add_servers(parser, NAMES, [OURS])


def measure(run: Run) -> None:
    options = run.options
    run.record.facts["figures"] = (
        f"user-space instructions of a request, by callgrind over {options.requests} of them on "
        f"{options.connections} connection{'s' if options.connections > 1 else ''}"
    )
    run.record.facts["build"] = str(budget.this_build())
    chosen = run.ready(chosen_servers(run))
    run.steps = len(chosen)
    asked = [workloads.find(name) for name in options.workloads]
    for server in chosen:
        with run.attempt(server.name):
            figures = count_instructions(
                server,
                run.programs,
                asked,
                requests=options.requests,
                functions=options.functions,
                connections=options.connections,
            )
            for figure in figures:
                name = figure.workload
                run.record.add(server.name, name, 0, instructions=figure.instructions)
                if figure.functions:
                    run.say(f"{server.name} {name}:")
                    run.say("\n".join(figure.functions))
            run.step(f"{server.name}: counted")
    if options.record:
        figures_of_ours = measured(run.record)
        budget.write(budget.this_build(), figures_of_ours)
        run.say(f"recorded for {budget.this_build()} in {budget.FILE.name}")


def measured(record: Record) -> dict[str, float]:
    """Instructions of fastwsgi by workload."""
    found = {name: record.median(OURS, name, "instructions") for name in record.workloads}
    return {name: value for name, value in found.items() if value is not None}


def tables(record: Record) -> list[Table]:
    rows = []
    for server in record.servers:
        values = [record.median(server, name, "instructions") for name in record.workloads]
        cells = [f"{value:,.0f}" if value else "-" for value in values]
        rows.append((server, *cells, record.failure(server, "")))
    title = "User-space instructions per request"
    return [Table("instructions", title, ("server", *record.workloads, "note"), rows)]


def charts(record: Record) -> list[Chart]:
    return [chart(record, name) for name in record.workloads]


def chart(record: Record, workload: str) -> Chart:
    return least_first(
        record,
        workload,
        lambda measured: float(measured["instructions"]),
        "{:,.0f}".format,
        name=f"instructions-{workload}",
        title=f"User-space instructions per request: {workload}",
        about=f"{workloads.find(workload).about}; less is better",
    )


def faults(record: Record) -> list[str]:
    """With `--gate`, what exceeds its budget or could not be counted."""
    if not record.options["gate"]:
        return []
    if reason := record.failure(OURS, ""):
        return [f"{OURS}: {reason}"]
    limits = budget.limits(budget.this_build())
    return [
        complaint
        for name, value in measured(record).items()
        if name in limits and (complaint := limits[name].complaint(name, value))
    ]
