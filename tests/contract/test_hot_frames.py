"""The hot path in Python: a keep-alive request enters `Reactor.turn` and the app."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType

import pytest

from tests.support.loop import Client, SteppedServer

BARE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BROWSER = (
    b"GET /shop/item/17?ref=mail HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, br\r\nAccept-Language: en-GB,en\r\nCache-Control: max-age=0\r\n"
    b"Cookie: session=0123456789abcdef; theme=dark\r\nReferer: http://shop.example/shop\r\n\r\n"
)
POST = b"POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
REPEATED = 20


def app(environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def generator_app(
    environ: dict[str, object], start_response: Callable[..., object]
) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hello"


def frames_of(action: Callable[[], object]) -> list[str]:
    """Names of the Python functions entered while `action` runs, itself left out.

    Compiled code shows up in a build that traces lines; it is no Python frame.
    """
    entered: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and not frame.f_code.co_filename.endswith((".pyx", ".pxd")):
            entered.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return entered


def frames_per_turn(server: SteppedServer, clients: list[Client], request: bytes) -> list[str]:
    """Send the request on every client, then take one turn; returns the frames of the turn."""
    turn = functools.partial(server.server.reactor.turn, 5.0)
    for client in clients:
        client.socket.sendall(request)
    return frames_of(turn)


@pytest.mark.parametrize("request_", [BARE, BROWSER, POST], ids=["bare", "browser", "post"])
def test_a_request_costs_one_frame_of_ours(tmp_path: Path, request_: bytes) -> None:
    with SteppedServer(app, tmp_path) as server, closing(server.connect()) as client:
        client.exchange(request_)
        for number in range(REPEATED):
            assert frames_per_turn(server, [client], request_) == ["turn", "app"]
            client.await_responses(number + 2)


def test_connections_that_are_ready_together_share_the_frame(tmp_path: Path) -> None:
    with SteppedServer(app, tmp_path) as server, ExitStack() as open_ones:
        clients = [open_ones.enter_context(closing(server.connect())) for _ in range(16)]
        for client in clients:
            client.exchange(BARE)
        for _ in range(REPEATED):
            assert frames_per_turn(server, clients, BARE) == ["turn"] + ["app"] * 16
            for client in clients:
                client.receive()
        assert {len(client.responses) for client in clients} == {REPEATED + 1}


def test_pipelined_requests_share_the_frame(tmp_path: Path) -> None:
    with SteppedServer(app, tmp_path) as server, closing(server.connect()) as client:
        client.exchange(BARE)
        assert frames_per_turn(server, [client], BARE * 16) == ["turn"] + ["app"] * 16
        assert len(client.await_responses(17)) == 17


def test_a_generator_costs_no_frame_of_ours(tmp_path: Path) -> None:
    with SteppedServer(generator_app, tmp_path) as server, closing(server.connect()) as client:
        client.exchange(BARE)
        entered = frames_per_turn(server, [client], BARE)
        assert set(entered) == {"turn", "generator_app"}
        assert entered.count("turn") == 1


def test_the_count_sees_frames() -> None:
    def inner() -> None:
        pass

    def outer() -> None:
        inner()
        inner()

    assert frames_of(outer) == ["outer", "inner", "inner"]
