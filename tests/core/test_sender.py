"""Pieces of a generator that follow each other closely leave by a thread (PEP 3333, "Buffering and Streaming").

The clock of most servers here stands still, so that all pieces follow each other.
"""

import os
import random
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fastwsgi._clock import Clock
from tests.support.loop import PATIENCE, SteppedServer, Transport
from tests.support.models import INLINE, MODELS, Model

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
THREAD = "fastwsgi-send"
DATA_SEGMENTS_IN = 152  # where struct tcp_info has tcpi_data_segs_in, of four bytes


class Pieces:
    """An application whose body is what `make` yields."""

    def __init__(self) -> None:
        self.make: Callable[[], Iterable[bytes]] = tuple
        self.headers: list[tuple[str, str]] = []
        self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", self.headers)
        return self.run()

    def run(self) -> Iterator[bytes]:
        try:
            yield from self.make()
        finally:
            self.closed += 1


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


@pytest.fixture(params=MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> Model:
    found: Model = request.param
    return found


@pytest.fixture(params=["tcp", "unix"])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


@pytest.fixture
def server(
    pieces: Pieces, tmp_path: Path, transport: Transport, model: Model
) -> Iterator[SteppedServer]:
    clock = Clock(start=100)
    with SteppedServer(pieces, tmp_path, transport, clock=clock, **model.settings) as server:
        yield server


def sending_threads() -> list[Path]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # one that has ended stands there for a moment
            if (task / "comm").read_text() == f"{THREAD}\n":
                found.append(task)
    return found


def are_gone(threads: list[Path]) -> bool:
    end = time.monotonic() + PATIENCE
    while any(thread.exists() for thread in threads) and time.monotonic() < end:
        time.sleep(0)  # the kernel has its part to do
    return not any(thread.exists() for thread in threads)


def test_a_piece_leaves_while_the_next_is_made(server: SteppedServer, pieces: Pieces) -> None:
    seen: list[bool] = []

    def make() -> Iterator[bytes]:
        for number in range(5):
            yield b"x" * 100 + b"%d" % number
        seen.append(client.await_bytes(b"x4"))
        yield b"y"

    pieces.make = make
    with server.connection() as client:
        client.put(GET)
        (answer,) = client.await_responses(1)
        assert answer.body.replace(b"x" * 100, b"") == b"01234y"
    assert seen == [True]


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_all_of_it_arrives_in_order(server: SteppedServer, pieces: Pieces, length: bool) -> None:
    chance = random.Random(7)
    sizes = [chance.choice([1, 30, 900, 5000, 16384, 16385, 70000]) for _ in range(300)]
    blocks = [bytes([65 + number % 26]) * size for number, size in enumerate(sizes)]
    pieces.make = lambda: iter(blocks)
    pieces.headers = [("Content-Length", str(sum(sizes)))] if length else []
    with server.connection("GET", "GET") as client:
        client.put(GET)
        client.await_responses(1)
        client.put(GET)
        for answer in client.await_responses(2):
            assert answer.body == b"".join(blocks)
    assert pieces.closed == 2


def shrink(server: SteppedServer) -> None:
    """Let the sockets that the server accepted take only a few thousand bytes at once."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # what is no socket, or gone
            sock = socket.socket(fileno=int(name))
            try:
                accepted = not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if accepted and sock.getsockname() == server.socket.getsockname():
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            finally:
                sock.detach()


@pytest.mark.parametrize("transport", ["unix"])
def test_what_the_socket_does_not_take_leaves_later(server: SteppedServer, pieces: Pieces) -> None:
    """Also amid the next piece, so that neither the reactor nor the generator's thread can see to it."""
    made: list[bool] = []

    def make() -> Iterator[bytes]:
        yield b"a"
        yield b"b" + b"z" * 16000 + b"c"
        made.append(client.await_bytes(b"zc"))
        yield b"d"

    pieces.make = make
    with server.connection() as client:
        shrink(server)
        client.put(GET)
        server.until(lambda: bool(made), "all pieces")
        assert made == [True]
        (answer,) = client.await_responses(1)
        assert answer.body == b"ab" + b"z" * 16000 + b"cd"


def test_a_client_that_leaves_ends_the_generator(server: SteppedServer, pieces: Pieces) -> None:
    made: list[int] = []

    def make() -> Iterator[bytes]:
        while True:
            made.append(1)
            yield b"piece"

    pieces.make = make
    client = server.connect()
    client.put(GET)
    server.until(lambda: len(made) > 10, "some pieces")
    client.reset()
    server.until(lambda: pieces.closed == 1, "the end of the generator")
    server.until(lambda: server.server.connections == 0, "the server to forget the connection")


def test_a_generator_that_fails_breaks_off_behind_what_it_made(
    server: SteppedServer, pieces: Pieces
) -> None:
    def make() -> Iterator[bytes]:
        yield from [b"a", b"b", b"c"]
        raise RuntimeError

    pieces.make = make
    with server.connection() as client:
        client.put(GET)
        server.until(lambda: (client.receive(), client.ending)[1] is not None, "the end")
        body = bytes(client.received).partition(b"\r\n\r\n")[2]
        assert body == b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n"


def test_the_thread_ends_with_its_server(pieces: Pieces, tmp_path: Path) -> None:
    pieces.make = lambda: [b"piece"] * 5
    with (
        SteppedServer(pieces, tmp_path, clock=Clock(start=100)) as server,
        server.connection() as client,
    ):
        before = sending_threads()
        client.put(GET)
        client.await_responses(1)
        threads = [thread for thread in sending_threads() if thread not in before]
        assert len(threads) == 1
    assert are_gone(threads)


def test_the_thread_takes_no_signals(pieces: Pieces, tmp_path: Path) -> None:
    pieces.make = lambda: [b"piece"] * 5
    with (
        SteppedServer(pieces, tmp_path, clock=Clock(start=100)) as server,
        server.connection() as client,
    ):
        client.put(GET)
        client.await_responses(1)
        thread = sending_threads()[-1]
        (line,) = [
            line
            for line in (thread / "status").read_text().splitlines()
            if line.startswith("SigBlk")
        ]
    blocked = int(line.split()[1], 16)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number < 32 or number > 33:  # those two are the C library's
            assert blocked >> (number - 1) & 1, number


def test_without_a_thread_everything_is_sent_at_once(pieces: Pieces, tmp_path: Path) -> None:
    pieces.make = lambda: [b"piece"] * 5
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        SteppedServer(pieces, tmp_path, clock=Clock(start=100)) as server,
        server.connection() as client,
    ):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # no more than there are
        try:
            client.put(GET)
            (answer,) = client.await_responses(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert are_gone(sending_threads())
        assert answer.body == b"piece" * 5


@pytest.fixture
def one_processor() -> Iterator[None]:
    """Where the thread has to wait until the generator lets it run."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_processor")
def test_pieces_share_their_segments(pieces: Pieces, tmp_path: Path) -> None:
    """The first leaves at once; the others, and the end, as a rule together: two, where there would be nine."""
    pieces.make = lambda: [b"piece"] * 8
    before = sending_threads()
    with (
        SteppedServer(pieces, tmp_path, clock=Clock(start=100)) as server,
        server.connection() as client,
    ):
        client.put(GET)
        client.await_responses(1)
        (thread,) = (int(thread.name) for thread in sending_threads() if thread not in before)
        server.until(lambda: os.sched_getscheduler(thread) == os.SCHED_BATCH, "its own choice")
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
        for count in range(2, 51):
            client.put(GET)
            client.await_responses(count)
        info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    (segments,) = struct.unpack_from("=I", info, DATA_SEGMENTS_IN)
    assert 2 * 50 <= segments < 7 * 50


def test_pieces_that_take_their_time_need_no_thread(pieces: Pieces, tmp_path: Path) -> None:
    with (
        SteppedServer(pieces, tmp_path, clock=Clock(start=100), **INLINE.settings) as server,
        server.connection() as client,
    ):

        def make() -> Iterator[bytes]:
            for _ in range(5):
                yield b"x" * 100
                server.clock.advance(1)

        pieces.make = make
        client.put(GET)
        (answer,) = client.await_responses(1)
        assert answer.body == b"x" * 500
        assert are_gone(sending_threads())
