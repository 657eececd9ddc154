"""The good client: one kept connection to each server, no second try, every byte checked.

It is a process of its own, so that what else a scenario does costs it no time. Its requests go to several servers in
turn, so that what else the machine does tells in the times of all of them:

    with StrictClient(port, another) as client:
        client.begin(2.0)       # two seconds of requests, at an easy pace
        ...
        sample, sample_of_another = client.result()
"""

import json
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType

from tests.chaos.application import GREETING
from tests.chaos.arena import request
from tests.package.checkout import ROOT
from tests.support.responses import read_responses
from tests.support.server import PATIENCE, environment

PAUSE = 0.001  # seconds between two requests: neither of two cores is to be saturated
REQUEST = request("/hello")


@dataclass(frozen=True)
class Sample:
    """The answers of one window; times in milliseconds."""

    answers: int
    faults: list[str]
    p95: float
    p99: float


class StrictClient:
    """The client's process as its starter sees it."""

    def __init__(self, *ports: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.strict_client", *map(str, ports)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, seconds: float) -> None:
        """Have it send requests for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def result(self) -> list[Sample]:
        """What came of the last `begin`, for each server."""
        assert self._process.stdout is not None
        return [Sample(**sample) for sample in json.loads(self._process.stdout.readline())]

    def __enter__(self) -> "StrictClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:  # closes its input, which is its end
            if error is not None:
                self._process.kill()


class Conversation:
    """One server's share of a window."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._client: socket.socket | None = None
        self._latencies: list[float] = []
        self._faults: list[str] = []

    def go_on(self) -> None:
        """One request; what goes wrong is kept and costs the connection."""
        try:
            self._client = self._client or socket.create_connection(self._address, PATIENCE)
            self._latencies.append(exchange(self._client))
        except (OSError, AssertionError) as error:
            self._faults.append(repr(error))
            self.close()

    def sample(self) -> Sample:
        """The window so far; the next one begins."""
        sample = summary(self._latencies, self._faults)
        self._latencies, self._faults = [], []
        return sample

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


def main(ports: Sequence[int]) -> None:
    """Serve windows that are asked for on standard input until its end."""
    conversations = [Conversation(port) for port in ports]
    for line in sys.stdin:
        end = time.monotonic() + float(line)
        while time.monotonic() < end:
            for conversation in conversations:
                conversation.go_on()
            select.select([sys.stdin], [], [], PAUSE)
        samples = [asdict(conversation.sample()) for conversation in conversations]
        print(json.dumps(samples), flush=True)
    for conversation in conversations:
        conversation.close()


def exchange(client: socket.socket) -> float:
    """Send one request, check its answer; the seconds between them. AssertionError for a wrong answer."""
    begin = time.perf_counter()
    client.sendall(REQUEST)
    received = client.recv(65536)
    while not received.endswith(b"\r\n\r\n" + GREETING):
        data = client.recv(65536)
        assert data, f"the connection ended after {received!r}"
        received += data
    taken = time.perf_counter() - begin
    reader = read_responses(received, ("GET",), None)
    assert not reader.violations, reader.violations
    answers = [(answer.status, answer.body) for answer in reader.responses]
    assert answers == [(200, GREETING)], answers
    return taken


def summary(latencies: Sequence[float], faults: list[str]) -> Sample:
    """Percentiles of a window; infinite where too few answers came for any."""
    if len(latencies) < 2:
        return Sample(len(latencies), faults, float("inf"), float("inf"))
    hundredths = statistics.quantiles(latencies, n=100, method="inclusive")
    return Sample(len(latencies), faults, 1000 * hundredths[94], 1000 * hundredths[98])


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
