"""User-space instructions per request, counted by callgrind: the figure that noise cannot touch.

The server runs under valgrind and one keep-alive connection asks one request after another. The
counts of two dumps, before and after a known number of requests, give the cost of one: everything
from epoll_wait's return to the next epoll_wait, the application included, the kernel excluded.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import servers
import workloads
from answer import MalformedAnswerError
from probe import TIMEOUT, ProbeError, exchange
from servers import Programs, Running, Server, ServerError, free_port, last_line, no_orphans
from workloads import Workload

WARM_UP = 200  # requests before the count begins
PATIENCE = 120.0  # seconds: valgrind slows a start-up fiftyfold
MUST = {"hello": 9_000, "browser": 20_000}
TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)
TRIGGER = re.compile(r"^desc: Trigger: dump (\S+)$", re.MULTILINE)
COST = re.compile(r"^ *([\d,]+) .*?\)  (.*)$", re.MULTILINE)


def ask(client: socket.socket, workload: Workload, requests: int) -> None:
    """Raises ProbeError when an answer is wrong or the connection ends."""
    payloads = workload.payloads
    for number in range(requests):
        if not exchange(client, payloads[number % len(payloads)], workload):
            raise ProbeError("does not keep the connection")


def dump(server: Running, label: str) -> None:
    """Makes every process of the server write and zero its counters. Raises ServerError."""
    for pid, _ in server.processes():
        done = subprocess.run(
            ["callgrind_control", f"--dump={label}", str(pid)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if "OK." not in done.stdout:
            raise ServerError(f"callgrind_control: {last_line(done.stdout + done.stderr)}")


def busiest(folder: Path, label: str) -> tuple[int, Path]:
    """The dump of that label with the most instructions: the worker's, not its master's."""
    counts = []
    for path in folder.iterdir():
        text = path.read_text()
        trigger, total = TRIGGER.search(text), TOTAL.search(text)
        if trigger and total and trigger[1] == label:
            counts.append((int(total[1]), path))
    return max(counts)


def most_expensive(path: Path, functions: int, requests: int) -> list[str]:
    """Lines of callgrind_annotate: what each function itself costs a request."""
    done = subprocess.run(
        ["callgrind_annotate", "--inclusive=no", "--threshold=100", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    rows = [(int(cost.replace(",", "")), name) for cost, name in COST.findall(done.stdout)]
    return [
        f"{cost / requests:10,.0f}  {name}"
        for cost, name in rows
        if not name.startswith("PROGRAM TOTALS")
    ][:functions]


def count(
    server: Server,
    programs: Programs,
    chosen: Sequence[Workload],
    requests: int,
    functions: int,
) -> dict[str, tuple[float, list[str]]]:
    """Workload name to instructions per request and the most expensive functions.

    Raises ServerError, ProbeError, MalformedAnswerError, OSError.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [
            *("valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={folder}/out.%p"),
            *programs.command(server, port),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        figures = {}
        with Running(
            server.name, command, port, environment=environment, patience=PATIENCE
        ) as running:
            for workload in chosen:
                with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
                    ask(client, workload, WARM_UP)
                    dump(running, f"{workload.name}-before")
                    ask(client, workload, requests)
                    dump(running, f"{workload.name}-after")
                total, path = busiest(folder, f"{workload.name}-after")
                costs = most_expensive(path, functions, requests) if functions else []
                figures[workload.name] = (total / requests, costs)
        return figures


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count instructions per request by callgrind.")
    parser.add_argument("--servers", nargs="+", choices=servers.NAMES, default=["fastwsgi"])
    parser.add_argument(
        "--workloads", nargs="+", choices=workloads.NAMES, default=["hello", "browser"]
    )
    parser.add_argument("--requests", type=int, default=500, metavar="N")
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
            good = all([report(name, programs, options) for name in options.servers])
    except KeyboardInterrupt:
        return 130
    return int(options.gate and not good)


def report(name: str, programs: Programs, options: argparse.Namespace) -> bool:
    """Counts for one server and prints; False when that fails or a budget is exceeded."""
    chosen = [workloads.find(workload) for workload in options.workloads]
    try:
        if name == "limit":
            programs.compile_limit()
        figures = count(servers.find(name), programs, chosen, options.requests, options.functions)
    except (ServerError, ProbeError, MalformedAnswerError, OSError) as error:
        print(f"{name}: {error}", flush=True)
        return False
    for workload, (figure, costs) in figures.items():
        print(f"{name:18}{workload:16}{figure:10,.0f} instructions per request", flush=True)
        for line in costs:
            print(line)
    return name != "fastwsgi" or all(
        figure <= MUST.get(workload, figure) for workload, (figure, _) in figures.items()
    )


if __name__ == "__main__":
    sys.exit(main())
