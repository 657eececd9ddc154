"""From the start of the process to the first answer, for fastwsgi and gunicorn in turn.

Both run under this interpreter, with the application of the other benchmarks and one worker. A client tries to
connect every millisecond. Processor time is that of master and worker, from the first instruction to the last.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import workloads
from probe import TIMEOUT, ProbeError, exchange
from servers import FOLDER, START, clean_environment, free_port, no_orphans

NAMES = ("fastwsgi", "gunicorn")
HELLO = workloads.find("hello")
INTERVAL = 0.001  # seconds between two attempts to connect


@dataclass(frozen=True)
class Begun:
    """One start, in seconds."""

    answer: float
    """Until the first answer."""
    processor: float
    """What the whole life took, which was short."""


def measure(name: str) -> Begun:
    """Raises ProbeError where it does not serve."""
    port = free_port()
    command = [sys.executable, "-m", name, "--bind", f"127.0.0.1:{port}", "apps:app"]
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=FOLDER, env=clean_environment(), stderr=subprocess.DEVNULL
    )
    try:
        with connect(port, begin + START) as client:
            exchange(client, HELLO.payloads[0], HELLO)
            answer = time.perf_counter() - begin
    except OSError as error:
        process.kill()  # what has hardly begun may not hear TERM
        raise ProbeError(f"{name}: {error}") from error
    finally:
        process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Begun(answer, used.ru_utime + used.ru_stime)


def connect(port: int, deadline: float) -> socket.socket:
    """Raises OSError where nobody listens by then."""
    while time.perf_counter() < deadline:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), TIMEOUT)
        time.sleep(INTERVAL)
    raise TimeoutError("accepts nothing")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the time to the first answer.")
    parser.add_argument("--rounds", type=int, default=11, metavar="N")
    options = parser.parse_args(arguments)
    found: dict[str, list[Begun]] = {name: [] for name in NAMES}
    with no_orphans():
        try:
            for number in range(options.rounds):
                for name in NAMES if number % 2 else reversed(NAMES):
                    found[name].append(measure(name))
        except ProbeError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130
    ours, theirs = (tell(name, found[name]) for name in NAMES)
    ratios = [a.answer / b.answer for a, b in zip(*found.values(), strict=True)]
    print(f"fastwsgi / gunicorn, median of the rounds: {statistics.median(ratios):.2f}")
    return ours > theirs


def tell(name: str, starts: Sequence[Begun]) -> float:
    """Print the medians of a server; that of its first answers."""
    answers = sorted(start.answer for start in starts)
    median = statistics.median(answers)
    processor = statistics.median(start.processor for start in starts)
    print(
        f"{name}: {1000 * median:.0f} ms to the first answer ({1000 * answers[0]:.0f} to"
        f" {1000 * answers[-1]:.0f}), {1000 * processor:.0f} ms of processor time"
    )
    return median


if __name__ == "__main__":
    sys.exit(main())
