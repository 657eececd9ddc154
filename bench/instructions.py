"""User-space instructions per request, counted by callgrind: the figure that noise cannot touch.

The server runs under valgrind and one keep-alive connection asks one request after another, or
several ask at once and wait for all the answers. What is counted is everything, the application and
all threads included, the kernel excluded. The application's route /mark calls getsid, at which
callgrind writes the counts so far and begins anew; the counts between two marks, less those of a
mark, are those of the requests.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import apps
import servers
import workloads
from answer import MalformedAnswerError
from probe import TIMEOUT, ProbeError, read_answers
from servers import Programs, Running, Server, ServerError, free_port, no_orphans
from workloads import Workload, get

WARM_UP = 200  # requests of each connection before the count begins
PATIENCE = 120.0  # seconds: valgrind slows a start-up fiftyfold
MUST = {"hello": 9_000, "browser": 20_000}
MARK = Workload("mark", "begins a new count", (get("/mark"),), apps.HELLO)
# Those that run /mark for a client without TLS.
PYTHON = tuple(server.name for server in servers.TABLE[1:] if server.model != "tls")
DUMPED = re.compile(r"^desc: Trigger: --dump-before=.*$", re.MULTILINE)
PART = re.compile(r"^part: (\d+)$", re.MULTILINE)
TOTAL = re.compile(r"^(?:totals|summary): (\d+)$", re.MULTILINE)
NAMED = re.compile(r"(c?fn)=(\(\d+\))(?: (.*))?$")
COST = re.compile(r"[+*-]?\d* ?\d+")


@dataclass(frozen=True)
class Figure:
    """What one request of a workload costs."""

    workload: str
    instructions: float
    functions: list[str]
    """The most expensive functions themselves, callees excluded, a line each."""


def ask(clients: Sequence[socket.socket], workload: Workload, requests: int) -> int:
    """Asks `requests` or a few more, on all connections at once; returns how many.

    Raises ProbeError when an answer is wrong or a connection ends.
    """
    payloads, asked = workload.payloads, 0
    while asked < requests:
        for client in clients:
            client.sendall(payloads[asked // workload.depth % len(payloads)])
            asked += workload.depth
        if not all(read_answers(client, workload) for client in clients):
            raise ProbeError("does not keep the connection")
    return asked


def connect(port: int, connections: int, stack: ExitStack) -> list[socket.socket]:
    address = ("127.0.0.1", port)
    return [
        stack.enter_context(socket.create_connection(address, TIMEOUT)) for _ in range(connections)
    ]


def dumps(folder: Path) -> list[tuple[int, Path]]:
    """The counts written at marks, in their order, with their files."""
    found = []
    for path in folder.iterdir():
        text = path.read_text()
        part, total = PART.search(text), TOTAL.search(text)
        if part and total and DUMPED.search(text):
            found.append((int(part[1]), int(total[1]), path))
    return [(total, path) for _, total, path in sorted(found)]


def most_expensive(path: Path, functions: int, requests: int) -> list[str]:
    """The functions that themselves, without their callees, cost a request the most."""
    costs = self_costs(path.read_text().splitlines())
    return [f"{cost / requests:10,.0f}  {name}" for name, cost in costs.most_common(functions)]


def self_costs(lines: Sequence[str]) -> Counter[str]:
    """Instructions by function, from callgrind's format: a name is spelled out only once."""
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    function, callee = "", False
    for line in lines:
        if named := NAMED.match(line):
            kind, number, name = named.groups()
            if name:
                names[number] = name
            if kind == "fn":
                function = names[number]
        elif line.startswith("calls="):
            callee = True  # the next line is the cost of what was called
        elif COST.match(line):
            if not callee:
                costs[function] += int(line.split()[1])
            callee = False
    return costs


def count(
    server: Server,
    programs: Programs,
    chosen: Sequence[Workload],
    *,
    requests: int,
    functions: int,
    connections: int = 1,
) -> list[Figure]:
    """Raises ServerError, ProbeError, MalformedAnswerError, OSError."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out.%p"),
            *("--quiet", "--dump-before=getsid", *programs.command(server, port)),
        ]
        fixed = {"PYTHONHASHSEED": "0"}
        with Running(server.name, command, port, environment=fixed, patience=PATIENCE):
            asked = []
            for workload in chosen:
                with ExitStack() as stack:
                    clients = connect(port, connections, stack)
                    ask(clients, workload, WARM_UP * connections)
                    ask(clients[:1], MARK, 2)
                    asked.append(ask(clients, workload, requests))
                    ask(clients[:1], MARK, 1)
        written = dumps(folder)
        if len(written) != 3 * len(chosen):
            raise ServerError(f"callgrind wrote {len(written)} counts of {3 * len(chosen)}")
        figures = []
        for place, workload in enumerate(chosen):
            (mark, _), (total, path) = written[3 * place + 1 : 3 * place + 3]
            costs = most_expensive(path, functions, asked[place])
            figures.append(Figure(workload.name, (total - mark) / asked[place], costs))
        return figures


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count instructions per request by callgrind.")
    parser.add_argument("--servers", nargs="+", choices=PYTHON, default=["fastwsgi"])
    parser.add_argument(
        "--workloads", nargs="+", choices=workloads.NAMES, default=["hello", "browser"]
    )
    parser.add_argument("--requests", type=int, default=500, metavar="N")
    parser.add_argument(
        "--connections", type=int, default=1, metavar="N", help="that ask at the same time (1)"
    )
    parser.add_argument(
        "--functions", type=int, default=0, metavar="N", help="print the N most expensive too"
    )
    parser.add_argument("--gate", action="store_true", help="fail when fastwsgi exceeds its budget")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="the peers' environment")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed (Debian: valgrind)", file=sys.stderr)
        return 2
    programs = servers.default_programs()
    if options.peers:
        programs = replace(programs, peers=options.peers / "bin" / "python")
    try:
        with no_orphans():
            bad = [name for name in options.servers if not report(name, programs, options)]
    except KeyboardInterrupt:
        return 130
    return int(options.gate and bool(bad))


def report(name: str, programs: Programs, options: argparse.Namespace) -> bool:
    """Counts for one server and prints; False when that fails or a budget is exceeded."""
    chosen = [workloads.find(workload) for workload in options.workloads]
    try:
        figures = count(
            servers.find(name),
            programs,
            chosen,
            requests=options.requests,
            functions=options.functions,
            connections=options.connections,
        )
    except (ServerError, ProbeError, MalformedAnswerError, OSError) as error:
        print(f"{name}: {error}", flush=True)
        return False
    for figure in figures:
        print(
            f"{name:18}{figure.workload:16}{figure.instructions:10,.0f} instructions per request",
            *figure.functions,
            sep="\n",
            flush=True,
        )
    return name != "fastwsgi" or all(
        figure.instructions <= MUST.get(figure.workload, figure.instructions) for figure in figures
    )


if __name__ == "__main__":
    sys.exit(main())
