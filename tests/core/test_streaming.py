"""--request-streaming: the application reads the body while it arrives."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.errors import RequestBodyError
from tests.support.loop import Client, SteppedServer, Transport
from tests.support.models import ELSEWHERE, Model

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
PATIENCE = 10.0


class Reader:
    """An application that reads what it is told to, and says what it got."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, int]] = []
        self.got: list[bytes] = []
        self.errors: list[BaseException] = []
        self.called = threading.Event()
        self.came = threading.Semaphore(0)
        self.environ: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.environ = environ
        self.called.set()
        for method, size in self.reads:
            try:
                self.got.append(getattr(environ["wsgi.input"], method)(size))
            except BaseException as error:
                self.errors.append(error)
                raise
            finally:
                self.came.release()
        body = b"|".join(self.got)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture(params=["tcp", "unix", "tls"])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


@pytest.fixture(params=ELSEWHERE, ids=str)
def model(request: pytest.FixtureRequest) -> Model:
    found: Model = request.param
    return found


@pytest.fixture
def server(
    reader: Reader, tmp_path: Path, transport: Transport, model: Model
) -> Iterator[SteppedServer]:
    with SteppedServer(
        reader,
        tmp_path,
        transport,
        **model.settings,
        request_streaming=True,
        limit_request_body=1 << 20,
    ) as server:
        yield server


def until(server: SteppedServer, event: threading.Event, what: str) -> None:
    server.until(event.is_set, what)


def test_the_application_runs_before_the_body_is_there(
    server: SteppedServer, reader: Reader
) -> None:
    reader.reads = [("read", 4), ("readline", -1), ("read", -1)]
    with server.connection("POST") as client:
        client.put(HEAD + b"Content-Length: 14\r\n\r\n")
        until(server, reader.called, "the application")
        client.put(b"abcd")
        server.until(lambda: reader.came.acquire(blocking=False), "the read")
        assert reader.got == [b"abcd"]
        client.put(b"ef")
        client.put(b"g\nh")
        server.until(lambda: reader.came.acquire(blocking=False), "the read")
        assert reader.got == [b"abcd", b"efg\n"]
        client.put(b"ijklm")
        (answer,) = client.await_responses(1)
        assert answer.body == b"abcd|efg\n|hijklm"
        assert answer.get("Connection") is None


@pytest.mark.parametrize("split", [1, 3, 1000])
def test_chunks_are_decoded_as_they_come(server: SteppedServer, reader: Reader, split: int) -> None:
    reader.reads = [("readline", -1), ("read", 3), ("read", -1), ("read", -1)]
    wire = b"3\r\none\r\n4;x=y\r\n\ntwo\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n"
    with server.connection("POST", "GET") as client:
        client.put(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        until(server, reader.called, "the application")
        assert "CONTENT_LENGTH" not in reader.environ
        assert reader.environ["wsgi.input_terminated"] is True
        for start in range(0, len(wire), split):
            client.put(wire[start : start + split])
        (answer,) = client.await_responses(1)
        assert answer.body == b"one\n|two|0123456789|"
        reader.reads, reader.got = [], []
        client.put(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.await_responses(2)[1].status == 200


def test_what_follows_the_body_is_the_next_request(server: SteppedServer, reader: Reader) -> None:
    reader.reads = [("read", -1)]
    with server.connection("POST", "POST") as client:
        one = HEAD + b"Content-Length: 3\r\n\r\nabc"
        two = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
        client.put(one + two)
        answers = client.await_responses(2)
        assert [answer.body for answer in answers] == [b"abc", b"abc|def"]


def test_100_continue_is_sent_when_the_application_reads(
    server: SteppedServer, reader: Reader
) -> None:
    with server.connection("POST") as client:
        client.put(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        (answer,) = client.await_responses(1)
        assert answer.get("Connection") == "close"  # who knows whether the body still comes
        assert b"100 Continue" not in client.received
    reader.reads = [("read", -1)]
    with server.connection("POST") as client:
        client.put(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        server.until(lambda: b"100 Continue" in received(client), "the interim answer")
        client.put(b"abc")
        server.until(lambda: b"\r\n\r\nabc" in received(client), "the answer")


def received(client: Client) -> bytes:
    client.receive()
    return bytes(client.received)


def test_nothing_is_taken_from_the_client_that_nobody_reads(
    tmp_path: Path, transport: Transport
) -> None:
    called, release = threading.Event(), threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read(1)
        called.set()
        release.wait(PATIENCE)
        start_response("200 OK", [])
        return [b""]

    options = {"execution": "threads", "threads": 1, "request_streaming": True}
    with (
        SteppedServer(app, tmp_path, transport, **options) as server,
        server.connection("POST") as client,
    ):
        client.put(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        block = b"x" * 65536
        sent = 0
        while not (called.is_set() and client.put(block) == 0):
            sent += client.put(block)
            server.turn()
            assert sent < 64 << 20, "the server takes what nobody reads"
        release.set()


@pytest.mark.parametrize(
    "case",
    [
        (b"Transfer-Encoding: chunked", b"zz\r\n", 400),
        (b"Transfer-Encoding: chunked", b"200000\r\n", 413),
        (b"Content-Length: 10", None, 400),
    ],
    ids=["malformed", "too large", "cut"],
)
def test_a_body_that_breaks_off_is_the_clients_fault(
    case: tuple[bytes, bytes | None, int],
    server: SteppedServer,
    reader: Reader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    framing, bad, status = case
    reader.reads = [("read", -1)]
    with server.connection("POST") as client:
        client.put(HEAD + framing + b"\r\n\r\n")
        until(server, reader.called, "the application")
        if bad is None:
            client.half_close()
        else:
            client.put(bad)
        (answer,) = client.await_responses(1)
        assert answer.status == status
        assert answer.get("Connection") == "close"
    assert [type(error) for error in reader.errors] == [RequestBodyError]
    assert isinstance(reader.errors[0], OSError)
    assert "Error handling request" not in caplog.text


def test_a_declared_body_that_is_too_large_never_reaches_the_application(
    server: SteppedServer, reader: Reader
) -> None:
    with server.connection("POST") as client:
        client.put(HEAD + b"Content-Length: 2000000\r\n\r\n")
        (answer,) = client.await_responses(1)
        assert answer.status == 413
    assert not reader.called.is_set()


def test_a_body_that_stops_is_given_up(reader: Reader, tmp_path: Path, model: Model) -> None:
    reader.reads = [("read", -1)]
    with (
        SteppedServer(
            reader,
            tmp_path,
            **model.settings,
            request_streaming=True,
            body_timeout=0.05,
        ) as server,
        server.connection("POST") as client,
    ):
        client.put(HEAD + b"Content-Length: 3\r\n\r\na")
        (answer,) = client.await_responses(1)
        assert answer.status == 408


def test_lines_longer_than_a_buffer(server: SteppedServer, reader: Reader) -> None:
    reader.reads = [("readline", -1), ("readline", 5), ("readline", -1), ("readline", -1)]
    line = b"x" * 200_000 + b"\n"
    with server.connection("POST") as client:
        data = HEAD + b"Content-Length: %d\r\n\r\n" % (len(line) + 8) + line + b"1234567\n"
        sent = 0
        while sent < len(data):
            sent += client.put(data[sent:])
            server.turn()
        (answer,) = client.await_responses(1)
        assert answer.body == b"|".join([line, b"12345", b"67\n", b""])
