"""Private memory of an idle keep-alive connection: what thousands of quiet clients cost a server.

Opens connections, has each answer one request, and keeps them. What counts is the growth of the
server's private memory (`Private_*` of smaps_rollup, all its processes) from the first hundred
connections on; the kernel's memory for the sockets is not in it. The memory of the worker before
that is the other figure.
"""

from __future__ import annotations

import argparse
import resource
import socket
from contextlib import ExitStack

from bench import servers, workloads
from bench.charts import least_first
from bench.probe import TIMEOUT, ProbeError, exchange
from bench.record import Record
from bench.run import Run, add_servers, chosen_servers, count
from bench.running import Running, private_bytes
from bench.servers import ServerError
from bench.tables import Chart, Table, bytes_text

ABOUT = "memory of ten thousand idle keep-alive connections, and of a worker"
BEFORE = 100  # connections that are open when the first figure is taken
SPARE = 200  # descriptors for everything else
HELLO = workloads.find("hello")
# The limit keeps nothing, gunicorn's sync workers keep no connection, and a worker of uWSGI attends to no
# other while it keeps one.
UNFIT = ("limit", "gunicorn-sync", "uwsgi", "uwsgi-threads")
NAMES = tuple(
    server.name
    for server in servers.TABLE
    if server.model != "tls" and server.name.removesuffix("-logged") not in UNFIT
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=count, default=10_000, metavar="N")
    parser.add_argument("--rounds", type=count, default=1, metavar="N")
    add_servers(parser, NAMES)


def measure(run: Run) -> None:
    """Raises ServerError with too few descriptors, for all servers alike."""
    options = run.options
    run.record.options["workloads"] = [HELLO.name]
    run.record.facts["figures"] = (
        f"private memory of all the server's processes: growth for each of {options.connections:,} "
        "connections that had one answer and stay, and that of the worker before them"
    )
    needed = options.connections + BEFORE + SPARE
    chosen = run.ready(chosen_servers(run))
    run.steps = options.rounds * len(chosen)
    for number in range(options.rounds):
        for server in chosen:
            with run.attempt(server.name, HELLO.name):
                require_descriptors(needed)
                with run.start(server) as running:
                    worker, each = memory_of(running, options.connections)
                run.record.add(server.name, HELLO.name, number, each=each, worker=worker)
                run.step(f"{server.name}: {bytes_text(each)} for each connection")


def require_descriptors(needed: int) -> None:
    """Raises the soft limit to `needed`; ServerError where the hard limit is below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed and hard != resource.RLIM_INFINITY:
        raise ServerError(f"needs {needed} open files, ulimit -Hn is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


def memory_of(running: Running, connections: int) -> tuple[int, float]:
    """Private bytes of the worker, and of each connection. Raises ProbeError, OSError and others."""
    with ExitStack() as stack:
        open_connections(running.port, BEFORE, stack)
        worker, before = running.memory(), whole(running)
        open_connections(running.port, connections, stack)
        return worker, (whole(running) - before) / connections


def whole(running: Running) -> int:
    return sum(private_bytes(pid) for pid, _ in running.processes())


def open_connections(port: int, number: int, stack: ExitStack) -> None:
    """Raises ProbeError where an answer is wrong or the connection ends, OSError."""
    for _ in range(number):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
        if not exchange(client, HELLO.payloads[0], HELLO):
            raise ProbeError("does not keep the connection")


def tables(record: Record) -> list[Table]:
    rows = []
    for name in record.servers:
        each, worker = (record.median(name, HELLO.name, what) for what in ("each", "worker"))
        reason = record.failure(name, HELLO.name)
        rows.append((name, bytes_text(each), bytes_text(worker), reason))
    headings = ("server", "each connection", "worker", "note")
    return [Table("connections", "Idle connections and the worker", headings, rows)]


def charts(record: Record) -> list[Chart]:
    return [
        memory_chart(record, "each", "connections", "Private memory of an idle connection"),
        memory_chart(record, "worker", "worker", "Private memory of a worker, hello application"),
    ]


def memory_chart(record: Record, figure: str, name: str, title: str) -> Chart:
    return least_first(
        record,
        HELLO.name,
        lambda measured: float(measured[figure]),
        bytes_text,
        name=name,
        title=title,
    )


def faults(record: Record) -> list[str]:
    """Where none at all could be measured."""
    return [] if record.measurements else ["no server could be measured"]
