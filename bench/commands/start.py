"""From the start of the process to the first answer, the servers in turn.

Each runs the application of the other benchmarks with one worker, and is started once before anything
counts, so that its bytecode is there. A client tries to connect every
millisecond. Processor time is that of all the server's processes, from the first instruction to the last
of a life that ends after the answer.
"""

from __future__ import annotations

import argparse
import resource
import socket
import time
from contextlib import suppress
from dataclasses import replace
from statistics import median

from bench import servers, workloads
from bench.charts import least_first
from bench.comparison import Ratio
from bench.probe import TIMEOUT, exchange
from bench.record import Record
from bench.run import Run, add_servers, chosen_servers, count
from bench.servers import Server, ServerError
from bench.tables import Chart, Table

ABOUT = "time from the start to the first answer; fails where gunicorn is faster"
HELLO = workloads.find("hello")
OURS, MEASURE = "fastwsgi", "gunicorn-sync"
INLINE = tuple(server.name for server in servers.TABLE if server.model == "inline")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=count, default=11, metavar="N")
    add_servers(parser, INLINE, [OURS, MEASURE, "granian", "bjoern", "waitress"])


def measure(run: Run) -> None:
    run.record.options["workloads"] = [HELLO.name]
    run.record.facts["figures"] = (
        f"medians of {run.options.rounds} starts in turn; ratios are paired by round (min-max)"
    )
    chosen = run.ready(chosen_servers(run))
    runs = {server.name: at_home(run, server) for server in chosen}
    run.steps = run.options.rounds * len(chosen)
    for server in chosen:
        with run.attempt(server.name, HELLO.name):
            begin(runs[server.name], server)  # leaves bytecode, and files in the page cache
    for number in range(run.options.rounds):
        for server in chosen if number % 2 else reversed(chosen):
            with run.attempt(server.name, HELLO.name):
                answer, processor = begin(runs[server.name], server)
                run.record.add(server.name, HELLO.name, number, answer=answer, processor=processor)
                run.step(f"{server.name}: {1000 * answer:.0f} ms to the first answer")


def at_home(run: Run, server: Server) -> Run:
    """How long a start takes is also a matter of the environment: a peer that fastwsgi's has runs there."""
    here = replace(run.programs, peers=run.programs.python)
    with suppress(ServerError):
        run.record.versions[server.name] = here.version(server)
        return replace(run, programs=here)
    return run


def begin(run: Run, server: Server) -> tuple[float, float]:
    """Seconds to the first answer, and of processor time of the whole life."""
    before, begun = children_seconds(), time.perf_counter()
    with run.start(server, cpus=()) as running:
        with socket.create_connection(("127.0.0.1", running.port), TIMEOUT) as client:
            exchange(client, HELLO.payloads[0], HELLO)
        answer = time.perf_counter() - begun
    return answer, children_seconds() - before


def children_seconds() -> float:
    """Processor time of all processes that this one has waited for, and of what they had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ratio(record: Record, server: str) -> Ratio | None:
    """Of the times of fastwsgi and of the server, paired by round."""
    theirs = {m.round: m["answer"] for m in record.of(server, HELLO.name)}
    pairs = [
        m["answer"] / theirs[m.round] for m in record.of(OURS, HELLO.name) if m.round in theirs
    ]
    return Ratio(median(pairs), min(pairs), max(pairs)) if pairs else None


def tables(record: Record) -> list[Table]:
    rows = []
    for name in record.servers:
        answers = sorted(m["answer"] * 1000 for m in record.of(name, HELLO.name))
        processor = record.median(name, HELLO.name, "processor")
        rows.append(
            (
                name,
                f"{median(answers):.0f} ({answers[0]:.0f}-{answers[-1]:.0f})" if answers else "-",
                f"{processor * 1000:.0f}" if processor else "-",
                str((name != OURS and ratio(record, name)) or "-"),
                record.failure(name, HELLO.name),
            )
        )
    headings = ("server", "first answer ms", "processor ms", "fastwsgi's share", "note")
    return [Table("start", "From the start to the first answer", headings, rows)]


def charts(record: Record) -> list[Chart]:
    return [
        least_first(
            record,
            HELLO.name,
            lambda measured: 1000 * float(measured["answer"]),
            "{:.0f} ms".format,
            name="start",
            title="From the start of the process to the first answer",
            about="milliseconds; median and range of the starts, less is better",
        )
    ]


def faults(record: Record) -> list[str]:
    """Where gunicorn is faster, or fastwsgi could not be measured."""
    if reason := record.failure(OURS, HELLO.name):
        return [f"{OURS}: {reason}"]
    found = ratio(record, MEASURE)
    if found is not None and found.median > 1:
        return [f"gunicorn answers first: fastwsgi takes {found} of its time"]
    return []
