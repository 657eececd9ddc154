"""A server whose reactor the test's own thread turns, over real sockets, on a clock that the test moves.

Nothing sleeps. Sending on a local socket makes the bytes readable for the server at once; `turn` then waits in epoll
for that event. What takes several turns is awaited by `until`, which turns the reactor until a condition holds and
fails after `PATIENCE` seconds of wall time without it. Where threads run the application, `settle` also waits until
none of them is busy; what one sends by itself is no event of the reactor, so each turn is short.
"""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from fastwsgi._clock import Clock
from fastwsgi.net.listener import bind
from fastwsgi.net.tls import Endpoint
from fastwsgi.observe.logger import Logger
from fastwsgi.serving import Server
from fastwsgi.wiring import build
from tests.support.certificates import TlsSocket, client_context, make_endpoint
from tests.support.responses import Ending, Response, ResponseReader, read_responses
from tests.support.settings import make_settings

Transport = Literal["tcp", "unix", "tls"]

PATIENCE = 5.0
TURN_SECONDS = 0.02
TURN_SECONDS_WITH_THREADS = 0.0005
QUIET_TURNS = 10_000
SMALL = 65536  # received bytes up to which the reading of equal streams is shared
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds


class SteppedServer:
    """A server built by the composition root on one listening socket; `clock.advance` moves its deadlines."""

    def __init__(
        self,
        app: Callable[..., Any],
        folder: Path,
        transport: Transport = "tcp",
        log: Logger | None = None,
        *,
        endpoint: Endpoint | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        """Binds a free port of 127.0.0.1, or a socket file in `folder` (short: 107 bytes with its name)."""
        self.app: Any = app
        self.transport = transport
        wanted = cast(
            Any, make_settings(**settings, url_scheme="https" if transport == "tls" else "http")
        )
        if transport == "tls" and endpoint is None:
            endpoint = make_endpoint()
        self.socket = bind(
            f"unix:{folder}/{id(self):x}.sock" if transport == "unix" else "127.0.0.1:0"
        )
        self.clock = clock or Clock()
        self.turn_seconds = TURN_SECONDS
        try:
            self.server: Server = build(
                wanted, app, [self.socket], endpoint=endpoint, clock=self.clock, log=log
            )
        except BaseException:
            self.socket.close()
            raise
        if self.server.elsewhere is not None:
            self.turn_seconds = TURN_SECONDS_WITH_THREADS

    def __enter__(self) -> "SteppedServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.server.close()
        self.socket.close()

    def turn(self, timeout: float = 0.0) -> int:
        """One turn of the reactor, waiting at most `timeout` seconds; returns the number of events."""
        return self.server.reactor.turn(timeout)

    def settle(self) -> None:
        """Turns until no event is ready and no thread is busy, unless with waiting for its client."""
        threads = self.server.elsewhere
        for _ in range(QUIET_TURNS):
            rest = (
                threads is None or threads.at_rest
            )  # a thread that rests has woken the reactor before
            if not self.turn(0 if rest else self.turn_seconds) and rest:
                return
        raise AssertionError(f"the reactor spins: {QUIET_TURNS} turns and events are still ready")

    def until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Turns until the condition holds; AssertionError naming `what` when it does not in `patience` seconds."""
        if condition():  # to find out may itself take long: it reads thousands of answers
            return
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {patience} s in vain for {what}")
            self.turn(self.turn_seconds)

    def advance(self, seconds: float) -> None:
        """Moves the clock, a second at a time, and lets the sweep run after each."""
        while seconds > 0:
            step = min(seconds, 1.0)
            self.clock.advance(step)
            self.turn()
            seconds -= step

    def connect(
        self,
        *methods: str,
        accepted: bool = True,
        context: ssl.SSLContext | None = None,
        handshake: bool = True,
    ) -> "Client":
        """Opens a connection whose requests have these methods (GET unless said). `accepted`: seen by the server.

        `context` is the client's TLS, where the server speaks that; without `handshake` it speaks none all the same.
        """
        before = self.server.connections
        client = Client(self, methods, (context or client_context()) if handshake else None)
        if accepted:
            self.until(lambda: self.server.connections > before, "the connection to be accepted")
        return client

    @contextlib.contextmanager
    def connection(self, *methods: str, accepted: bool = True) -> Iterator["Client"]:
        """`connect` for a with statement, after which the server has forgotten every connection."""
        client = self.connect(*methods, accepted=accepted)
        try:
            yield client
        finally:
            client.close()
        self.until(lambda: self.server.connections == 0, "the server to forget the connection")


class Client:
    """One non-blocking client socket and everything it received."""

    def __init__(
        self, server: SteppedServer, methods: tuple[str, ...], context: ssl.SSLContext | None
    ) -> None:
        self.server = server
        self.methods = methods
        self.received = bytearray()
        self.ending: Ending | None = None
        self._reader: ResponseReader | None = None
        self._read = 0
        self._receiving = threading.Lock()  # an application under test may look what came so far
        self.socket: Any = socket.socket(server.socket.family)
        self.socket.connect(server.socket.getsockname())
        self.socket.setblocking(False)
        if server.transport != "unix":
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.transport == "tls" and context is not None:
            self.socket = TlsSocket(self.socket, context)
            server.until(self.socket.shake_hands, "the handshake")

    def put(self, data: bytes | memoryview) -> int:
        """Sends what the kernel takes now, without turning; a peer that is gone takes everything."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            return len(data)

    def send(self, data: bytes) -> bool:
        """Sends everything and turns at least once; False when a live connection gave the server no event."""
        view, heard = memoryview(data), True
        while view and heard:
            view = view[self.put(view) :]
            heard = self.server.turn(0.0 if self.ending else 1.0) > 0 or self.ending is not None
            self.receive()
        return heard

    def receive(self) -> None:
        """Takes what is there to read, without turning."""
        with self._receiving:
            while self.ending is None:
                try:
                    data = self.socket.recv(1 << 18)
                except BlockingIOError:
                    return
                except ConnectionResetError:
                    self.ending = "reset"
                    return
                if not data:
                    self.ending = "eof"
                self.received += data

    def await_bytes(self, wanted: bytes) -> bool:
        """Receive, without turning, until these bytes came; whether they did. An application under test may call it."""
        end = time.monotonic() + PATIENCE
        self.receive()
        while wanted not in self.received and self.ending is None and time.monotonic() < end:
            select.select([self.socket], [], [], TURN_SECONDS)  # the test's thread may receive, too
            self.receive()
        return wanted in self.received

    def half_close(self) -> None:
        """Sends the end of the stream; reading goes on."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with a reset where the transport knows one, so that no port stays in TIME_WAIT."""
        if self.server.transport != "unix":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()

    @property
    def reader(self) -> ResponseReader:
        """What was received so far, read as responses."""
        if len(self.received) <= SMALL and self._reader is None:
            return read_responses(bytes(self.received), self.methods, self.ending)
        if self._reader is None:
            self._reader = ResponseReader(self.methods)
        self._reader.feed(bytes(self.received[self._read :]))
        self._read = len(self.received)
        if self.ending is not None and self._reader.ending is None:
            self._reader.feed_end(self.ending)
        return self._reader

    @property
    def responses(self) -> list[Response]:
        return self.reader.responses

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    def await_responses(self, count: int) -> list[Response]:
        """Turns until `count` complete responses are there; returns all there are."""

        def enough() -> bool:
            self.receive()
            return self.ending is not None or self._completed() >= count

        self.server.until(enough, f"{count} responses")
        assert self._completed() >= count, (
            f"{self.ending} after {self.statuses}, before {count} responses"
        )
        return self.responses

    def _completed(self) -> int:
        return sum(response.complete for response in self.responses)

    def await_end(self) -> Ending:
        """Turns until the server has ended the stream; returns how."""

        def ended() -> bool:
            self.receive()
            return self.ending is not None

        self.server.until(ended, f"the end of the stream after {self.statuses}")
        return cast(Ending, self.ending)

    def exchange(self, data: bytes) -> Response:
        """Sends one request and returns its response."""
        count = len(self.responses)
        self.send(data)
        return self.await_responses(count + 1)[count]
