"""S10: thousands of kept connections that nothing happens on. Each costs little memory, all together no time."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, descriptors_for, read_answer, request
from tests.chaos.figures import Figure

TITLE: Final = "idle kept connections"

REQUEST: Final = request("/hello")
WARM_UP: Final = 100  # connections before anything is measured


@dataclass(frozen=True)
class Size:
    """How many connections, and for how many seconds the processor time is counted."""

    connections: int
    watched: float


SHORT: Final = Size(2_000, 1.0)
LONG: Final = Size(10_000, 20.0)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """Private memory for each connection, processor time of all, and what is left of them."""
    with descriptors_for(size.connections), arena.server("--keep-alive", "3600") as server:
        for _ in range(WARM_UP):
            server.get("/hello")
        assert server.descriptors_left() == 0
        descriptors, memory = server.worker.descriptors(), server.worker.private()
        with contextlib.ExitStack() as stack:
            for _ in range(size.connections):
                client = stack.enter_context(server.connect())
                client.sendall(REQUEST)
                read_answer(client)
            each = (server.worker.private() - memory) / size.connections
            share = server.worker.cpu_share(size.watched)
            open_now = server.worker.descriptors() - descriptors
            arena.say(f"{open_now} connections are open")
        left = server.descriptors_left()
    yield Figure("connections the server closed too early", size.connections - open_now, 0)
    yield Figure("private memory for each connection", each, 1024, "B")
    yield Figure("processor time while idle", share, 1, "%")
    yield Figure("descriptors left", left, 0)
