"""User-space instructions per request, counted by callgrind: the figure that noise cannot touch.

The server runs under valgrind and one keep-alive connection asks one request after another, or
several ask at once and wait for all the answers; where a workload wants a connection for each request,
they are made anew. What is counted is everything, the application and
all threads included, the kernel excluded. The application's route /mark calls getsid, at which
callgrind writes the counts so far and begins anew. Between two marks there are few requests or many;
the difference of such windows has no mark in it. Of several windows the middle one is taken, as what
happens once a second falls into one of them and not into all.
"""

from __future__ import annotations

import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import probe
from bench.probe import ProbeError, read_answers
from bench.programs import Programs
from bench.running import Running, free_port
from bench.served import apps
from bench.servers import Server, ServerError
from bench.workloads import Workload, get

# The order of sets, and what malloc finds free: that would depend on the length of a path or a variable.
FIXED = {
    "PYTHONHASHSEED": "0",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_max=65536:glibc.malloc.tcache_count=1000",
}
WINDOWS = 5  # of each kind; the middle one is taken
WARM_UP = 200  # requests of each connection before the count begins
PATIENCE = 120.0  # seconds: valgrind slows a start-up and a first request fiftyfold
MARK = Workload("mark", "begins a new count", (get("/mark"),), apps.HELLO)
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


def ask(clients: list[socket.socket], workload: Workload, requests: int) -> int:
    """Asks `requests` or a few more, on all connections at once; returns how many.

    Where the workload wants a connection for each, `clients` are others afterwards. Raises ProbeError
    when an answer is wrong or a connection ends, OSError where there is none to be had.
    """
    payloads, asked = workload.payloads, 0
    while asked < requests:
        for place, client in enumerate(clients):
            if workload.closes:
                clients[place] = replaced(client, workload)
            clients[place].sendall(payloads[asked // workload.depth % len(payloads)])
            asked += workload.depth
        kept = [read_answers(client, workload) for client in clients]
        if not (workload.closes or all(kept)):
            raise ProbeError("does not keep the connection")
    return asked


def connect(port: int, workload: Workload) -> socket.socket:
    """A connection to a server that valgrind slows."""
    client = probe.connect(port, workload)
    client.settimeout(PATIENCE)
    return client


def replaced(client: socket.socket, workload: Workload) -> socket.socket:
    """Another connection to the same server, in place of `client`."""
    port: int = client.getpeername()[1]
    client.close()
    return connect(port, workload)


def clients_of(
    port: int, workload: Workload, connections: int, stack: ExitStack
) -> list[socket.socket]:
    """So many connections; those that the list has in the end are closed with `stack`."""
    clients: list[socket.socket] = []

    def close() -> None:
        for client in clients:
            client.close()

    stack.callback(close)
    clients += (connect(port, workload) for _ in range(connections))
    return clients


def mark(clients: list[socket.socket], workload: Workload) -> None:
    """Has a new count begin, by one of the connections where they stay: another would be counted, too."""
    if workload.closes:
        clients[0] = replaced(clients[0], workload)
    ask(clients[:1], MARK, 1)


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
    """Raises ServerError, also without valgrind, ProbeError, MalformedAnswerError, OSError."""
    if shutil.which("valgrind") is None:
        raise ServerError("valgrind is not installed (Debian: valgrind)")
    step = connections * max(workload.depth for workload in chosen)
    few = step * max(1, requests // WINDOWS // 4 // step)
    many = few + step * max(1, requests // WINDOWS // step)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out.%p"),
            *("--quiet", "--dump-before=getsid", *programs.command(server, port)),
        ]
        with Running(server.name, command, port, environment=FIXED, patience=PATIENCE):
            for workload in chosen:
                with ExitStack() as stack:
                    clients = clients_of(port, workload, connections, stack)
                    ask(clients, workload, WARM_UP * connections)
                    mark(clients, workload)
                    for number in (few, many) * WINDOWS:
                        ask(clients, workload, number)
                        mark(clients, workload)
        written = dumps(folder)
        each = 1 + 2 * WINDOWS
        if len(written) != each * len(chosen):
            raise ServerError(f"callgrind wrote {len(written)} counts")
        return [
            figure_of(workload, written[each * place + 1 :][: 2 * WINDOWS], few, many, functions)
            for place, workload in enumerate(chosen)
        ]


def figure_of(
    workload: Workload,
    windows: Sequence[tuple[int, Path]],
    few: int,
    many: int,
    functions: int,
) -> Figure:
    """From windows of few and of many requests, in turn, each with one mark at its end."""
    short, (long, path) = (sorted(kind)[WINDOWS // 2] for kind in (windows[::2], windows[1::2]))
    costs = most_expensive(path, functions, many)
    return Figure(workload.name, (long - short[0]) / (many - few), costs)
