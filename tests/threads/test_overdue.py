"""A request that overruns request_timeout is cut off, and nothing of it shows elsewhere."""

import threading
from collections.abc import Iterable, Iterator
from typing import cast

import pytest

from tests.support.builds import FREE_THREADED
from tests.support.loop import Transport
from tests.threads.gates import (
    BLOCK,
    BLOCKS,
    MARGIN,
    Body,
    Environ,
    Gate,
    Serving,
    StartResponse,
    answering,
    ask,
    assert_answers,
    assert_other_requests_are_answered,
    await_forgotten,
    await_rest,
    request,
)


class Late:
    """An application that comes late; what it does then, a subclass says. `/other` is answered at once."""

    def __init__(self) -> None:
        self.fields = [("Content-Type", "text/plain")]
        self.gate = Gate()
        self.came = False
        self.body = Body([b"late"])
        self.error: BaseException | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/other":
            start_response("200 OK", [])
            return [b"other"]
        self.came = True
        try:
            return self.run(environ, start_response)
        except BaseException as error:
            self.error = error
            raise

    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise NotImplementedError


class LateStart(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.gate.pass_through()
        start_response("200 OK", self.fields)
        return self.body


class LateReturn(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        return self.body


class LateList(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        return [b"late"]


class LateError(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        raise ValueError("late")


class LateWrite(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", self.fields)
        self.gate.pass_through()
        write(b"late")
        return self.body


class LateExcInfo(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        try:
            raise ValueError("late")
        except ValueError as error:
            start_response("500 Late", self.fields, (ValueError, error, None))
        return self.body


class LateRead(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        environ["wsgi.input"].read()
        environ.clear()
        return self.body


class LateFirstItem(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.body = Body(self.items())
        return self.body

    def items(self) -> Iterator[bytes]:
        self.gate.pass_through()
        yield b"late"


class LateIterator(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        gate = self.gate

        class Slow(Body):
            def __iter__(self) -> Iterator[bytes]:
                gate.pass_through()
                return iter([b"late"])

        self.body = Slow([])
        return self.body


class LateFile(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        gate, body = self.gate, self.body

        class Slow:
            def fileno(self) -> int:
                gate.pass_through()
                return 0

            def read(self, size: int) -> bytes:
                return b"late"

            def close(self) -> None:
                body.close()

        return cast(Iterable[bytes], environ["wsgi.file_wrapper"](Slow()))


LATE = [
    LateStart, LateReturn, LateList, LateError, LateWrite, LateExcInfo, LateRead, LateFirstItem, LateIterator, LateFile,
]  # fmt: skip
RETURN_NOTHING = (LateStart, LateList, LateError, LateWrite, LateExcInfo)


@pytest.mark.parametrize("kind", LATE)
def test_who_overruns_gets_a_504_and_what_comes_late_goes_nowhere(
    serving: Serving, kind: type[Late], caplog: pytest.LogCaptureFixture
) -> None:
    app = kind()
    server = serving(app, threads=1, request_timeout=5)
    post = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    client = server.connect("POST")
    client.send(post)
    server.until(lambda: app.came, "the request")
    server.advance(5 - MARGIN)
    server.turn()
    client.receive()
    assert client.received == b""
    server.advance(2 * MARGIN)
    assert client.await_end() == "eof"
    (answer,) = client.responses
    assert (answer.status, answer.get("connection"), answer.complete) == (504, "close", True)
    client.close()
    await_forgotten(server)
    other = ask(server, "other")
    app.gate.open()
    assert_answers(server, other, "other")
    await_rest(server)
    assert app.body.closed == (0 if kind in RETURN_NOTHING else 1)
    assert app.body.given == (1 if kind is LateFirstItem else 0)
    (message,) = caplog.messages
    assert "overran request_timeout" in message
    where = "a place that is not known" if FREE_THREADED else "pass_through()"
    assert where in message  # the line of the application where it is
    assert_other_requests_are_answered(server)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_that_overruns_visibly_breaks_off(
    serving: Serving, transport: Transport, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([b"one", b"two"], Gate())
    server = serving(answering(body), threads=1, request_timeout=5)
    client = server.connect()
    client.put(request("p", version=version))
    server.until(lambda: body.given == 1, "the first item")
    server.advance(5 + MARGIN)
    ending = client.await_end()
    if version == "1.1" or transport != "unix":
        assert not client.responses[0].complete
        assert client.reader.violations == []
    if version == "1.0" and transport != "unix":  # only a reset tells (RFC 9112 8)
        assert ending == "reset"
    assert b"two" not in client.received
    assert body.closed == 0
    other = ask(server, "other")
    assert body.gate is not None
    body.gate.open()
    assert_answers(server, other, "other")
    await_rest(server)
    assert body.closed == 1
    assert [message[:13] for message in caplog.messages] == ["Request GET /"]


def test_a_slow_client_costs_its_thread_only_up_to_the_timeout(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([BLOCK] * BLOCKS)
    server = serving(answering(body), threads=1, request_timeout=5, send_timeout=600)
    client = ask(server, "p")
    await_rest(server)
    given = body.given
    assert 0 < given < BLOCKS
    waiting = ask(server, "other")
    server.advance(5 + MARGIN)
    assert_answers(server, waiting, "other")
    server.until(lambda: body.closed == 1, "the iterable's close")
    assert body.given == given
    assert client.await_end() in ("eof", "reset")
    assert not client.responses[0].complete
    assert len(caplog.messages) == 1


def test_another_thread_takes_the_seat_of_one_that_is_stuck(serving: Serving) -> None:
    body = Body([b"one", b"two"], Gate())
    assert body.gate is not None
    server = serving(answering(body), threads=1, request_timeout=5)
    stuck = ask(server, "p")
    server.until(lambda: body.given == 1, "the first item")
    waiting = ask(server, "other")
    server.advance(5 + MARGIN)
    stuck.await_end()
    assert_answers(server, waiting, "other")
    before = threading.active_count()
    body.gate.open()
    server.until(lambda: threading.active_count() == before - 1, "the end of the thread")
    assert_answers(server, ask(server, "other"), "other")
    await_rest(server)


def test_an_iterable_that_closes_slowly_is_left_alone(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()

    class Slow(Body):
        def close(self) -> None:
            gate.pass_through()
            super().close()

    body = Slow([b"one", b"two"])
    server = serving(answering(body), threads=1, request_timeout=5)
    client = ask(server, "p")
    assert client.await_responses(1)[0].body == b"onetwo"
    server.advance(5 + MARGIN)
    assert client.await_end() == "eof"
    assert client.reader.violations == []
    gate.open()
    await_rest(server)
    assert body.closed == 1
    assert len(caplog.messages) == 1
    assert_other_requests_are_answered(server)
