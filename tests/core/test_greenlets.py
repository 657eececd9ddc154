"""The gevent model step by step: the test's thread turns the reactor, and with it gevent's hub."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from fastwsgi._epoll import Poller
from fastwsgi.net.reactor import Reactor
from fastwsgi.observe.reports import Reports
from tests.support.loop import SteppedServer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BLOCK = b"x" * 65536

App = Callable[[dict[str, Any], Any], Any]
Serving = Callable[..., SteppedServer]


@pytest.fixture(params=["tcp", "unix", "tls"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    running: list[SteppedServer] = []

    def start(app: App, **settings: Any) -> SteppedServer:
        running.append(SteppedServer(app, tmp_path, request.param, execution="gevent", **settings))
        return running[-1]

    yield start
    for server in running:
        server.close()


class Body:
    """An iterable that counts how often it was closed."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks

    def close(self) -> None:
        self.closed += 1


def test_the_reactor_sleeps_while_nothing_happens(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    server = serving(app, keepalive=60)
    reactor: Reactor = server.server.reactor
    clients = [server.connect() for _ in range(3)]
    for client in clients:  # connections that were idle, busy, and have half a request
        client.exchange(GET)
    clients[0].send(GET[:10])
    clients[1].half_close()
    server.settle()
    turns: list[int] = []
    poll = reactor._poll

    def counted(timeout: float | None) -> Poller:
        events = poll(timeout)
        turns.append(len(events))
        return events

    monkeypatch.setattr(reactor, "_poll", counted)
    sweeps: list[int] = []
    reactor.every_second(lambda: sweeps.append(len(turns)) or (len(sweeps) > 1 and reactor.stop()))
    reactor.run()
    assert len(sweeps) == 2
    assert len(turns) <= 4  # one a sweep, and as many that were a trifle early
    assert not any(turns[:-1])  # the last is woken by `stop`
    for client in clients:
        client.close()


def test_requests_wait_side_by_side(serving: Serving) -> None:
    go = Event()
    greenlets = set()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        greenlets.add(gevent.getcurrent())
        go.wait()
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    server = serving(app)
    clients = [server.connect() for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(GET.replace(b"/ ", b"/%d " % number))
    server.until(lambda: len(greenlets) == 20, "all requests to be inside")
    assert all(isinstance(greenlet, gevent.Greenlet) for greenlet in greenlets)
    go.set()
    bodies = [client.await_responses(1)[0].body for client in clients]
    assert bodies == [b"/%d" % number for number in range(20)]
    for client in clients:
        client.close()


@pytest.mark.parametrize("by_write", [False, True], ids=["iterable", "write"])
def test_a_slow_reader_gets_every_byte(by_write: bool, serving: Serving) -> None:
    made: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            yield BLOCK

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [])
        if not by_write:
            return blocks()
        for block in blocks():
            write(block)
        return []

    server = serving(app)
    with server.connection() as slow, server.connection() as other:
        slow.send(GET)
        server.settle()
        assert 0 < len(made) < 100  # its greenlet waits
        other.put(GET.replace(b"/ ", b"/other "))
        assert slow.await_responses(1)[0].body == 100 * BLOCK
        assert len(made) >= 100
        assert other.await_responses(1)[0].body == 100 * BLOCK


def test_a_reader_that_stops_is_given_up(serving: Serving) -> None:
    body = Body(iter(lambda: BLOCK, b""))

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [])
        return body

    server = serving(app, send_timeout=0.1)
    with server.connection() as client:
        client.send(GET)
        server.until(lambda: body.closed > 0, "close()")
        assert client.await_end() in ("reset", "eof")
        assert client.responses[0].complete is False
    assert body.closed == 1


def test_an_application_may_think_for_longer_than_a_reader_may_wait(serving: Serving) -> None:
    go, thinking = Event(), Event()

    def blocks() -> Iterator[bytes]:
        for _ in range(100):
            yield BLOCK
        thinking.set()
        go.wait()
        yield b"end"

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return blocks()

    server = serving(app, send_timeout=30)
    with server.connection() as client:
        client.send(GET)
        server.settle()  # its greenlet has waited for the client
        server.until(lambda: client.receive() or thinking.is_set(), "all but the end")
        server.advance(40)
        go.set()
        assert client.await_responses(1)[0].body == 100 * BLOCK + b"end"


def test_a_body_is_read_while_it_arrives(serving: Serving) -> None:
    seen: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        while data := environ["wsgi.input"].read(5):
            seen.append(data)
        start_response("200 OK", [])
        return [b"".join(seen)]

    server = serving(app, request_streaming=True)
    with server.connection("POST") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n")
        for number, part in enumerate((b"first", b"secon", b"third"), 1):
            client.put(part)
            server.until(lambda number=number: len(seen) == number, "the application to read")
        assert client.await_responses(1)[0].body == b"firstseconthird"


# -- request_timeout -------------------------------------------------------------------------------


def test_an_overdue_request_is_answered_and_ended(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    def hang() -> None:
        try:
            Event().wait()
        except Exception:
            ended.append("by an Exception")
        finally:
            ended.append("finally")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/hang":
            hang()
        start_response("200 OK", [])
        return [b"x"]

    server = serving(app, request_timeout=5)
    with server.connection() as client, server.connection() as other:
        client.send(GET.replace(b"/ ", b"/hang "))
        server.settle()
        server.advance(4)
        assert client.statuses == []
        assert ended == []
        server.advance(2)
        assert client.await_responses(1)[0].status == 504
        assert client.await_end() == "eof"
        server.until(lambda: ended == ["finally"], "the greenlet's end")
        assert other.exchange(GET).status == 200
    (record,) = caplog.records
    assert "Request GET /hang overran request_timeout" in record.message
    assert "in hang" in record.message


@pytest.mark.parametrize("where", ["producing", "waiting for the client"])
def test_an_overdue_stream_is_broken_off_and_closed_once(
    where: str, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"x"
        while where == "waiting for the client":
            yield BLOCK
        Event().wait()

    body = Body(blocks())

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [])
        return body

    server = serving(app, request_timeout=5, send_timeout=600)
    with server.connection() as client:
        client.send(GET)
        server.settle()
        server.advance(6)
        server.until(lambda: body.closed > 0, "close()")
        client.await_end()
        assert client.responses[0].complete is False
    assert body.closed == 1
    assert [record.message[:25] for record in caplog.records] == ["Request GET / overran req"]


def test_who_ignores_the_end_harms_nobody(serving: Serving) -> None:
    """The application goes on after the 504; whatever it answers then is of no interest."""
    go = Event()
    body = Body(iter([b"late"]))

    def app(environ: dict[str, Any], start_response: Any) -> Body | list[bytes]:
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", [])
            return [b"x"]
        try:
            Event().wait()
        except BaseException:
            go.wait()
        return body

    server = serving(app, request_timeout=5)
    with server.connection() as client:
        client.send(GET.replace(b"/ ", b"/deaf "))
        server.settle()
        server.advance(6)
        assert client.await_responses(1)[0].status == 504
    with server.connection() as client:
        assert client.exchange(GET).status == 200
        go.set()
        server.until(lambda: body.closed == 1, "close()")
        assert client.exchange(GET).status == 200


def test_without_request_timeout_nothing_is_overdue(serving: Serving) -> None:
    go = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        go.wait()
        start_response("200 OK", [])
        return [b"x"]

    server = serving(app)
    with server.connection() as client:
        client.send(GET)
        server.settle()
        server.advance(5)
        go.set()
        assert client.await_responses(1)[0].status == 200


def test_what_fails_besides_the_application_is_a_500(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []

    def failing_report(reports: Reports, environ: dict[str, Any], error: object) -> None:
        raise OSError("the disk is full")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise RuntimeError

    monkeypatch.setattr(Reports, "application_error", failing_report)
    monkeypatch.setattr(sys, "unraisablehook", lambda found: failures.append(found.exc_value))
    server = serving(app)
    with server.connection() as client:
        assert client.exchange(GET).status == 500
    assert [str(failure) for failure in failures] == ["the disk is full"]
