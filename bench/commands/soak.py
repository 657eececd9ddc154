"""A long load of everything in turn: does memory grow, do descriptors stay open, does an answer fail?

After each turn of all workloads a sample is taken. What counts is the last quarter of the samples against the
second: in the first, caches fill, and the memory of request bodies.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from statistics import median

from bench import servers, workloads
from bench.comparison import rate
from bench.record import Measurement, Record
from bench.run import Run, add_load, add_servers, chosen_servers, duration
from bench.running import Running
from bench.servers import Server
from bench.tables import Chart, Curves, Table, bytes_text, unmeasured

ABOUT = "a long load: memory, descriptors and errors; fails where one of them grows"
MIX = "soak"  # the workload's name in the record
# All that go to every server; those with a pause or a framework of their own measure something else.
TURN = ("hello", "browser", "pipeline", "post", "upload1m", "body64k", "generator", "download1m")
HEADINGS = ("server", "time", "requests", "errors", "memory", "growth", "descriptors", "note")
GROWTH = 2 << 20  # bytes that memory may have grown by
DESCRIPTORS = 8  # that may be open more
CLOSING = 10.0  # seconds that a server may take for the connections of a load that has ended
NAMES = tuple(
    s.name for s in servers.TABLE if not s.hello_only and s.model in ("inline", "threads")
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--minutes", type=float, default=30.0, metavar="M", help="for each server (30)"
    )
    add_servers(parser, NAMES, ["fastwsgi", "fastwsgi-threads"])
    add_load(parser, seconds=3)


def measure(run: Run) -> None:
    options = run.options
    run.record.options["workloads"] = [MIX]
    run.record.facts |= {
        "cores": str(run.cores),
        "load": f"{options.load}, {options.connections} connections, {options.minutes:g} minutes of "
        f"{', '.join(TURN)}, {options.seconds} s each, in turn",
        "figures": "the last quarter of the samples against the second, medians",
    }
    for server in run.ready(chosen_servers(run)):
        with run.attempt(server.name, MIX), run.start(server) as running:
            soak(run, server, running)


def soak(run: Run, server: Server, running: Running) -> None:
    """Turn after turn until the time is over; at least one."""
    begun, usual = time.monotonic(), running.descriptors()
    number, passed = 0, 0.0
    while number == 0 or passed < run.options.minutes * 60:
        answered = [run.figures_of(running, workloads.find(name)) for name in turn(server)]
        passed = time.monotonic() - begun
        usual = descriptors(running, usual)
        measured = run.record.add(
            server.name,
            MIX,
            number,
            at=passed,
            requests=total(answered, "requests"),
            seconds=total(answered, "seconds"),
            errors=total(answered, "errors"),
            memory=running.memory(),
            descriptors=usual,
        )
        left = duration(max(0.0, run.options.minutes * 60 - passed))
        run.say(
            f"[{left} left] {server.name}: {rate(measured):,.0f} req/s, "
            f"{bytes_text(measured['memory'])}, {measured['descriptors']} descriptors"
        )
        number += 1


def descriptors(running: Running, usual: int) -> int:
    """Open files when the load's connections are closed, which takes a busy machine a moment."""
    deadline = time.monotonic() + CLOSING
    while (number := running.descriptors()) > usual and time.monotonic() < deadline:
        time.sleep(0.05)
    return number


def turn(server: Server) -> list[str]:
    """bjoern answers no pipelined requests, and others not in order: only fastwsgi gets them."""
    return [name for name in TURN if name != "pipeline" or server.ours]


def total(figures: Sequence[Mapping[str, object]], name: str) -> float:
    return sum(float(str(each[name])) for each in figures)


def quarters(measured: Sequence[Measurement]) -> tuple[Sequence[Measurement], ...]:
    """The second and the last quarter of the samples, one at least."""
    size = max(1, len(measured) // 4)
    return measured[size : 2 * size] or measured, measured[-size:]


def growth(measured: Sequence[Measurement], figure: str) -> float:
    second, last = quarters(measured)
    return float(median(m[figure] for m in last) - median(m[figure] for m in second))


def tables(record: Record) -> list[Table]:
    rows: list[tuple[str, ...]] = []
    for name in record.servers:
        measured = record.of(name, MIX)
        reason = record.failure(name, MIX)
        if not measured:
            rows.append(unmeasured(name, HEADINGS, reason))
            continue
        rows.append(
            (
                name,
                duration(measured[-1]["at"]),
                f"{sum(m['requests'] for m in measured):,.0f}",
                f"{sum(m['errors'] for m in measured):,.0f}",
                bytes_text(measured[-1]["memory"]),
                bytes_text(growth(measured, "memory")),
                f"{growth(measured, 'descriptors'):+.0f}",
                reason,
            )
        )
    return [Table("soak", "A long load", HEADINGS, rows)]


def charts(record: Record) -> list[Chart]:
    curves = {
        name: [(m["at"] / 60, m["memory"] / (1 << 20)) for m in record.of(name, MIX)]
        for name in record.servers
        if record.of(name, MIX)
    }
    ours = frozenset(name for name in curves if servers.find(name).ours)
    title = "Private memory of the worker under a long load"
    return [Curves("soak", title, "MiB", "minutes", curves, ours)] if curves else []


def faults(record: Record) -> list[str]:
    """What has grown or failed."""
    found = [f"{name}: {reason}" for (name, _), reason in record.failures.items()]
    for name in record.servers:
        measured = record.of(name, MIX)
        if not measured:
            continue
        if errors := sum(m["errors"] for m in measured):
            found.append(f"{name}: {errors:.0f} errors")
        if (more := growth(measured, "memory")) > GROWTH:
            found.append(f"{name}: memory has grown by {bytes_text(more)}")
        if (open_files := growth(measured, "descriptors")) > DESCRIPTORS:
            found.append(f"{name}: {open_files:.0f} descriptors more are open")
    return found
