"""What takes more than bytes in and bytes out: order, back-pressure, half-closes, expectations, the end of an error.

Functions carry the numbers of the rules they show; the rest of those rules is in cases/D.
"""

import gc
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import SteppedServer, Transport
from tests.support.models import Model
from tests.wire import apps
from tests.wire.recorder import Application, Environ, Recorder

PIECE = b"x" * 65536
PIECES = 160  # ten MiB: more than any socket buffer takes

GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
BAD = b"BAD\r\n\r\n"
CHUNKED_HELLO = b"5\r\nhello\r\n0\r\n\r\n"


class Slow:
    """An application whose answer to /slow is larger than what a client that does not read can be sent."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/slow":
            return apps.echo(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self.items()

    def items(self) -> Iterator[bytes]:
        for _ in range(PIECES):
            self.given += 1
            yield PIECE


Serving = Callable[..., SteppedServer]


@pytest.fixture
def serving(
    transport: Transport, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """Builds a stepped server for an application, with settings; the recorder is its `app`."""
    servers: list[SteppedServer] = []

    def start(app: Application = apps.echo, **settings: Any) -> SteppedServer:
        servers.append(
            SteppedServer(
                Recorder(app),
                tmp_path_factory.mktemp("s"),
                transport,
                **model.settings,
                **settings,
            )
        )
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_095_the_first_answer_comes_first_however_slow(serving: Serving) -> None:
    slow = Slow()
    server = serving(slow)
    with server.connection() as client:
        client.put(GET % b"slow" + GET % b"fast")
        server.settle()
        assert slow.given < PIECES, "the client has read nothing: the answer cannot have been sent"
        first, second = client.await_responses(2)
        assert first.body == PIECE * PIECES
        assert second.body == b"/fast"
        assert client.exchange(GET % b"next").body == b"/next"
        assert client.reader.violations == []


def test_094_thousands_in_a_row_unread_until_the_end(serving: Serving) -> None:
    server = serving(keepalive_requests=0)
    paths = [b"%06d" % number for number in range(5000)]
    with server.connection() as client:
        unsent = b"".join(GET % path for path in paths)
        while unsent and server.turn(0.1):
            unsent = unsent[client.put(unsent) :]
        while unsent:  # the server has stopped reading: only a client that reads gets further
            client.receive()
            server.settle()
            unsent = unsent[client.put(unsent) :]

        def is_asked_for() -> bool:
            client.receive()
            return server.server.requests == len(paths)

        server.until(is_asked_for, "the last request")
        answers = client.await_responses(len(paths))
        assert [answer.body for answer in answers] == [b"/" + path for path in paths]
        assert client.reader.violations == []


def test_output_waits_for_the_client(serving: Serving) -> None:
    slow = Slow()
    server = serving(slow, output_buffer_size=65536)
    with server.connection() as client:
        client.put(GET % b"slow")
        server.settle()
        given = slow.given
        server.settle()
        assert slow.given == given < PIECES
        client.put(
            GET % b"fast"
        )  # input that arrives meanwhile may neither spin the reactor nor be lost
        server.settle()
        assert [response.status for response in client.await_responses(2)] == [200, 200]


def test_098_bytes_while_an_error_is_sent_are_ignored(serving: Serving) -> None:
    server = serving(Slow())
    with server.connection() as client:
        client.put(GET % b"slow" + BAD)
        server.settle()
        for _ in range(3):
            client.put(GET % b"evil")
            server.settle()
        client.await_end()
        assert client.statuses == [200, 400]
        assert client.ending == "eof"
        assert client.reader.violations == []
        assert [call.environ["PATH_INFO"] for call in server.app.calls] == ["/slow"]


@pytest.mark.parametrize("size", [0, 1, 30_000, 65_000])
def test_098_an_error_reaches_a_client_that_still_sends(serving: Serving, size: int) -> None:
    server = serving()
    with server.connection() as client:
        client.send(BAD + b"y" * size)
        assert client.await_end() == "eof"
        assert client.statuses == [400]
        server.settle()
        assert server.server.connections == 1, (
            "closed before the client was: the answer may be lost to a reset"
        )


def test_lingering_ends_with_the_client(serving: Serving) -> None:
    server = serving()
    client = server.connect()
    client.send(BAD)
    client.await_end()
    client.send(b"z" * 1000)
    client.close()
    server.until(lambda: server.server.connections == 0, "the lingering to end")


def test_lingering_takes_64_kib_at_most(serving: Serving) -> None:
    server = serving()
    client = server.connect()
    client.send(BAD)
    client.await_end()

    def ended() -> bool:
        client.put(b"z" * 16384)
        return server.server.connections == 0

    taken = iter(range(200))
    server.until(lambda: ended() or next(taken) > 100, "the lingering to end")
    assert next(taken) < 40, "more than half a MiB was taken"
    client.close()


def await_status(server: SteppedServer, client: Any, statuses: list[int]) -> None:
    """Turns until the statuses, interim ones included, are there; then no other may be."""

    def there() -> bool:
        client.receive()
        return len(client.statuses) >= len(statuses)

    server.until(there, f"the statuses {statuses}")
    server.settle()
    client.receive()
    assert client.statuses == statuses


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", CHUNKED_HELLO)],
)
@pytest.mark.parametrize("before", [b"", GET % b"before"], ids=["first", "second"])
def test_100_continue_comes_before_the_body(
    serving: Serving, framing: bytes, body: bytes, before: bytes
) -> None:
    server = serving()
    expected = [200] if before else []
    with server.connection() as client:
        client.send(
            before
            + b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            + framing
            + b"\r\n\r\n"
        )
        await_status(server, client, [*expected, 100])
        assert client.ending is None
        for index in range(len(body)):
            client.send(body[index : index + 1])
        await_status(server, client, [*expected, 100, 200])
        assert server.app.calls[-1].body == b"hello"
        assert client.exchange(GET % b"next").body == b"/next"
        assert client.reader.violations == []


def test_100_continue_waits_for_the_whole_head(serving: Serving) -> None:
    server = serving()
    with server.connection() as client:
        client.send(b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n")
        server.settle()
        client.receive()
        assert client.received == b""
        client.send(b"Content-Length: 5\r\n\r\n")
        await_status(server, client, [100])
        client.send(b"hello")
        await_status(server, client, [100, 200])


def test_100_continue_never_on_http_1_0(serving: Serving) -> None:
    server = serving()
    with server.connection() as client:
        client.send(b"POST /p HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        server.settle()
        client.receive()
        assert client.received == b""
        client.send(b"hello")
        client.await_end()
        assert client.statuses == [200]
        assert server.app.calls[0].body == b"hello"


@pytest.mark.parametrize(
    ("field", "status"), [(b"Content-Length: 101", 413), (b"Expect: more", 417)]
)
def test_100_101_a_final_answer_at_once(serving: Serving, field: bytes, status: int) -> None:
    server = serving(limit_request_body=100)
    length = b"" if b"Length" in field else b"Content-Length: 35\r\n"
    with server.connection() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + length + field + b"\r\n\r\n"
        )
        if status == 417:
            client.await_responses(1)
            assert client.statuses[0] in (400, 417)
        else:
            await_status(server, client, [status])
        client.put(GET % b"smuggled")  # the body, from a client that does not wait
        server.settle()
        client.receive()
        assert server.app.calls == []
        assert client.statuses in ([status], [400])


def test_106_half_close_before_a_long_answer(serving: Serving) -> None:
    server = serving(Slow())
    with server.connection() as client:
        client.put(GET % b"slow")
        client.half_close()
        server.settle()
        assert client.await_end() == "eof"
        assert client.responses[0].complete
        assert client.responses[0].body == PIECE * PIECES


def test_106_half_close_within_a_long_answer(serving: Serving) -> None:
    server = serving(Slow())
    with server.connection() as client:
        client.put(GET % b"slow")
        server.settle()
        client.half_close()
        server.settle()
        assert client.await_end() == "eof"
        assert client.responses[0].complete
        assert client.responses[0].body == PIECE * PIECES


def test_107_the_limit_counts_each_connection(serving: Serving) -> None:
    server = serving(keepalive_requests=3)
    for _ in range(2):
        with server.connection() as client:
            answers = [client.exchange(GET % b"p") for _ in range(3)]
            assert [answer.get("connection") for answer in answers] == [None, None, "close"]
            assert client.await_end() == "eof"


def test_drain_answers_what_is_there(serving: Serving) -> None:
    server = serving()
    idle, used, late = server.connect(), server.connect(), server.connect(accepted=False)
    idle.exchange(GET % b"p")
    used.put(GET % b"used")
    late.put(GET % b"late")
    server.server.drain()
    server.server.run()
    for client in (idle, used, late):
        assert client.await_end() == "eof"
    assert idle.statuses == [200]
    for client, path in ((used, b"/used"), (late, b"/late")):
        assert [response.body for response in client.responses] == [path]
        assert client.responses[0].get("connection") == "close"
    for client in (idle, used, late):
        client.close()
    assert server.server.connections == 0


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"]
)
def test_a_reset_within_a_request_is_forgotten(serving: Serving, sent: bytes) -> None:
    server = serving()
    client = server.connect()
    if sent:
        client.send(sent)
    client.reset()
    server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    server.settle()
    assert server.app.calls == []


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_a_peer_gone_before_accept_leaves_nothing(serving: Serving) -> None:
    # waitress (2024): getpeername fails, the loop spins and the descriptor stays.
    server = serving()
    with server.connection() as client:
        client.exchange(GET % b"p")
    before = open_descriptors()
    for _ in range(20):
        client = server.connect(accepted=False)
        client.put(GET % b"p")
        client.reset()
    server.until(
        lambda: server.turn() == 0 and server.server.connections == 0,
        "the connections to be forgotten",
    )
    server.settle()
    assert open_descriptors() == before


def test_accepted_sockets_do_not_delay_small_segments(tmp_path: Path) -> None:
    # Nagle's algorithm and a delayed acknowledgement cost 40 ms for each chunked tail (bjoern).
    with SteppedServer(Recorder(apps.stream), tmp_path) as server, server.connection() as client:
        client.exchange(GET % b"p")
        name = client.socket.getsockname()
        assert [
            accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for accepted in peers_of(name)
        ] == [1]


def peers_of(name: tuple[str, int]) -> Iterator[socket.socket]:
    """This process's sockets that are connected to the given one."""
    for entry in os.listdir("/proc/self/fd"):
        try:
            copy = socket.socket(fileno=os.dup(int(entry)))
        except OSError:  # no socket, or the descriptor of the listing itself
            continue
        with copy:
            try:
                connected = copy.family == socket.AF_INET and copy.getpeername() == name
            except OSError:  # a listening one
                continue
            if connected:
                yield copy
