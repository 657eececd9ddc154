"""Private memory of an idle keep-alive connection: what thousands of quiet clients cost a server.

Opens connections, has each answer one request, and keeps them. What counts is the growth of the
server's private memory (`Private_*` of smaps_rollup, all its processes) from the first hundred
connections on; the kernel's memory for the sockets is not in it.
"""

from __future__ import annotations

import argparse
import resource
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import servers
import workloads
from answer import MalformedAnswerError
from probe import TIMEOUT, ProbeError, exchange
from servers import Programs, Running, Server, ServerError, free_port, no_orphans

BEFORE = 100  # connections that are open when the first figure is taken
SPARE = 200  # descriptors for everything else
HELLO = workloads.find("hello")
# The limit keeps nothing, gunicorn's sync workers keep no connection, and waitress watches by
# select, which ends at 1,024 of them.
EXCLUDED = ("limit", "gunicorn-sync", "waitress")
NAMES = tuple(name for name in servers.NAMES if name not in EXCLUDED)


def private_bytes(server: Running) -> int:
    total = 0
    for pid, _ in server.processes():
        with suppress(OSError):  # it may just have ended
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Private_"):
                    total += int(line.split()[1]) * 1024
    return total


def open_connections(port: int, number: int, stack: ExitStack) -> None:
    """Raises ProbeError where an answer is wrong or the connection ends, OSError."""
    for _ in range(number):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
        if not exchange(client, HELLO.payloads[0], HELLO):
            raise ProbeError("does not keep the connection")


def measure(server: Server, programs: Programs, connections: int) -> float:
    """Private bytes of a connection. Raises ServerError, ProbeError, MalformedAnswerError, OSError."""
    programs.version(server)
    port = free_port()
    with (
        Running(server.name, programs.command(server, port), port) as running,
        ExitStack() as stack,
    ):
        open_connections(port, BEFORE, stack)
        before = private_bytes(running)
        open_connections(port, connections, stack)
        return (private_bytes(running) - before) / connections


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the memory of idle connections.")
    parser.add_argument("--connections", type=int, default=10_000, metavar="N")
    parser.add_argument("--servers", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--peers", type=Path, metavar="DIR", help="the peers' environment")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    programs = servers.default_programs()
    if options.peers:
        programs = replace(programs, peers=options.peers / "bin" / "python")
    needed = options.connections + BEFORE + SPARE
    if most := too_few_descriptors(needed):
        print(f"needs {needed} open files, ulimit -Hn is {most}", file=sys.stderr)
        return 2
    try:
        with no_orphans():
            for name in options.servers:
                print(f"{name:18}{figure(servers.find(name), programs, options)}", flush=True)
    except KeyboardInterrupt:
        return 130
    return 0


def too_few_descriptors(needed: int) -> int:
    """The hard limit where it is below `needed`; else 0, and the soft one is raised to that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed and hard != resource.RLIM_INFINITY:
        return hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    return 0


def figure(server: Server, programs: Programs, options: argparse.Namespace) -> str:
    try:
        found = measure(server, programs, options.connections)
    except (ServerError, ProbeError, MalformedAnswerError, OSError) as error:
        return str(error)
    return f"{found:10,.0f} bytes per connection"


if __name__ == "__main__":
    sys.exit(main())
