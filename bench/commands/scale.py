"""One worker and two, or one reactor and two: what another one brings, for the servers that can have several.

A worker has as many reactors as CPUs where there is no GIL and it has threads. So for one of them it is started on one
CPU, and may use all of them as soon as it has answered.
"""

from __future__ import annotations

import argparse
import os
from statistics import median

from bench import servers, workloads
from bench.comparison import Ratio, efficiency, rate
from bench.machine import Cores
from bench.record import Measurement, Record
from bench.run import Run, add_load, add_servers, chosen_servers, count
from bench.servers import Server, find
from bench.tables import Bar, Bars, Chart, Table
from bench.workloads import Workload

ABOUT = "requests with one worker and with two"
WORKERS = (1, 2)
NAMES = tuple(s.name for s in servers.TABLE if s.scales)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=count, default=5, metavar="N")
    parser.add_argument(
        "--of",
        choices=("workers", "reactors"),
        default="workers",
        help="what there are one of and two (%(default)s)",
    )
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=workloads.NAMES,
        default=["hello", "flask"],
        metavar="NAME",
        help="hello and flask",
    )
    inline = [s.name for s in servers.TABLE if s.scales and s.model == "inline"]
    add_servers(parser, NAMES, inline)
    add_load(parser, seconds=3)


def measure(run: Run) -> None:
    options = run.options
    run.record.facts |= {
        "cores": f"{Cores.here(1)}; with two {Cores.here(2)}"
        if options.of == "workers"
        else "server and load share all of them",
        "load": f"{options.load}, {options.connections} connections, {options.rounds} rounds of "
        f"{options.seconds} s",
        "figures": f"medians of the rounds; the ratios are of two {options.of} to one, paired by round "
        "(min-max)",
    }
    chosen = run.ready(chosen_servers(run))
    asked = [workloads.find(name) for name in options.workloads]
    run.steps = options.rounds * sum(w.includes(s) for s in chosen for w in asked) * len(WORKERS)
    for number in range(options.rounds):
        for workload in asked:
            for server in filter(workload.includes, chosen if number % 2 else reversed(chosen)):
                for workers in WORKERS:
                    with run.attempt(server.name, workload.name):
                        measure_one(run, number, server, workload, workers)


def measure_one(run: Run, number: int, server: Server, workload: Workload, count: int) -> None:
    several = run.options.of == "workers"
    every = tuple(sorted(os.sched_getaffinity(0)))
    cores = Cores.here(count) if several else Cores((), ())
    with run.start(
        server,
        workload.module,
        workers=count if several else 1,
        cpus=cores.server if several else every[:count],
    ) as running:
        run.put_load(running, workload, 1, cores)
        if not several:
            running.spread(every)
        figures = run.figures_of(running, workload, cores)
    measured = run.record.add(server.name, workload.name, number, workers=count, **figures)
    said = f"{workload.name} {server.name}, {count} {run.options.of}"
    run.step(f"{said}: {rate(measured):,.0f} req/s")


def with_workers(record: Record, server: str, workload: str, workers: int) -> list[Measurement]:
    return [m for m in record.of(server, workload) if m["workers"] == workers]


def ratio(record: Record, server: str, workload: str) -> Ratio | None:
    """Requests per second of two to those of one, paired by round."""
    single, double = (with_workers(record, server, workload, workers) for workers in WORKERS)
    ones = {m.round: rate(m) for m in single}
    pairs = [rate(m) / ones[m.round] for m in double if m.round in ones]
    return Ratio(median(pairs), min(pairs), max(pairs)) if pairs else None


def tables(record: Record) -> list[Table]:
    rows: list[tuple[str, ...]] = []
    for workload in record.workloads:
        for server in record.servers:
            found = [with_workers(record, server, workload, workers) for workers in WORKERS]
            note = record.failure(server, workload)
            if not (any(found) or note):  # it takes no part
                continue
            cells = [
                f"{median(map(figure, measured)):,.0f}" if measured else "-"
                for figure in (rate, efficiency)
                for measured in found
            ]
            gain = str(ratio(record, server, workload) or "-")
            rows.append((workload, server, *cells, gain, note))
    headings = (
        *("workload", "server", "req/s of 1", "req/s of 2", "req/CPU-s of 1", "req/CPU-s of 2"),
        *("2 to 1", "note"),
    )
    title = f"One and two {record.options.get('of', 'workers')}"
    return [Table("scale", title, headings, rows)]


def charts(record: Record) -> list[Chart]:
    return [chart(record, workload) for workload in record.workloads]


def chart(record: Record, workload: str) -> Bars:
    found = []
    for server in record.servers:
        if gain := ratio(record, server, workload):
            text = f"{gain.median:.2f} x"
            ours = find(server).ours
            found.append(Bar(server, gain.median, text, gain.least, gain.most, ours))
    found.sort(key=lambda bar: -bar.value)
    title = f"Two {record.options.get('of', 'workers')} to one: {workload}"
    about = "times the requests per second of one; median and range of the rounds"
    return Bars(f"scale-{workload}", title, about, found, reference=1.0)


def faults(record: Record) -> list[str]:
    """Where nothing at all could be measured."""
    return [] if record.measurements else ["no server could be measured"]
