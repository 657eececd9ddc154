"""Load by h2load, where it is installed, as HTTP/1.1: for workloads whose requests are all the same."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.load import GRACE, LoadError, Outcome
from bench.workloads import Workload

FINISHED = re.compile(r"^finished in ([\d.]+)(ms|s|us)", re.MULTILINE)
REQUESTS = re.compile(
    r"^requests: .* (?P<done>\d+) done, \d+ succeeded, (?P<failed>\d+) failed, (?P<errored>\d+) errored",
    re.MULTILINE,
)
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def run(
    port: int, workload: Workload, connections: int, seconds: int, cpus: Sequence[int] = (0,)
) -> Outcome:
    """One h2load with a thread for each of `cpus`. Raises LoadError."""
    if len(workload.requests) > 1:
        raise LoadError("h2load cannot change the fields of its requests")
    if workload.closes:
        raise LoadError("h2load opens no connection for each request")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        log = Path(name, "log")
        words = command(port, workload, connections, seconds, min(len(cpus), connections), log)
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=seconds + GRACE, check=False
            )
        except FileNotFoundError:
            raise LoadError("h2load is not installed") from None
        except subprocess.TimeoutExpired:
            raise LoadError(f"h2load did not end within {seconds + GRACE:.0f} s") from None
        latencies = read_log(log) if workload.depth == 1 else []
    return parse(done.stdout, done.stderr, seconds, latencies)


def command(  # noqa: PLR0917
    port: int, workload: Workload, connections: int, seconds: int, threads: int, log: Path
) -> list[str]:
    """The command line that sends the workload's request; its body goes to a file beside `log`."""
    head, _, body = workload.requests[0].partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    words = [
        *("h2load", "--h1", "--clients", str(connections), "--threads", str(threads)),
        *("--duration", str(seconds), "--max-concurrent-streams", str(workload.depth)),
        *("--log-file", str(log)),
    ]
    for field in fields:
        if not field.lower().startswith("content-length:"):  # its own
            words += ["--header", field]
    if method == "POST":
        data = log.with_name("body")
        data.write_bytes(body)
        words += ["--data", str(data)]
    return [*words, f"{workload.scheme}://127.0.0.1:{port}{target}"]


def read_log(log: Path) -> list[float]:
    """The latencies of the answers with status 200, in seconds, in order."""
    if not log.exists():
        return []
    rows = (line.split("\t") for line in log.read_text().splitlines())
    return sorted(int(row[2]) * 1e-6 for row in rows if row[1] == "200")


def parse(output: str, errors: str, seconds: int, latencies: Sequence[float]) -> Outcome:
    """What h2load printed. Raises LoadError when there is no result in it."""
    finished, requests = FINISHED.search(output), REQUESTS.search(output)
    if finished is None or requests is None:
        lines = (errors + output).strip().splitlines() or ["h2load printed nothing"]
        raise LoadError(lines[-1])
    taken = float(finished[1]) * UNITS[finished[2]]
    return Outcome(
        requests=int(requests["done"]),
        seconds=taken or seconds,
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        errors=int(requests["failed"]) + int(requests["errored"]),
    )


def percentile(latencies: Sequence[float], share: float) -> float | None:
    if not latencies:
        return None
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))]
