"""S9: thousands of clients that send a head, send a body or read an answer at a byte now and then.

A good client must hardly notice them, whichever execution model has them: it would, if one of them held a thread of the
application or made the loop work. Each is evicted by its deadline, and another takes its place until the end.
"""

import errno
import heapq
import select
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, descriptors_for, request, reset
from tests.chaos.figures import Figure
from tests.chaos.strict_client import Sample, StrictClient

TITLE: Final = "slow clients"

RATIO: Final = 2.0  # of the good client's times in company to those alone
SWEEP: Final = 3.0  # seconds an eviction may come late: deadlines are swept once a second
RATE_GRACE: Final = 10.0  # seconds before the rate of a body counts
OPENED: Final = 1000  # connections a second: from a queue that overflows they would come later
BATCH: Final = 20
RECEIVE_BUFFER: Final = 4096  # bytes: a reader's window opens again only after half of it was read


@dataclass(frozen=True)
class Size:
    """How many connections of all kinds together; the rest in seconds."""

    connections: int
    interval: float
    """Between two bytes of a slow client."""
    body_interval: float
    """The same for one that sends a body: at five seconds it is its rate that ends it, else its silence."""
    header_timeout: int
    body_timeout: int
    send_timeout: int
    windows: int
    """Of the good client."""
    window: float
    quantile: str
    """Which one of the good client's times is judged."""
    floor: float
    """Milliseconds under which the good client's times are noise."""


SHORT: Final = Size(300, 0.5, 4, 2, 1, 1, windows=5, window=0.5, quantile="p95", floor=20)
LONG: Final = Size(5000, 5, 5, 10, 30, 30, windows=6, window=10, quantile="p99", floor=0.5)


@dataclass(frozen=True)
class Kind:
    """One way to be slow."""

    name: str
    opening: bytes
    interval: float
    """Seconds between two bytes."""
    allowed: float
    """Seconds until the server's deadline."""
    reads: bool = False
    """Reads a byte at a time; the others send one at a time and are told 408."""


def kinds(size: Size) -> tuple[Kind, ...]:
    head = request("/hello")[:-2] + b"X: "
    body = request("/upload", "Content-Length: 1000000", method="POST")
    patience = min(size.body_timeout, RATE_GRACE)
    return (
        Kind("head", head, size.interval, size.header_timeout),
        Kind("body", body, size.body_interval, patience),
        Kind("reader", request("/large"), size.interval, size.send_timeout, reads=True),
    )


@dataclass(eq=False, order=False)
class Slow:
    """One slow client."""

    kind: Kind
    socket: socket.socket
    opened: float
    first: bytes = b""

    def step(self) -> bool:
        """Send or read the next byte; False where the connection has ended."""
        if self.kind.reads:
            return not self.take(1)
        try:
            self.socket.send(b"x")
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def take(self, most: int = 65536) -> bool:
        """Receive once; whether the connection has ended."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self.first = self.first or data
        return not data

    @property
    def told(self) -> bool:
        """Whether it got what its kind is to get: 408, or the beginning of its answer."""
        return self.first.startswith(b"H" if self.kind.reads else b"HTTP/1.1 408 ")


class Crowd:
    """The slow clients, in equal parts of each kind, turned by one thread."""

    def __init__(self, port: int, size: Size) -> None:
        self._address = ("127.0.0.1", port)
        self._size = size
        self._epoll = select.epoll()
        self._clients: dict[int, Slow] = {}
        self._due: list[tuple[float, int, Slow]] = []
        self._replaced = True
        self.evicted: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.latest = 0.0

    def __enter__(self) -> "Crowd":
        kinds_of_it = kinds(self._size)
        for number in range(self._size.connections):
            self._open(kinds_of_it[number % len(kinds_of_it)])
            if number % BATCH == 0:
                self.run(BATCH / OPENED)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._epoll.close()

    def run(self, seconds: float) -> None:
        """Trickle for so long, each evicted client having a successor."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._turn(left)

    def finish(self) -> None:
        """Trickle until the last client is evicted, or is known not to be."""
        self._replaced = False
        while self._clients:
            self._turn(1.0)

    def _turn(self, wait: float) -> None:
        if self._due:
            wait = min(wait, max(0.0, self._due[0][0] - time.monotonic()))
        for fd, events in self._epoll.poll(wait):
            self._on_event(self._clients[fd], events)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, fd, client = heapq.heappop(self._due)
            if self._clients.get(fd) is client:
                self._on_time(client, now)

    def _open(self, kind: Kind) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if kind.reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        code = sock.connect_ex(self._address)
        assert code in (0, errno.EINPROGRESS), errno.errorcode[code]
        client = Slow(kind, sock, time.monotonic())
        self._clients[sock.fileno()] = client
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def _on_event(self, client: Slow, events: int) -> None:
        if events == select.EPOLLOUT:  # connected
            client.socket.send(client.kind.opening)
            client.opened = time.monotonic()
            fd = client.socket.fileno()
            # A reader leaves its answer where it is: a reset tells it of its end.
            self._epoll.modify(fd, 0 if client.kind.reads else select.EPOLLIN)
            self._wait(client, client.kind.interval)
        elif client.take():
            self._ended(client)

    def _on_time(self, client: Slow, now: float) -> None:
        if now - client.opened < client.kind.allowed + SWEEP:
            if client.step():
                self._wait(client, client.kind.interval)
            else:
                self._ended(client)
        else:
            self.faults[f"{client.kind.name} not evicted"] += 1
            self._forget(client)

    def _wait(self, client: Slow, seconds: float) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, client.socket.fileno(), client))

    def _ended(self, client: Slow) -> None:
        self.evicted[client.kind.name] += 1
        if not client.told:
            self.faults[f"{client.kind.name} told {client.first[:20]!r}"] += 1
        self.latest = max(self.latest, time.monotonic() - client.opened - client.kind.allowed)
        self._forget(client)

    def _forget(self, client: Slow) -> None:
        del self._clients[client.socket.fileno()]
        reset(client.socket)  # leaves no port in TIME_WAIT
        if self._replaced:
            self._open(client.kind)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """The good client's times beside those at a server without the crowd, and how the crowd ended."""
    options = (
        *("--header-timeout", str(size.header_timeout), "--body-timeout", str(size.body_timeout)),
        *("--send-timeout", str(size.send_timeout), "--keep-alive", "600"),
    )
    with (
        descriptors_for(size.connections),
        arena.server(*options) as server,
        arena.server(*options) as quiet,
    ):
        with StrictClient(server.port, quiet.port) as client, Crowd(server.port, size) as crowd:
            samples = []
            for _ in range(size.windows):
                client.begin(size.window)
                crowd.run(size.window)
                samples.append(client.result())
                times = " and ".join(f"{sample.p99:.3g}" for sample in samples[-1])
                arena.say(f"p99 {times} ms without them; evicted {dict(crowd.evicted)}")
            crowd.finish()
        left = server.descriptors_left()
    arena.say(f"faults {dict(crowd.faults)}")
    pressed, alone = (median(column, size.quantile) for column in zip(*samples, strict=True))
    limit = max(RATIO * alone, size.floor)
    yield Figure(f"good client's {size.quantile} (alone {alone:.3g} ms)", pressed, limit, "ms")
    yield Figure("good client's faults", sum(len(s.faults) for row in samples for s in row), 0)
    yield Figure("slow clients not ended as they should be", crowd.faults.total(), 0)
    yield Figure("kinds of which none was evicted", len(kinds(size)) - len(crowd.evicted), 0)
    yield Figure("latest eviction behind its deadline", crowd.latest, SWEEP, "s")
    yield Figure("descriptors left", left, 0)


def median(samples: Iterable[Sample], quantile: str) -> float:
    """Of the windows' percentiles: a window that the machine disturbed does not count."""
    return statistics.median(float(getattr(sample, quantile)) for sample in samples)
