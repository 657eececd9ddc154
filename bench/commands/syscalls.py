"""Counts system calls per request by strace: ours and the peers', under as many connections as are wanted.

strace is attached to all processes of a server that has been warmed up, so only what serving costs is in it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import servers, workloads
from bench.callgrind import ask, clients_of
from bench.charts import least_first
from bench.record import Record
from bench.run import Run, add_servers, chosen_servers, count
from bench.running import Running
from bench.servers import Server, ServerError
from bench.tables import Chart, Table
from bench.workloads import Workload

ABOUT = "system calls per request (strace)"
WARM_UP = 50  # requests of each connection before the count
PATIENCE = 15.0  # seconds that strace may take to let go
COUNTED = re.compile(
    r"^ *[\d.]+ +[\d.]+ +\d+ +(?P<calls>\d+) +(?:\d+ +)?(?P<name>\w+)$", re.MULTILINE
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=workloads.NAMES,
        default=["hello", "pipeline"],
        metavar="NAME",
    )
    parser.add_argument("--requests", type=count, default=1000, metavar="N")
    parser.add_argument(
        "--connections", type=count, default=1, metavar="N", help="that ask at the same time (1)"
    )
    add_servers(parser, servers.NAMES, [s.name for s in servers.TABLE if s.model == "inline"])


def measure(run: Run) -> None:
    options = run.options
    run.record.facts["figures"] = (
        f"system calls of all the server's threads, by strace over {options.requests} requests on "
        f"{options.connections} connection{'s' if options.connections > 1 else ''}"
    )
    chosen = run.ready(chosen_servers(run))
    run.steps = len(chosen) * len(options.workloads)
    for server in chosen:
        for name in options.workloads:
            with run.attempt(server.name, name):
                calls = count_calls(run, server, workloads.find(name))
                each = sum(calls.values())
                kinds = sorted(calls, key=calls.__getitem__, reverse=True)
                listed = ", ".join(f"{kind} {calls[kind]:.2f}" for kind in kinds[:6])
                run.record.add(server.name, name, 0, calls=each, kinds=listed)
                run.step(f"{server.name} {name}: {each:.2f} calls per request")


def count_calls(run: Run, server: Server, workload: Workload) -> dict[str, float]:
    """Calls per request by name. Raises ServerError without strace, ProbeError and others."""
    with run.start(server) as running, ExitStack() as stack:
        connections = run.options.connections
        clients = clients_of(running.port, workload, connections, stack)
        ask(clients, workload, WARM_UP * connections)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            out = Path(folder, "calls")
            with attached(running, out):
                requests = ask(clients, workload, run.options.requests)
            found = parse(out.read_text())
    if not found:
        raise ServerError("strace has counted nothing")
    return {name: calls / requests for name, calls in found.items()}


@contextmanager
def attached(running: Running, out: Path) -> Iterator[None]:
    """strace counts the calls of all the server's processes for the time of the block."""
    strace = shutil.which("strace")
    if strace is None:
        raise ServerError("strace is not installed (Debian: strace)")
    pids = [pid for pid, _ in running.processes()]
    words = [strace, "-f", "-c", "-o", str(out)]
    for pid in pids:
        words += ["-p", str(pid)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for _ in pids:
                line = process.stderr.readline()
                if "attached" not in line:
                    raise ServerError(f"strace may not attach: {line.strip()}")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


def parse(text: str) -> dict[str, int]:
    """The table that strace -c writes: calls by name."""
    return {m["name"]: int(m["calls"]) for m in COUNTED.finditer(text) if m["name"] != "total"}


def tables(record: Record) -> list[Table]:
    rows = []
    for name in record.workloads:
        found = [(record.median(server, name, "calls"), server) for server in record.servers]
        for value, server in sorted(found, key=lambda pair: (pair[0] is None, pair[0] or 0)):
            measured = record.of(server, name)
            kinds = measured[0]["kinds"] if measured else record.failure(server, name)
            rows.append((name, server, f"{value:.2f}" if value else "-", kinds))
    headings = ("workload", "server", "calls per request", "note")
    return [Table("syscalls", "System calls per request", headings, rows)]


def charts(record: Record) -> list[Chart]:
    return [chart(record, name) for name in record.workloads]


def chart(record: Record, workload: str) -> Chart:
    return least_first(
        record,
        workload,
        lambda measured: float(measured["calls"]),
        "{:.2f}".format,
        name=f"syscalls-{workload}",
        title=f"System calls per request: {workload}",
        about=f"{workloads.find(workload).about}; less is better",
    )


def faults(record: Record) -> list[str]:
    """Where nothing at all could be counted."""
    return [] if record.measurements else ["no server could be measured"]
