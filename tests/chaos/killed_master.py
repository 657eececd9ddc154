"""S6: the master is killed. Its workers finish what they are at and leave, and the port is free again."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from tests.chaos.application import GREETING
from tests.chaos.arena import Arena, read_answer, request
from tests.chaos.figures import Figure
from tests.chaos.full_backlog import Starts
from tests.support.server import PATIENCE, wait_gone

TITLE: Final = "a master that is killed"

MODELS: Final = ("inline", "gevent")

WORKERS: Final = 2
GRACE: Final = 5  # seconds


@dataclass(frozen=True)
class Size:
    """Idle connections, requests that run, for so many seconds each, and how often."""

    idle: int
    running: int
    seconds: float
    rounds: int


SHORT: Final = Size(32, 4, 0.3, 1)
LONG: Final = Size(1_000, 4, 1.0, 10)  # inline, one worker may get all four


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """How long it takes until nobody is left, and what became of the requests."""
    idle = [end(arena, size, running=0) for _ in range(size.rounds)]
    busy = [end(arena, size, running=size.running) for _ in range(size.rounds)]
    yield Figure("until all workers of an idle server are gone", max(t for t, _, _ in idle), 2, "s")
    yield Figure("until all of a busy one are", max(t for t, _, _ in busy), GRACE + 1, "s")
    yield Figure("requests lost", sum(lost for _, lost, _ in busy), 0)
    yield Figure("ports still taken", sum(taken for _, _, taken in idle + busy), 0)


def end(arena: Arena, size: Size, *, running: int) -> tuple[float, int, bool]:
    """Kill a master. Seconds until its workers are gone, requests lost, and whether the port is taken."""
    options = ("--graceful-timeout", f"{GRACE}")
    with (
        Starts(arena.folder) as starts,
        arena.server(*options, workers=WORKERS) as server,
        ExitStack() as stack,
    ):
        for _ in range(size.idle):
            client = stack.enter_context(server.connect())
            client.sendall(request("/hello"))
            assert read_answer(client).body == GREETING
        clients = [stack.enter_context(server.connect()) for _ in range(running)]
        for client in clients:
            client.sendall(request(f"/slow?{size.seconds}"))
        # Inline one request runs in each worker, or all in one.
        starts.await_(min(running, 1 if not arena.model else running))
        begin = time.monotonic()
        server.process.signal(signal.SIGKILL)
        lost = sum(not answered(client) for client in clients)
        for pid in server.process.workers:
            wait_gone(pid)
        return time.monotonic() - begin, lost, is_taken(server.port)


def answered(client: socket.socket) -> bool:
    with suppress(AssertionError, OSError):
        return read_answer(client).body == GREETING
    return False


def is_taken(port: int) -> bool:
    """Whether a server that begins now could not listen there."""
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
        except OSError:
            return True
    return False
