"""Realistic users of a small shop, by Locust: its own master and several processes of its users.

They log in by a form and keep the session's cookie, look at lists and details, upload, download, and load a
style sheet; every answer is checked for its content. One failed request fails the run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median
from typing import Any

from bench import servers
from bench.charts import least_first
from bench.load import LoadError
from bench.programs import FOLDER, ROOT
from bench.record import Record
from bench.run import Run, add_servers, chosen_servers, count
from bench.running import Running, pinned
from bench.servers import Server
from bench.tables import Chart, Table, unmeasured

ABOUT = "realistic users (Locust); fails where one request failed"
USERS = FOLDER / "locustfile.py"
MIX = "users"  # the workload's name in the record
GRACE = 60.0  # seconds that locust may take beyond its time
HEADINGS = ("server", "requests", "failed", "p50 ms", "p95 ms", "p99 ms", "CPU µs each", "note")
SHARES = (0.5, 0.95, 0.99)
# Users speak HTTP to a shop.
NAMES = tuple(s.name for s in servers.TABLE if not s.hello_only and s.model != "tls")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=count, default=50, metavar="N")
    parser.add_argument("--seconds", type=count, default=15, metavar="S")
    parser.add_argument("--rounds", type=count, default=1, metavar="N")
    parser.add_argument(
        "--processes", type=count, default=2, metavar="N", help="of locust, beside its master (2)"
    )
    add_servers(parser, NAMES, ["fastwsgi"])


def measure(run: Run) -> None:
    options = run.options
    run.record.options["workloads"] = [MIX]
    run.record.facts |= {
        "cores": str(run.cores),
        "load": f"locust, {options.users} users in {options.processes} processes, "
        f"{options.rounds} rounds of {options.seconds} s",
        "figures": "medians of the rounds; milliseconds from a request to its whole answer, all "
        "pages together",
    }
    chosen = run.ready(chosen_servers(run))
    run.steps = options.rounds * len(chosen)
    for number in range(options.rounds):
        for server in chosen if number % 2 else reversed(chosen):
            with run.attempt(server.name, MIX):
                visit(run, number, server)


def visit(run: Run, number: int, server: Server) -> None:
    """Raises LoadError without locust, or when it does not end."""
    if importlib.util.find_spec("locust") is None:
        raise LoadError("locust is not installed: pip install '.[bench]'")
    with run.start(server, "shop") as running:
        before = running.cpu_seconds()
        with pinned(run.cores.load):
            pages = run_locust(running, run.options)
        used = running.cpu_seconds() - before
        running.check()
        figures = summary(pages)
        run.record.add(
            server.name, MIX, number, **figures, cpu_seconds=used, memory=running.memory()
        )
    run.step(
        f"{server.name}: {figures['requests']:,.0f} requests, {figures['failures']:.0f} failed, "
        f"{1000 * figures['p95']:.0f} ms for 95 %"
    )


def command(port: int, options: argparse.Namespace) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(USERS)),
        *("--headless", "--only-summary", "--json", "--processes", str(options.processes)),
        *("--users", str(options.users), "--spawn-rate", str(options.users)),
        *("--run-time", f"{options.seconds}s", "--stop-timeout", "10"),
        *("--exit-code-on-error", "0", "--host", f"http://127.0.0.1:{port}"),
    ]


def run_locust(server: Running, options: argparse.Namespace) -> list[Mapping[str, Any]]:
    """What locust has counted of each page. Raises LoadError."""
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command(server.port, options),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            output, _ = process.communicate(timeout=options.seconds + GRACE)
        except subprocess.TimeoutExpired:
            raise LoadError("locust does not end") from None
        finally:
            with suppress(ProcessLookupError):  # the whole group has gone already
                os.killpg(process.pid, signal.SIGKILL)
        said.seek(0)
        return parse(output, said.read())


def parse(output: str, errors: str) -> list[Mapping[str, Any]]:
    """The longest of the lists that the master and the other processes, which count nothing, print.

    Raises LoadError when there is none.
    """
    lists: list[list[Mapping[str, Any]]] = [[]]
    rest = output.strip()
    with suppress(ValueError):
        while rest:
            found, end = json.JSONDecoder().raw_decode(rest)
            lists.append(found)
            rest = rest[end:].lstrip()
    pages = max(lists, key=len)
    if not pages:
        lines = (output + errors).strip().splitlines() or ["locust printed nothing"]
        raise LoadError(f"locust asked nothing: {lines[-1]}")
    return pages


def summary(pages: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """All pages together, times in seconds."""
    times: dict[float, int] = {}
    for page in pages:
        for milliseconds, number in page["response_times"].items():
            key = float(milliseconds) / 1000
            times[key] = times.get(key, 0) + number
    begun = min(page["start_time"] for page in pages)
    ended = max(page["last_request_timestamp"] or begun for page in pages)
    figures: dict[str, float] = {
        "requests": sum(page["num_requests"] for page in pages),
        "failures": sum(page["num_failures"] for page in pages),
        "seconds": ended - begun,
    }
    return figures | {f"p{100 * share:.0f}": percentile(times, share) for share in SHARES}


def percentile(times: Mapping[float, int], share: float) -> float:
    """The time that `share` of the requests did not exceed."""
    wanted = share * sum(times.values())
    for seconds in sorted(times):
        wanted -= times[seconds]
        if wanted <= 0:
            return seconds
    return 0.0


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
                f"{sum(m['requests'] for m in measured):,.0f}",
                f"{sum(m['failures'] for m in measured):,.0f}",
                *(
                    f"{1000 * median(m[key] for m in measured):.0f}"
                    for key in ("p50", "p95", "p99")
                ),
                f"{1e6 * median(m['cpu_seconds'] / m['requests'] for m in measured):,.0f}",
                reason,
            )
        )
    return [Table("locust", "Users of a shop", HEADINGS, rows)]


def charts(record: Record) -> list[Chart]:
    return [
        least_first(
            record,
            MIX,
            lambda measured: 1000 * float(measured["p99"]),
            "{:.0f} ms".format,
            name="locust",
            title="Users of a shop",
            about="milliseconds that 99 % of the answers do not exceed; less is better",
        )
    ]


def faults(record: Record) -> list[str]:
    """Requests that failed, and servers that could not be visited."""
    found = [
        f"{name}: {failed:.0f} requests failed"
        for name in record.servers
        if (failed := sum(m["failures"] for m in record.of(name, MIX)))
    ]
    return found + [f"{name}: {reason}" for (name, _), reason in record.failures.items()]
