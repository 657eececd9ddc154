"""What came with a connection is answered when it is accepted; the reactor hears of it only where more has to come."""

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import Client, SteppedServer, Transport
from tests.support.models import ELSEWHERE, MODELS, Model

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HUGE = b"GET /huge HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SIZE = 1 << 24  # more than the buffers of both sockets take

Serving = Callable[..., SteppedServer]
Knock = Callable[..., list[Client]]


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"x" * SIZE if environ["PATH_INFO"] == "/huge" else b"hello"]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    running: list[SteppedServer] = []

    def start(transport: Transport = "tcp", **settings: Any) -> SteppedServer:
        running.append(SteppedServer(app, tmp_path, transport, **settings))
        return running[-1]

    yield start
    for server in running:
        server.close()


def watched(server: SteppedServer) -> list[int]:
    """The masks that the reactor is told to look for, from now on, on new descriptors."""
    masks: list[int] = []
    add = server.server.reactor.add

    def note(fd: int, handler: Any, events: int) -> None:
        masks.append(events)
        add(fd, handler, events)

    server.server.reactor.add = note  # type: ignore[method-assign]
    return masks


@pytest.fixture
def knock() -> Iterator[Knock]:
    """Makes clients whose bytes are there before the server accepts."""
    made: list[Client] = []

    def connect(server: SteppedServer, data: bytes, times: int = 1) -> list[Client]:
        clients = [server.connect(accepted=False) for _ in range(times)]
        made.extend(clients)
        for client in clients:
            client.put(data)
        return clients

    yield connect
    for client in made:
        client.close()


def test_one_turn_accepts_answers_and_closes(serving: Serving, knock: Knock) -> None:
    server = serving()
    masks = watched(server)
    clients = knock(server, LAST, 3)
    for answered in (1, 2, 3):
        assert server.turn(1) == 1
        assert server.server.connections == 0
        assert server.server.requests == answered
    assert masks == []
    for client in clients:
        assert client.await_responses(1)[0].body == b"hello"
        assert client.await_end() == "eof"


def test_one_that_stays_is_watched_for_input(serving: Serving, knock: Knock) -> None:
    server = serving()
    masks = watched(server)
    (client,) = knock(server, GET)
    server.turn(1)
    assert [response.body for response in client.await_responses(1)] == [b"hello"]
    assert len(masks) == 1
    assert masks[0] & select.EPOLLIN
    assert client.exchange(GET).body == b"hello"
    assert len(masks) == 1


def test_what_is_pipelined_behind_it_is_answered_too(serving: Serving, knock: Knock) -> None:
    server = serving()
    masks = watched(server)
    (client,) = knock(server, GET * 2 + LAST)
    server.turn(1)
    assert len(client.await_responses(3)) == 3
    assert client.await_end() == "eof"
    assert masks == []


def test_more_than_one_call_receives(serving: Serving, knock: Knock) -> None:
    """An input that fills the buffer is not over with it."""
    server = serving("unix")  # which takes all of it at once
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n"
    (client,) = knock(server, post + b"x" * 100000)
    server.turn(1)
    assert client.await_responses(1)[0].body == b"hello"
    assert client.await_end() == "eof"


@pytest.mark.parametrize("end", range(1, len(LAST), 7))
def test_an_incomplete_head_goes_on_later(serving: Serving, knock: Knock, end: int) -> None:
    server = serving()
    (client,) = knock(server, LAST[:end])
    server.turn(1)
    assert server.server.connections == 1
    client.send(LAST[end:])
    assert client.await_responses(1)[0].body == b"hello"


def test_a_head_that_never_ends_is_late(serving: Serving, knock: Knock) -> None:
    server = serving()
    (client,) = knock(server, LAST[:20])
    server.turn(1)
    server.advance(12)
    assert client.await_responses(1)[0].status == 408


def test_a_client_that_does_not_read_is_watched_for_output(serving: Serving, knock: Knock) -> None:
    server = serving()
    masks = watched(server)
    (client,) = knock(server, HUGE)
    server.turn(1)
    assert server.server.connections == 1
    assert [bool(mask & select.EPOLLOUT) for mask in masks] == [True]
    assert len(client.await_responses(1)[0].body) == SIZE
    assert client.await_end() == "eof"


@pytest.mark.parametrize("data", [GET, LAST, GET[:9], b""])
def test_a_client_that_has_said_its_end(serving: Serving, knock: Knock, data: bytes) -> None:
    server = serving()
    (client,) = knock(server, data)
    client.half_close()
    server.until(lambda: server.server.requests == 1 or not data.endswith(b"\n"), "the request")
    assert client.await_end() == "eof"
    assert client.statuses == {GET: [200], LAST: [200], b"": []}.get(data, [400])
    assert server.server.connections == 0


@pytest.mark.parametrize("data", [GET, GET[:9], b""])
def test_a_client_that_is_gone_again(
    serving: Serving, knock: Knock, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = serving()
    (client,) = knock(server, data)
    client.reset()
    server.turn(1)
    server.until(lambda: server.server.connections == 0, "the end of the connection")
    assert caplog.records == []


def test_input_behind_the_last_request_costs_no_answer(serving: Serving, knock: Knock) -> None:
    """A socket that is closed with unread input resets what the client has not read."""
    server = serving()
    (client,) = knock(server, LAST + b"GET / HTTP/1.1\r\n")
    server.turn(1)
    assert client.await_responses(1)[0].body == b"hello"
    assert client.await_end() == "eof"


def test_a_refused_head_lingers(serving: Serving, knock: Knock) -> None:
    server = serving()
    masks = watched(server)
    (client,) = knock(server, b"BAD\r\n\r\n")
    server.turn(1)
    assert client.await_responses(1)[0].status == 400
    assert server.server.connections == 1
    assert len(masks) == 1
    client.close()
    server.until(lambda: server.server.connections == 0, "the end of the connection")


def test_a_full_worker_answers_one_after_the_other(serving: Serving, knock: Knock) -> None:
    server = serving(worker_connections=1)
    kept, *waiting = knock(server, GET, 5)
    server.settle()
    assert server.server.connections == 1
    assert len(kept.await_responses(1)) == 1
    for client in waiting:
        assert client.responses == []
    kept.close()
    for client in waiting:
        assert len(client.await_responses(1)) == 1
        client.close()


def test_a_flood_of_connections_starves_no_open_one(serving: Serving, knock: Knock) -> None:
    server = serving()
    (open_one,) = knock(server, b"")
    server.turn(1)
    flood = knock(server, LAST, 5)
    open_one.put(GET)
    server.turn(1)
    assert server.server.requests == 2  # one of the flood
    open_one.receive()
    assert open_one.statuses == [200]
    server.settle()
    for client in flood:
        assert client.await_end() == "eof"


@pytest.mark.parametrize("connections", [1000, 1])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_what_is_queued_is_answered_in_a_drain(
    serving: Serving, knock: Knock, model: Model, connections: int
) -> None:
    server = serving(worker_connections=connections, **model.settings)
    clients = knock(server, GET, 20)
    server.server.drain()
    server.server.run()
    for client in clients:
        (response,) = client.await_responses(1)
        assert response.get("connection") == "close"
        assert client.await_end() == "eof"


def test_a_silent_client_holds_a_drain_no_longer_than_an_idle_one(
    serving: Serving, knock: Knock
) -> None:
    server = serving()
    server.server._http.drain()
    (client,) = knock(server, b"")
    server.turn(1)
    server.advance(2)
    assert client.await_end() == "eof"


@pytest.mark.parametrize("transport", ["tcp", "unix"])
@pytest.mark.parametrize("model", ELSEWHERE, ids=str)
def test_a_request_that_runs_elsewhere(
    serving: Serving, knock: Knock, model: Model, transport: Transport
) -> None:
    server = serving(transport, **model.settings)
    for data, ends in ((LAST, True), (GET, False), (GET + LAST, True)):
        (client,) = knock(server, data)
        assert len(client.await_responses(data.count(b"Host"))) == data.count(b"Host")
        if ends:
            assert client.await_end() == "eof"
        else:
            assert client.exchange(LAST).body == b"hello"
    server.settle()
    assert server.server.connections == 0


def test_the_end_of_tls_leaves_with_the_last_answer(serving: Serving) -> None:
    server = serving("tls")
    with contextlib.closing(server.connect()) as client:
        assert client.exchange(LAST).body == b"hello"
        # Not a stream that somebody cut: TLS has said its end (RFC 8446 6.1).
        assert client.await_end() == "eof"


@pytest.mark.parametrize("preamble", [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b""])
def test_behind_a_preamble(serving: Serving, knock: Knock, preamble: bytes) -> None:
    server = serving(proxy_protocol="auto")
    (client,) = knock(server, preamble + LAST)
    assert client.await_responses(1)[0].body == b"hello"
    assert client.await_end() == "eof"
    assert server.server.connections == 0


def test_what_cannot_be_watched_is_closed_and_told(
    serving: Serving, knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving()
    reactor = server.server.reactor
    told: list[str] = []

    def fail(fd: int, handler: Any, events: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reactor, "add", fail)
    monkeypatch.setattr(reactor, "on_error", lambda _, error: told.append(str(error)))
    first, second = knock(server, GET, 2)
    server.settle()
    assert told == ["[Errno 28] No space left on device"] * 2
    assert server.server.connections == 0
    assert first.await_end() == second.await_end() == "eof"
    monkeypatch.undo()
    assert len(knock(server, GET)[0].await_responses(1)) == 1


def test_a_descriptor_is_closed_once(
    serving: Serving, knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed connection leaves is another's number at once."""
    server = serving()
    others: list[socket.socket] = []

    def fail(fd: int, handler: Any, events: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server.server.reactor, "add", fail)
    monkeypatch.setattr(
        server.server.reactor, "on_error", lambda *_: others.append(socket.socket())
    )
    knock(server, GET, 2)
    server.settle()
    assert len(others) == 2
    for other in others:
        other.getsockname()
        other.close()
