"""Requests and responses over TLS where threads meet: OpenSSL lets the GIL go in the midst of its work.

`Watched` stands in a session's place and stops at a gate inside OpenSSL's calls, so that every order of events is the
test's own.
"""

import contextlib
import hashlib
import os
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi._tls import Transport
from fastwsgi._wsgi import FileWrapper
from fastwsgi.net.tls import Endpoint
from tests.support.certificates import make_endpoint
from tests.support.loop import SteppedServer

PATIENCE = 10.0
LARGE = 8 << 20  # bytes: more than all the buffers on the way take
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MARGIN = 2  # seconds: a sweep a second

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Watched:
    """A session that counts who is in it, and holds a call at a gate once `holds` names it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.holds = ""
        self.inside = 0
        self.most = 0
        self.came = threading.Event()
        self.gate = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def read(self, size: int) -> bytes:
        return self._call("read", size)  # type: ignore[no-any-return]

    def write(self, data: bytes) -> int:
        return self._call("write", data)  # type: ignore[no-any-return]

    def _call(self, name: str, argument: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if self.holds == name:
                self.holds = ""
                self.came.set()
                assert self.gate.wait(PATIENCE), "nobody opened the gate"
            return getattr(self.session, name)(argument)
        finally:
            self.inside -= 1


class Watching(Endpoint):
    """Makes transports with watched sessions."""

    sessions: list[Watched]

    @classmethod
    def made(cls) -> "Watching":
        endpoint = make_endpoint()
        endpoint.__class__ = cls
        assert isinstance(endpoint, cls)
        endpoint.sessions = []
        return endpoint

    def accept(self) -> Transport:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self._context.wrap_bio(incoming, outgoing, server_side=True)
        self.sessions.append(Watched(session))
        return Transport(self, self.sessions[-1], incoming, outgoing)


@pytest.fixture
def endpoint() -> Watching:
    return Watching.made()


def serving(app: Application, endpoint: Endpoint, **settings: Any) -> SteppedServer:
    settings = {"execution": "threads", "threads": 2} | settings
    return SteppedServer(app, Path(), "tls", endpoint=endpoint, **settings)


@pytest.mark.parametrize("call", ["read", "write"])
def test_who_is_in_openssl_is_cut_off_only_when_it_is_out_again(
    endpoint: Watching, call: str
) -> None:
    """`read`: the application waits for a body; `write`: it waits in write() for a slow client."""
    errors: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            if call == "write":
                write(b"x" * LARGE)
            else:
                while environ["wsgi.input"].read(1):
                    pass
        except BaseException as error:
            errors.append(error)
            raise
        return [b"late"]

    with serving(app, endpoint, request_timeout=5, request_streaming=True) as server:
        client = server.connect("POST")
        session = endpoint.sessions[0]
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        if call == "write":
            server.until(lambda: server.server.elsewhere.at_rest, "the thread to wait")
        session.holds = call
        if call == "write":
            client.receive()  # the client takes something, and the thread encrypts more
        else:
            client.put(b"body")
        server.until(session.came.is_set, "the thread to be in OpenSSL")
        server.advance(5 + MARGIN)
        client.receive()
        assert b"504" not in client.received
        assert errors == []
        session.gate.set()
        server.until(lambda: session.inside == 0, "the thread to be out of OpenSSL")
        server.until(lambda: server.advance(1) is None and bool(errors), "the end of the request")
        client.await_end()
        if call == "read":
            assert client.responses[0].status == 504
        else:
            assert not client.responses[0].complete
        assert session.most == 1
        client.close()
        server.until(lambda: server.server.connections == 0, "the connection to be forgotten")


def test_one_thread_may_read_while_another_writes(endpoint: Watching) -> None:
    """An application that answers while it reads, as a proxy does, each in a thread of its own."""
    digests: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        digest = hashlib.sha1()

        def read() -> None:
            while block := environ["wsgi.input"].read(50_000):
                digest.update(block)
            digests.append(digest.hexdigest())

        reader = threading.Thread(target=read)
        reader.start()
        start_response("200 OK", [("Content-Length", str(LARGE))])
        for start in range(0, LARGE, 65_536):
            yield answer[start : start + 65_536]
        reader.join(PATIENCE)

    answer, body = os.urandom(LARGE), os.urandom(LARGE)
    with serving(app, endpoint, request_streaming=True) as server:
        client = server.connect("POST")
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
        rest = memoryview(body)
        while rest or not client.responses or not client.responses[0].complete:
            rest = rest[client.put(rest[:100_000]) :]
            client.receive()
            server.turn(0)
        assert client.responses[0].body == answer
        server.until(lambda: bool(digests), "the body to be read")
        assert digests == [hashlib.sha1(body).hexdigest()]
        assert endpoint.sessions[0].most == 1, "two threads were in OpenSSL at once"
        client.close()


def test_a_server_that_stops_while_a_thread_is_in_openssl(endpoint: Watching) -> None:
    over = threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            yield b"x" * LARGE
        finally:
            over.set()

    server = serving(app, endpoint)
    client = server.connect()
    session = endpoint.sessions[0]
    session.holds = "write"
    client.put(GET)
    server.until(session.came.is_set, "the thread to be in OpenSSL")
    closing = threading.Thread(target=server.close)
    closing.start()
    while not server.server._listeners[0].stopped:
        closing.join(0.001)
    session.gate.set()
    closing.join(PATIENCE)
    assert over.wait(PATIENCE)
    with contextlib.suppress(ConnectionResetError):
        while client.socket.recv(1 << 18):
            pass
        pytest.fail("the response that was broken off ended like a complete one")
    client.close()


def test_openssl_fails_in_a_response(endpoint: Watching) -> None:
    """No plain byte ever takes the place of an encrypted one."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"secret" * 10_000]

    with serving(app, endpoint, execution="inline", threads=1) as server:
        client = server.connect()
        session = endpoint.sessions[0]

        def fail(data: bytes) -> int:
            raise OSError("broken")

        session.write = fail  # type: ignore[method-assign]
        client.put(GET)
        with pytest.raises(BlockingIOError):
            client.socket.raw.recv(1)
        server.until(lambda: server.server.connections == 0, "the end")
        sent = b""
        with contextlib.suppress(ConnectionResetError):
            sent = client.socket.raw.recv(1 << 20)
        assert b"secret" not in sent
        client.close()


@pytest.mark.parametrize("execution", ["inline", "threads", "gevent"])
def test_memory_is_bounded_while_a_client_does_not_read(execution: str) -> None:
    """What is encrypted ahead of the socket is a piece, not the response."""
    body = b"x" * LARGE

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(LARGE))])
        return [body]

    with serving(app, make_endpoint(), execution=execution) as server:
        client = server.connect()
        tracemalloc.start()
        try:
            client.put(GET)
            server.until(
                lambda: server.server.requests == 1 and server.turn() == 0, "the socket to be full"
            )
            server.settle()
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        (answer,) = client.await_responses(1)
        assert answer.body == body
        client.close()


def test_a_file_is_encrypted_as_the_client_takes_it(tmp_path: Path) -> None:
    content = os.urandom(LARGE)
    (tmp_path / "file").write_bytes(content)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return FileWrapper((tmp_path / "file").open("rb"))

    with serving(app, make_endpoint(), execution="inline", threads=1) as server:
        client = server.connect()
        client.put(GET)
        (answer,) = client.await_responses(1)
        assert answer.body == content
        (tmp_path / "file").write_bytes(content[:1000])
        client.put(GET)
        (_, answer) = client.await_responses(2)
        assert answer.body == content[:1000]
        client.close()


def test_a_file_that_becomes_shorter_breaks_the_response_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(LARGE))

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return FileWrapper((tmp_path / "file").open("rb"))

    with serving(app, make_endpoint(), execution="inline", threads=1) as server:
        client = server.connect()
        client.put(GET)
        server.until(lambda: server.server.requests == 1, "the request")
        os.truncate(tmp_path / "file", 1000)
        assert client.await_end() == "reset"
        assert not client.responses[0].complete
        client.close()
