"""Request bodies: whatever pieces they come in they arrive whole, and their memory is of one budget."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import Client, SteppedServer, Transport

KIBIBYTE = 1024
MEBIBYTE = 1 << 20
ALWAYS = 16 * KIBIBYTE  # of each body in memory, whatever others have
OWN = 512 * KIBIBYTE  # what the test, the clients and the server have besides
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def head(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def in_chunks(body: bytes, chance: random.Random) -> bytes:
    """A request with this body, in chunks of several sizes."""
    parts = [CHUNKED]
    while body:
        size = chance.choice((1_000, 20_000, 300_000))
        parts.append(chunk(body[:size]))
        body = body[size:]
    return b"".join((*parts, LAST_CHUNK))


class Keeper:
    """An application that keeps what it reads: blocks of these sizes."""

    def __init__(self) -> None:
        self.reads: list[int] = [-1]
        self.bodies: list[bytes] = []
        self.peak = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        read = environ["wsgi.input"].read
        parts = [part for part in map(read, self.reads) if part]
        self.bodies.append(parts[0] if len(parts) == 1 else b"".join(parts))
        self.peak = tracemalloc.get_traced_memory()[1] if tracemalloc.is_tracing() else 0
        start_response("200 OK", [("Content-Length", "0")])
        return []


@pytest.fixture
def app() -> Keeper:
    return Keeper()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def serve(app: Application, tmp_path: Path, spool: Path) -> Iterator[Callable[..., SteppedServer]]:
    with ExitStack() as stack:

        def start(transport: Transport = "tcp", **settings: Any) -> SteppedServer:
            return stack.enter_context(
                SteppedServer(app, tmp_path, transport, tmp_upload_dir=str(spool), **settings)
            )

        yield start


@pytest.fixture
def tracing() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def in_files(spool: Path) -> int:
    """How many bodies are in a file: such a file has no name, but somebody has it open."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            count += os.readlink(f"/proc/self/fd/{number}").startswith(str(spool))
    return count


def begin(server: SteppedServer, announced: int, sent: int) -> Client:
    """A client that has sent so much of its body."""
    client = server.connect()
    client.send(head(announced) + bytes(sent))
    server.settle()
    return client


@pytest.mark.parametrize("transport", ["tcp", "unix", "tls"])
@pytest.mark.parametrize("budget", [0, 100_000, 1 << 25])
def test_a_body_arrives_whole_in_whatever_pieces(
    app: Keeper, serve: Callable[..., SteppedServer], transport: Transport, budget: int
) -> None:
    chance = random.Random(budget)
    server = serve(transport, body_buffer_size=budget)
    sent: list[bytes] = []
    with server.connection(*["POST"] * 64) as client:
        for size in (1, ALWAYS - 1, ALWAYS, ALWAYS + 1, 65_536, 131_073, 700_001, 3 * MEBIBYTE):
            for chunked in (False, True):
                app.reads = chance.choice([[-1], [size, -1], [size // 2, -1], [size + 1, 3]])
                body = chance.randbytes(size)
                request = head(size) + body
                if chunked:
                    request = in_chunks(body, chance)
                # What follows it is a request of its own.
                stream = request + head(3) + b"end"
                expected = len(client.responses) + 2
                while stream:
                    end = chance.choice((1, 100, 5_000, 65_536, 1_000_000))
                    client.send(stream[:end])
                    stream = stream[end:]
                client.await_responses(expected)
                sent += body, b"end"
        assert app.bodies == sent
        assert set(client.statuses) == {200}


@pytest.mark.usefixtures("tracing")
def test_who_reads_all_of_a_body_gets_it_without_a_copy(
    app: Keeper, serve: Callable[..., SteppedServer]
) -> None:
    server = serve()
    with server.connection("POST") as client:
        request = head(4 * MEBIBYTE) + bytes(4 * MEBIBYTE)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        client.send(request)
        client.await_responses(1)
        assert len(app.bodies[0]) == 4 * MEBIBYTE
        assert app.peak - before < 4 * MEBIBYTE + OWN


@pytest.mark.usefixtures("tracing")
def test_an_announced_length_takes_no_memory(serve: Callable[..., SteppedServer]) -> None:
    server = serve()
    before = tracemalloc.get_traced_memory()[0]
    clients = [begin(server, 10 * MEBIBYTE, 100) for _ in range(100)]
    assert tracemalloc.get_traced_memory()[0] - before < 100 * 8 * KIBIBYTE + OWN
    for client in clients:
        client.close()


@pytest.mark.usefixtures("tracing")
def test_all_bodies_together_stay_within_the_budget(
    serve: Callable[..., SteppedServer], spool: Path
) -> None:
    budget, count, sent = 2 * MEBIBYTE, 40, 200 * KIBIBYTE
    server = serve(body_buffer_size=budget)
    before = tracemalloc.get_traced_memory()[0]
    clients = [begin(server, sent + 1, sent) for _ in range(count)]
    taken = tracemalloc.get_traced_memory()[0] - before
    assert taken < budget + count * ALWAYS + OWN
    assert count * sent > 3 * budget
    # Others still have memory, and what is small has it in any case.
    spooled = in_files(spool)
    assert count // 2 < spooled < count - 3
    small = [begin(server, ALWAYS, ALWAYS - 1) for _ in range(20)]
    assert in_files(spool) == spooled
    for client in clients + small:
        client.send(b"x")
        assert client.await_responses(1)[0].status == 200
        client.close()
    assert in_files(spool) == 0


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("framing", ["announced", "chunked"])
def test_a_large_body_does_not_get_all_of_the_budget(
    serve: Callable[..., SteppedServer], spool: Path, framing: str
) -> None:
    server = serve(body_buffer_size=8 * MEBIBYTE)
    with server.connection("POST") as client:
        start, piece = head(100 * MEBIBYTE), bytes(MEBIBYTE)
        if framing == "chunked":
            start, piece = CHUNKED, chunk(piece)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        client.send(start)
        for _ in range(6):
            client.send(piece)
        server.settle()
        most = (4 * MEBIBYTE if framing == "chunked" else ALWAYS) + OWN
        assert tracemalloc.get_traced_memory()[1] - before < most
        assert in_files(spool) == 1


def left(server: SteppedServer) -> None:
    begin(server, 30_000, 29_000).close()


def reset(server: SteppedServer) -> None:
    begin(server, 30_000, 29_000).reset()


def late(server: SteppedServer) -> None:
    client = begin(server, 30_000, 29_000)
    server.advance(40)
    assert client.await_responses(1)[0].status == 408
    client.close()


def broken(server: SteppedServer) -> None:
    client = server.connect("POST")
    client.send(CHUNKED + chunk(bytes(29_000)) + b"no length\r\n")
    assert client.await_responses(1)[0].status == 400
    client.close()


def spooled(server: SteppedServer) -> None:
    client = server.connect("POST")
    assert client.exchange(head(200_000) + bytes(200_000)).status == 200
    client.close()


def answered(server: SteppedServer) -> None:
    client = server.connect("POST")
    assert client.exchange(head(30_000) + bytes(30_000)).status == 200
    client.close()


@pytest.mark.parametrize("end", [left, reset, late, broken, spooled, answered])
@pytest.mark.parametrize("reads", [[-1], [10], []], ids=["all", "some", "none"])
def test_the_budget_comes_back_however_a_body_ends(
    app: Keeper,
    serve: Callable[..., SteppedServer],
    spool: Path,
    end: Callable[[SteppedServer], None],
    reads: list[int],
) -> None:
    app.reads = reads
    server = serve(body_buffer_size=80_000)
    for _ in range(5):
        end(server)
        server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    # Of two the budget has room for one alone, so nothing less than all of it is there.
    first, second = begin(server, 39_000, 38_000), begin(server, 39_000, 38_000)
    assert in_files(spool) == 1
    first.close()
    second.close()
