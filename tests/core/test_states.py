"""The table of a connection's states, walked by real connections."""

import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fastwsgi._body import BodyMemory
from fastwsgi._clock import Clock
from fastwsgi._entrance import Entrance
from fastwsgi._http1 import STATES, TRANSITIONS, Connection, Http1
from fastwsgi._wsgi import Inline
from fastwsgi.net.reactor import Reactor
from fastwsgi.wiring import environ_builder, open_spool
from tests.support.settings import make_settings

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
HUGE = b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n"


class Walk:
    """One connection, stepped by hand, and the states it was seen in, the application's view included."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.reactor = Reactor(self.clock)
        self.ours, theirs = socket.socketpair()
        self.states = ["IDLE"]
        self.http = Http1(
            reactor=self.reactor,
            clock=self.clock,
            dispatcher=Inline(self.app, lambda environ, error: None),
            wait_for=None,
            make_socket=lambda fd: socket.socket(fileno=fd),
            server_header="",
            limit_request_line=4094,
            trusted_peers=(),
            leniency=0,
            limit_request_fields=100,
            limit_request_field_size=8190,
            limit_request_head=65536,
            limit_request_body=0,
            body_memory=BodyMemory(65536),
            open_spool=lambda: open_spool(None),
            header_timeout=10,
            body_timeout=30,
            body_min_rate=1024,
            request_streaming=False,
            health_path="",
            health_log=False,
            send_timeout=30,
            keepalive=2,
            keepalive_requests=0,
            output_buffer_size=262144,
            max_requests=0,
            heartbeat=None,
            on_done=None,
            on_refusal=None,
            on_max_requests=None,
        )
        settings: Any = make_settings()
        environs = environ_builder(theirs, settings)
        entrance = Entrance(self.http, environs, None, 1000, lambda: None)
        self.connection: Connection = entrance.connect(theirs.detach(), "")

    def app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.note()
        start_response("200 OK", [])
        return [b"x" * (1 << 22 if environ["PATH_INFO"] == "/huge" else 1)]

    def note(self) -> None:
        state = self.connection.state_name
        if state != self.states[-1]:
            self.states.append(state)

    def send(self, data: bytes) -> None:
        self.ours.sendall(data)
        self.turn()

    def turn(self) -> None:
        self.reactor.turn(0)
        self.note()

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.http.sweep(self.clock.monotonic())
        self.note()

    def read_all(self) -> None:
        """Take everything until the connection has nothing more to say for now."""
        self.ours.setblocking(False)
        while self.connection.state_name == "WRITING":
            with contextlib.suppress(BlockingIOError):
                self.ours.recv(1 << 20)
            self.turn()

    def reset(self) -> None:
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ours.close()
        self.turn()


@pytest.fixture
def walk() -> Iterator[Walk]:
    walk = Walk()
    yield walk
    walk.ours.close()
    walk.http.close()
    walk.reactor.close()


Step = tuple[Any, ...]  # the name of a method of Walk and its arguments

WALKS: dict[str, tuple[list[Step], list[str]]] = {
    "answered at once": ([("send", GET)], ["IDLE", "RUNNING", "IDLE"]),
    "head in two pieces": (
        [("send", GET[:5]), ("send", GET[5:])],
        ["IDLE", "READING_HEAD", "RUNNING", "IDLE"],
    ),
    "head, then body": (
        [("send", POST), ("send", b"body")],
        ["IDLE", "READING_BODY", "RUNNING", "IDLE"],
    ),
    "head in two pieces, then body": (
        [("send", POST[:5]), ("send", POST[5:]), ("send", b"body")],
        ["IDLE", "READING_HEAD", "READING_BODY", "RUNNING", "IDLE"],
    ),
    "last request": ([("send", LAST)], ["IDLE", "RUNNING", "CLOSED"]),
    "refused": (
        [("send", b"BAD\r\n"), ("pass_seconds", 3)],
        ["IDLE", "LINGERING", "CLOSED"],
    ),
    "refused in a body": (
        [("send", POST), ("pass_seconds", 31), ("pass_seconds", 3)],
        ["IDLE", "READING_BODY", "LINGERING", "CLOSED"],
    ),
    "late head": (
        [("send", b"GET"), ("pass_seconds", 11), ("pass_seconds", 3)],
        ["IDLE", "READING_HEAD", "LINGERING", "CLOSED"],
    ),
    "silent": ([("pass_seconds", 11)], ["IDLE", "CLOSED"]),
    "slow reader": (
        [("send", HUGE), ("read_all",)],
        ["IDLE", "RUNNING", "WRITING", "IDLE"],
    ),
    "reader that stops": (
        [("send", HUGE), ("pass_seconds", 31)],
        ["IDLE", "RUNNING", "WRITING", "CLOSED"],
    ),
    "slow reader with half a request behind": (
        [("send", HUGE + POST[:20]), ("read_all",)],
        ["IDLE", "RUNNING", "WRITING", "READING_HEAD"],
    ),
    "slow reader with half a body behind": (
        [("send", HUGE + POST + b"bo"), ("read_all",), ("send", b"dy")],
        ["IDLE", "RUNNING", "WRITING", "READING_BODY", "RUNNING", "IDLE"],
    ),
    "gone while idle": ([("reset",)], ["IDLE", "CLOSED"]),
    "gone in a head": ([("send", b"GET"), ("reset",)], ["IDLE", "READING_HEAD", "CLOSED"]),
    "gone in a body": ([("send", POST), ("reset",)], ["IDLE", "READING_BODY", "CLOSED"]),
    "gone in an answer": (
        [("send", HUGE), ("reset",)],
        ["IDLE", "RUNNING", "WRITING", "CLOSED"],
    ),
}


@pytest.mark.parametrize("name", WALKS)
def test_walk(walk: Walk, name: str) -> None:
    steps, states = WALKS[name]
    for method, *arguments in steps:
        getattr(walk, method)(*arguments)
    assert walk.states == states


def reachable(start: str) -> set[str]:
    """States that can follow at some time."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for following in TRANSITIONS[waiting.pop()]:
            if following not in found:
                found.add(following)
                waiting.append(following)
    return found


def test_the_table_is_whole() -> None:
    assert set(TRANSITIONS) == set(STATES)
    assert all(following in STATES for row in TRANSITIONS.values() for following in row)
    assert reachable("IDLE") == set(STATES)
    assert TRANSITIONS["CLOSED"] == ()


@pytest.mark.parametrize("state", [state for state in STATES if state != "CLOSED"])
def test_every_state_has_a_way_out(state: str) -> None:
    assert "CLOSED" in reachable(state)


@pytest.mark.parametrize("name", WALKS)
def test_what_is_seen_is_allowed(name: str) -> None:
    # Between two events a connection may pass through states that are not seen.
    for before, after in zip(WALKS[name][1], WALKS[name][1][1:], strict=False):
        assert after in reachable(before)
