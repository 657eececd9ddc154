"""wsgi.early_hints: 103 Early Hints (RFC 8297) before the response."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.errors import ApplicationError
from tests.support.loop import SteppedServer
from tests.support.models import MODELS

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
LINK = ("Link", "</a.css>; rel=preload; as=style")
Hints = Callable[[Any], None]


class Hinting:
    """An application that does what a test says with wsgi.early_hints before it answers."""

    def __init__(self) -> None:
        self.hint: Callable[[Hints], object] = lambda hints: hints([LINK])
        self.late = False
        self.errors: list[Exception] = []
        self.kept: list[Hints] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        hints = environ["wsgi.early_hints"]
        try:
            if not self.late:
                self.hint(hints)
            write = start_response("200 OK", [("Content-Length", "2")])
            if self.late:
                write(b"o")
                self.hint(hints)
                write(b"k")
                return []
        except Exception as error:
            self.errors.append(error)
            start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@pytest.fixture
def app() -> Hinting:
    return Hinting()


@pytest.fixture(params=MODELS, ids=str)
def server(request: pytest.FixtureRequest, app: Hinting, tmp_path: Path) -> Iterator[SteppedServer]:
    with SteppedServer(app, tmp_path, **request.param.settings) as server:
        yield server


def answer(server: SteppedServer, data: bytes = GET) -> bytes:
    with server.connection() as client:
        client.put(data)
        client.await_responses(1)
        return bytes(client.received)


def test_hints_come_before_the_response(server: SteppedServer, app: Hinting) -> None:
    app.hint = lambda hints: (hints([LINK]), hints((LINK, ("X-A", "b"))))
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n"
    assert answer(server).startswith(
        interim + b"\r\n" + interim + b"X-A: b\r\n\r\n" + b"HTTP/1.1 200 OK\r\n"
    )
    assert app.errors == []


def test_an_old_client_gets_none(server: SteppedServer) -> None:
    assert answer(server, OLD).startswith(b"HTTP/1.1 200 OK\r\n")


def test_once_the_response_has_begun_there_are_none(server: SteppedServer, app: Hinting) -> None:
    app.late = True
    assert b" 103 " not in answer(server)
    assert app.errors == []


@pytest.mark.parametrize(
    "headers",
    [
        [("Link", "a\r\nX: y")],
        [("Li nk", "a")],
        [("Content-Length", "3")],
        [("Link",)],
        [LINK, ("Link", "\0")],
    ],
)
def test_bad_hints_never_reach_the_wire(
    server: SteppedServer, app: Hinting, headers: list[Any]
) -> None:
    app.hint = lambda hints: hints(headers)
    assert answer(server).startswith(b"HTTP/1.1 200 OK\r\n")
    assert [type(error) for error in app.errors] == [ApplicationError]


def test_hints_that_are_kept_say_nothing_in_another_request(
    server: SteppedServer, app: Hinting
) -> None:
    app.hint = app.kept.append
    with server.connection() as client:
        for _ in range(3):
            client.exchange(GET)
            for hints in app.kept:
                hints([LINK])
        app.hint = lambda _: [hints([LINK]) for hints in app.kept]
        client.exchange(GET)
        assert b" 103 " not in client.received
    assert len(set(map(id, app.kept))) == 3
