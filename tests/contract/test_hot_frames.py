"""The hot path in Python: the frames that a keep-alive request enters.

A running worker stands in one frame of ours, the reactor's loop, and a request adds its
application's frames only. Tests that turn the reactor by hand enter that loop once a turn.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.observe.logger import Logger
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
TURN = ("turn", "_loop")


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
    gc.disable()  # hypothesis has it call back
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
        gc.enable()
    return entered


def frames_per_turn(server: SteppedServer, clients: list[Client], request: bytes) -> list[str]:
    """Send the request on every client, then take one turn; returns the frames of the turn."""
    turn = functools.partial(server.server.reactor.turn, 5.0)
    for client in clients:
        client.socket.sendall(request)
    return frames_of(turn)


class Relay:
    """An application whose client sends the next request meanwhile; the last stops the server."""

    def __init__(self, request: bytes, times: int) -> None:
        self.request = request
        self.left = times
        self.client: Client
        self.server: SteppedServer

    def __call__(
        self, environ: dict[str, object], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        self.left -= 1
        if self.left:
            self.client.socket.sendall(self.request)
        else:
            self.server.server.stop()
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]


def frames_of_a_run(folder: Path, request: bytes, times: int) -> Counter[str]:
    relay = Relay(request, times)
    with SteppedServer(relay, folder) as server, closing(server.connect()) as client:
        relay.client, relay.server = client, server
        client.socket.sendall(request)
        entered = Counter(frames_of(server.server.run))
    assert entered.pop("__call__") == times
    return entered


@pytest.mark.parametrize("request_", [BARE, BROWSER, POST], ids=["bare", "browser", "post"])
def test_a_request_costs_a_running_worker_no_frame_of_ours(tmp_path: Path, request_: bytes) -> None:
    few, many = (frames_of_a_run(tmp_path, request_, times) for times in (3, 100))
    assert few == many


@pytest.mark.parametrize("request_", [BARE, BROWSER, POST], ids=["bare", "browser", "post"])
def test_a_request_costs_a_turn_and_the_application(tmp_path: Path, request_: bytes) -> None:
    with SteppedServer(app, tmp_path) as server, closing(server.connect()) as client:
        client.exchange(request_)
        for number in range(REPEATED):
            assert frames_per_turn(server, [client], request_) == [*TURN, "app"]
            client.await_responses(number + 2)


def test_connections_that_are_ready_together_share_the_frame(tmp_path: Path) -> None:
    with SteppedServer(app, tmp_path) as server, ExitStack() as open_ones:
        clients = [open_ones.enter_context(closing(server.connect())) for _ in range(16)]
        for client in clients:
            client.exchange(BARE)
        for _ in range(REPEATED):
            assert frames_per_turn(server, clients, BARE) == [*TURN] + ["app"] * 16
            for client in clients:
                client.receive()
        assert {len(client.responses) for client in clients} == {REPEATED + 1}


def test_pipelined_requests_share_the_frame(tmp_path: Path) -> None:
    with SteppedServer(app, tmp_path) as server, closing(server.connect()) as client:
        client.exchange(BARE)
        assert frames_per_turn(server, [client], BARE * 16) == [*TURN] + ["app"] * 16
        assert len(client.await_responses(17)) == 17


def test_a_generator_costs_no_frame_of_ours(tmp_path: Path) -> None:
    with SteppedServer(generator_app, tmp_path) as server, closing(server.connect()) as client:
        client.exchange(BARE)
        entered = frames_per_turn(server, [client], BARE)
        assert [name for name in entered if name != "generator_app"] == [*TURN]


def test_a_line_of_the_access_log_costs_no_frame_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = Logger(Settings([("test", {"accesslog": str(path)})]))
    with (
        closing(log),
        SteppedServer(app, tmp_path, log=log) as server,
        closing(server.connect()) as client,
    ):
        client.exchange(BROWSER)
        for number in range(REPEATED):
            entered = frames_per_turn(server, [client], BROWSER)
            # Once a second the time is written anew.
            assert [name for name in entered if name != "apache_time"] == [*TURN, "app"]
            client.await_responses(number + 2)
    assert path.read_text().count('"GET /shop/item/17?ref=mail HTTP/1.1" 200 5 ') == REPEATED + 1


def test_the_count_sees_frames() -> None:
    def inner() -> None:
        pass

    def outer() -> None:
        inner()
        inner()

    assert frames_of(outer) == ["outer", "inner", "inner"]
