"""Deadlines with their defaults, on a clock that the test moves. They are swept once a second, hence the margins."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import Client, SteppedServer, Transport
from tests.wire import apps
from tests.wire.recorder import CALL, Environ, Recorder

GET = b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"x" * 65536
PIECES = 40

MARGIN = 2  # seconds: a sweep a second, and deadlines moved only when a second has passed


@pytest.fixture
def server(
    transport: Transport, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SteppedServer]:
    with SteppedServer(Recorder(apps.echo), tmp_path_factory.mktemp("s"), transport) as server:
        yield server


def assert_open_after(server: SteppedServer, client: Client, seconds: float) -> None:
    before = len(client.statuses)
    server.advance(seconds)
    server.settle()
    client.receive()
    assert client.ending is None
    assert len(client.statuses) == before


def assert_closed_after(
    server: SteppedServer, client: Client, seconds: float, statuses: list[int]
) -> None:
    server.advance(seconds)
    client.await_end()
    assert client.ending == "eof"
    assert client.statuses == statuses
    assert client.reader.violations == []
    assert not client.reader.partial
    if statuses and statuses[-1] >= 400:
        assert client.responses[-1].get("connection") == "close"


def test_a_silent_client_is_closed_without_a_word_after_10_seconds(server: SteppedServer) -> None:
    with server.connection() as client:
        assert_open_after(server, client, 10 - MARGIN)
        assert_closed_after(server, client, 2 * MARGIN, [])


@pytest.mark.parametrize(
    "part", [b"G", b"GET / HTTP/1.1\r\n", GET[:-1]], ids=["byte", "line", "almost"]
)
def test_half_a_head_gets_408_after_10_seconds(server: SteppedServer, part: bytes) -> None:
    with server.connection() as client:
        client.send(part)
        assert_open_after(server, client, 10 - MARGIN)
        assert_closed_after(server, client, 2 * MARGIN, [408])
        assert server.app.calls == []


def test_half_a_head_after_a_head_request_gets_a_whole_408(server: SteppedServer) -> None:
    # The answer to HEAD has no body; that to the next request, whatever its method will be, does.
    with server.connection("HEAD", "GET") as client:
        client.exchange(b"HEAD /p HTTP/1.1\r\nHost: a\r\n\r\n")
        client.send(b"GET / HTTP/1.1\r\n")
        assert_closed_after(server, client, 10 + MARGIN, [200, 408])


def test_bytes_that_trickle_do_not_move_the_deadline_of_the_head(server: SteppedServer) -> None:
    with server.connection() as client:
        client.send(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(10 - MARGIN):
            assert_open_after(server, client, 1)
            client.send(b"y")
        assert_closed_after(server, client, 2 * MARGIN, [408])


def test_half_a_second_head_gets_408_after_10_seconds(server: SteppedServer) -> None:
    with server.connection() as client:
        client.exchange(GET)
        client.send(b"GET / HTTP/1.1\r\n")
        assert_open_after(server, client, 10 - MARGIN)
        assert_closed_after(server, client, 2 * MARGIN, [200, 408])
        assert len(server.app.calls) == 1


def test_a_head_in_time_is_served(server: SteppedServer) -> None:
    with server.connection() as client:
        client.send(GET[:10])
        assert_open_after(server, client, 10 - MARGIN)
        assert client.exchange(GET[10:]).status == 200


def test_an_idle_connection_is_closed_without_a_word_after_2_seconds(server: SteppedServer) -> None:
    with server.connection() as client:
        client.exchange(GET)
        assert_open_after(server, client, 1)
        assert_closed_after(server, client, 2 + MARGIN, [200])


def test_keep_alive_starts_anew_with_each_answer(transport: Transport, tmp_path: Path) -> None:
    stepped = SteppedServer(Recorder(apps.echo), tmp_path, transport, keepalive=10)
    with stepped as server, server.connection() as client:
        for _ in range(4):
            assert client.exchange(GET).status == 200
            assert_open_after(server, client, 10 - MARGIN)
        assert_closed_after(server, client, 2 * MARGIN, [200] * 4)


@pytest.mark.parametrize("start", [POST + b"x", CHUNKED + b"5\r\nhel"], ids=["length", "chunked"])
def test_a_body_that_stops_gets_408_after_30_seconds(server: SteppedServer, start: bytes) -> None:
    # Within the first 10 seconds the pace does not matter; after them 30 idle ones must not pass either.
    with server.connection() as client:
        client.send(start)
        assert_open_after(server, client, 10 - MARGIN)
        assert_closed_after(server, client, 30 - 10 + 2 * MARGIN, [408])
        assert server.app.calls == []


def test_a_body_may_be_slow_for_10_seconds_only(server: SteppedServer) -> None:
    with server.connection() as client:
        client.send(POST)
        for _ in range(10 - MARGIN):
            client.send(b"x" * 100)
            assert_open_after(server, client, 1)
        client.send(b"x" * 100)
        assert_closed_after(server, client, 2 * MARGIN, [408])
        assert server.app.calls == []


@pytest.mark.parametrize(("start", "piece", "end"), [
    (POST, b"x" * 2000, b""),
    (CHUNKED, b"7d0\r\n" + b"x" * 2000 + b"\r\n", b"0\r\n\r\n"),
], ids=["length", "chunked"])  # fmt: skip
def test_a_body_with_a_steady_pace_takes_its_time(
    server: SteppedServer, start: bytes, piece: bytes, end: bytes
) -> None:
    with server.connection() as client:
        client.send(start)
        for _ in range(50):
            client.send(piece)
            server.advance(1)
        client.receive()
        if end:
            client.send(end)
        assert client.await_responses(1)[0].status == 200
        assert server.app.calls[0].body == b"x" * 100000


class Long:
    """An application whose answer is more than small buffers between it and the client take."""

    def __init__(self) -> None:
        self.closed = 0

    def __call__(self, environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        environ[CALL].body = b""
        return self

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def long(transport: Transport, tmp_path: Path) -> Iterator[SteppedServer]:
    """A server of `Long` whose sockets take little at once; `app.target` is the application."""
    with SteppedServer(Recorder(Long()), tmp_path, transport) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        yield server


def test_a_client_that_reads_nothing_is_dropped_after_30_seconds(long: SteppedServer) -> None:
    app = long.app.target
    client = long.connect()
    client.put(GET)
    long.settle()
    long.advance(30 - MARGIN)
    assert long.server.connections == 1
    assert app.closed == 0
    long.advance(2 * MARGIN)
    long.settle()
    assert long.server.connections == 0
    assert app.closed == 1
    client.receive()
    assert not client.responses[0].complete
    client.close()


def test_a_client_that_reads_slowly_is_served(long: SteppedServer) -> None:
    with long.connection() as client:
        client.put(GET)
        long.settle()
        rounds = 0
        while client.ending is None and not (client.responses and client.responses[0].complete):
            long.advance(20)
            client.receive()
            long.settle()
            rounds += 1
        assert rounds > 2
        assert client.responses[0].complete
        assert client.responses[0].body == PIECE * PIECES


def test_a_long_answer_to_a_client_that_keeps_up_is_not_late(
    transport: Transport, tmp_path: Path
) -> None:
    # Each block is taken at once: output never waits, and that is progress, too.
    def items() -> Iterator[bytes]:
        for _ in range(50):
            stepped.clock.advance(1)
            yield PIECE

    def application(_environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return items()

    with (
        SteppedServer(Recorder(application), tmp_path, transport) as stepped,
        stepped.connection() as client,
    ):
        client.put(GET)
        (answer,) = client.await_responses(1)
        assert answer.complete
        assert answer.body == PIECE * 50


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
def test_what_arrived_in_time_is_served_however_busy_the_server_was(
    transport: Transport, tmp_path: Path, before: bytes
) -> None:
    # An application that takes long on one connection must not cost the others what they have sent meanwhile.
    def application(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            stepped.clock.advance(1)
            other.put(GET)
            stepped.clock.advance(20)
        return apps.echo(environ, start_response)

    stepped = SteppedServer(Recorder(application), tmp_path, transport)
    with stepped, closing(stepped.connect()) as other, closing(stepped.connect()) as client:
        if before:
            other.exchange(before)
        count = 1 + len(other.responses)
        client.put(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.await_responses(1)[0].status == 200
        other.await_responses(count)
        assert other.statuses == [200] * count


def test_lingering_lasts_2_seconds(server: SteppedServer) -> None:
    client: Any = server.connect()
    client.send(b"BAD\r\n\r\n")
    client.await_end()
    assert server.server.connections == 1
    server.advance(2 + MARGIN)
    assert server.server.connections == 0
    client.close()
