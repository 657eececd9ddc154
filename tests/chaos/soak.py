"""S22: a million requests or ten, a fifth of them gone wrong in every way. Nothing grows.

Good clients ask many things at once on connections that they keep. While the server has parts of what they send, others
have errors of the application, are refused, go away in every phase, or send and read a little at a time. Now and then
all go, and memory and descriptors are looked at; what counts is the slope through these points, once the server has
warmed up.
"""

import socket
import statistics
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.chaos.application import LARGE
from tests.chaos.arena import Arena, RunningServer, read_answer, request
from tests.chaos.figures import Figure
from tests.chaos.pipeline import Pipeline
from tests.chaos.resets import PHASES, Fifos, reset_together, reset_while_running
from tests.support.builds import FREE_THREADED

TITLE: Final = "a soak"

CLIENTS: Final = 4
EACH: Final = 20  # requests of each in a round
TOGETHER: Final = 2  # clients that are reset in each phase of a round
STEPS: Final = 8  # rounds that a slow client takes
OPTIONS: Final = ("--keep-alive", "60", "--limit-request-body", "1000000")

CLOSING: Final = "Connection: close"
# What is sent and the status of the answer, by whose fault it is.
APPLICATIONS: Final = ((request("/fail", CLOSING), 500), (request("/break", CLOSING), 200))
CLIENTS_OWN: Final = (
    (request("/hello", "Host: another"), 400),
    (request("/hello", "Transfer-Encoding: chunked", method="POST") + b"x\r\n", 400),
    (request("/hello", "Content-Length: 1000001", method="POST"), 413),
    (request("/hello", "Field: " + 10_000 * "x"), 431),
)
SLOW: Final = (
    request("/hello", CLOSING),
    request("/upload", "Content-Length: 64", CLOSING, method="POST") + bytes(64),
)
GOOD: Final = CLIENTS * EACH
# Besides the good ones: a slow sender and a slow reader too.
OTHERS: Final = len(APPLICATIONS) + len(CLIENTS_OWN) + TOGETHER * (len(PHASES) + 1) + 2
ERRORS_OF_ROUND: Final = 4  # lines of the log that tell of one: two failures, and their tracebacks


@dataclass(frozen=True)
class Size:
    """How many requests, how many of them before anything counts, and how often it is looked."""

    requests: int
    warm_up: int
    looks: int
    slope: float
    """Bytes that the worker may grow with each request. 1 is a MB a million; an object that leaks has 40 or more."""


# Without the GIL memory is given back late, and it takes longer until there is enough of it.
SHORT: Final = Size(80_000, 30_000, 16, 40) if FREE_THREADED else Size(20_000, 8_000, 10, 40)
LONG: Final = Size(1_000_000, 200_000, 25, 1)
LONGEST: Final = Size(10_000_000, 1_000_000, 100, 1)


class Company:
    """All clients of a server, round after round."""

    def __init__(self, server: RunningServer, fifos: Fifos) -> None:
        self._server = server
        self._fifos = fifos
        self._good = [Pipeline(server.port, b"%d" % number) for number in range(CLIENTS)]
        self._slow: deque[Iterator[None]] = deque()
        self.rounds = 0
        self.wrong: Counter[str] = Counter()

    def turn(self) -> None:
        """One round: good ones, and a fifth that are not."""
        for client in self._good:
            client.send(EACH)
        for sent, status in (*APPLICATIONS, *CLIENTS_OWN):
            self._ask(sent, status)
        for phase in PHASES:
            reset_together(self._server, phase, TOGETHER)
        for _ in range(TOGETHER):
            reset_while_running(self._server, self._fifos)
        self._slow.append(self._send_slowly(SLOW[self.rounds % len(SLOW)]))
        self._slow.append(self._read_slowly())
        self._step()
        self.wrong["good"] += sum(client.finish() for client in self._good)
        self.rounds += 1

    def leave(self) -> None:
        """Have all go, the slow ones with their answers."""
        while self._slow:
            self._step()
        for client in self._good:
            client.close()

    def come_back(self) -> None:
        """Have the good ones connect again."""
        for client in self._good:
            client.connect()

    def _ask(self, sent: bytes, status: int) -> None:
        """A request whose answer is the last on its connection, or breaks off."""
        received = b""
        with self._server.connect() as client, suppress(ConnectionResetError):
            client.sendall(sent)
            while data := client.recv(65536):
                received += data
        self.wrong[f"{status}"] += not received.startswith(b"HTTP/1.1 %d " % status)

    def _step(self) -> None:
        """One step of each slow client; those at their end leave."""
        self._slow = deque(client for client in self._slow if next(client, self) is not self)

    def _send_slowly(self, sent: bytes) -> Iterator[None]:
        size = -(-len(sent) // STEPS)
        with self._server.connect() as client:
            for start in range(0, len(sent), size):
                client.sendall(sent[start : start + size])
                yield
            self.wrong["slow senders"] += read_answer(client).status != 200

    def _read_slowly(self) -> Iterator[None]:
        received = 0
        with self._server.connect() as client:
            client.sendall(request("/large", CLOSING))
            while data := client.recv(LARGE // STEPS, socket.MSG_WAITALL):
                received += len(data)
                yield
        self.wrong["slow readers"] += received < LARGE


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What was answered wrongly, what grew, and whether the log tells of anything else."""
    points = []
    with Fifos(arena.folder) as fifos, arena.server(*OPTIONS) as server:
        company = Company(server, fifos)
        for look in range(1, size.looks + 1):
            while (asked := company.rounds * (GOOD + OTHERS)) < look * size.requests / size.looks:
                company.turn()
            company.leave()
            points.append(Point(asked, server.worker.resident(), server.descriptors_left()))
            arena.say(f"{points[-1]}; answered wrongly {+company.wrong}")
            company.come_back()
        company.leave()
        unasked = server.errors() - company.rounds * ERRORS_OF_ROUND
    counted = [point for point in points if point.asked >= size.warm_up]
    yield Figure(f"of {asked:,} requests answered wrongly", company.wrong.total(), 0)
    yield Figure("resident memory more for each", slope(counted), size.slope, "B")
    yield Figure("descriptors left", max(point.descriptors for point in counted), 0)
    yield Figure("errors in the log, besides the application's", unasked, 0)


class Point(NamedTuple):
    """What a look saw: requests until then, bytes that are resident, descriptors more than at first."""

    asked: int
    resident: int
    descriptors: int

    def __str__(self) -> str:
        return f"{self.asked:,} requests, {self.resident / 1e6:.2f} MB, {self.descriptors} descriptors more"


def slope(points: Sequence[Point]) -> float:
    """Bytes for each request, by least squares."""
    asked, resident = zip(*((point.asked, point.resident) for point in points), strict=True)
    return statistics.linear_regression(asked, resident).slope
