"""Many clients, many threads, the GIL passed on as often as it can be: every byte of every answer is its request's own.

The reactor runs in a thread of its own here. Chance comes from a seed; the order of events does not.
"""

import random
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.loop import SteppedServer, Transport
from tests.support.responses import ResponseReader

CLIENTS = 8
CONVERSATIONS = 25  # of each client; one has up to `MOST` requests on a connection
MOST = 12
PATIENCE = 30.0
RESET = struct.pack("ii", 1, 0)
KINDS = ("whole", "parts", "write", "file", "large")

Environ = dict[str, Any]


@pytest.fixture(params=["tcp", "unix", "tls"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return cast(Transport, request.param)


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads are switched at nearly every chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def answer_of(kind: str, token: str, body: bytes) -> bytes:
    once = b"%b:%b:%b;" % (kind.encode(), token.encode(), body)
    return once * {"whole": 1, "parts": 20, "write": 3, "file": 50, "large": 20_000}[kind]


class Application:
    """Answers with the token of the request in the manner that the path names, and distrusts its environ."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wrong: list[str] = []
        self.opened = 0
        self.closed = 0

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        kind, token = environ["PATH_INFO"][1:].split("/")
        if environ["HTTP_TOKEN"] != token or environ["QUERY_STRING"] != token:
            self.wrong.append(f"{token}: {environ}")
        if "test.left" in environ or "HTTP_LEFT" in environ:
            self.wrong.append(f"{token} has what another left")
        body = environ["wsgi.input"].read()
        answer = answer_of(kind, token, body)
        if hash(token) % 3 == 0:
            environ["test.left"] = environ["HTTP_LEFT"] = token
        write = start_response("200 OK", [("Content-Type", "text/plain"), ("Token", token)])
        if kind in ("whole", "large"):
            return [answer]
        if kind == "write":
            write(answer[:5])
            write(answer[5:])
            return []
        if kind == "file":
            path = self.folder / token
            path.write_bytes(answer)
            file = path.open("rb")
            path.unlink()
            return cast(Iterable[bytes], environ["wsgi.file_wrapper"](file))
        return self.parts(environ, token, answer)

    def parts(self, environ: Environ, token: str, answer: bytes) -> Iterator[bytes]:
        self.opened += 1
        try:
            for start in range(0, len(answer), 7):
                if environ["HTTP_TOKEN"] != token:
                    self.wrong.append(f"{token} became {environ['HTTP_TOKEN']}")
                yield answer[start : start + 7]
        finally:
            self.closed += 1


class Visitor(threading.Thread):
    """One client after the other, each with a few requests in a row; some leave in the middle."""

    def __init__(self, server: SteppedServer, name: str) -> None:
        super().__init__(name=name)
        self.server = server
        self.chance = random.Random(name)
        self.wrong: list[str] = []
        self.answered = 0

    def run(self) -> None:
        for number in range(CONVERSATIONS):
            try:
                self.converse(number)
            except Exception as error:  # the test's own thread tells it
                self.wrong.append(f"{self.name}: {error!r}")

    def converse(self, number: int) -> None:
        chance = self.chance
        wanted = [
            (chance.choice(KINDS), f"{self.name}-{number}-{index}", b"b" * chance.choice((0, 0, 9)))
            for index in range(chance.randint(1, MOST))
        ]
        leaves = chance.random() < 0.2
        with socket.socket(self.server.socket.family) as client:
            client.settimeout(PATIENCE)
            client.connect(self.server.socket.getsockname())
            data = b"".join(request_of(*request) for request in wanted)
            at_once = chance.random() < 0.5
            reader = ResponseReader(["POST"] * len(wanted))
            if at_once:
                client.sendall(data)
            for index, request in enumerate(wanted):
                if not at_once:
                    client.sendall(request_of(*request))
                if leaves and chance.random() < 0.3:
                    if chance.random() < 0.5 and self.server.transport == "tcp":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    return
                while sum(response.complete for response in reader.responses) <= index:
                    received = client.recv(chance.choice((100, 4096, 1 << 18)))
                    assert received, "the stream ended"
                    reader.feed(received)
                self.check(reader, index, request)

    def check(self, reader: ResponseReader, index: int, request: tuple[str, str, bytes]) -> None:
        response = reader.responses[index]
        if response.body != answer_of(*request) or response.get("token") != request[1]:
            self.wrong.append(f"{request}: {response.body[:200]!r}")
        self.wrong += reader.violations
        self.answered += 1


def request_of(kind: str, token: str, body: bytes) -> bytes:
    method = "POST" if body else "GET"
    head = f"{method} /{kind}/{token}?{token} HTTP/1.1\r\nHost: a\r\nToken: {token}\r\n"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return (head + length + "\r\n").encode() + body


@pytest.mark.parametrize("threads", [2, 16])
def test_no_byte_is_anothers(
    transport: Transport,
    threads: int,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path_factory.mktemp("s")
    app = Application(folder)
    settings: dict[str, Any] = {"execution": "threads", "threads": threads}
    with SteppedServer(app, folder, transport, **settings, keepalive=60) as server:
        reactor = threading.Thread(target=server.server.run)
        reactor.start()
        visitors = [Visitor(server, f"v{number}") for number in range(CLIENTS)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        server.server.stop()
        reactor.join()
        server.until(lambda: server.server.connections == 0, "the connections to be forgotten")
        server.settle()
        assert [visitor.wrong for visitor in visitors] == [[]] * CLIENTS
        assert app.wrong == []
        assert app.opened == app.closed
        assert caplog.messages == []
        assert sum(visitor.answered for visitor in visitors) > CLIENTS * CONVERSATIONS * MOST // 3
