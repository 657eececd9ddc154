"""S14: more clients than the process may have descriptors. It rests instead of spinning, and goes on at once."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, RunningServer, descriptors_for, reset
from tests.chaos.figures import Figure

TITLE: Final = "few descriptors"

DESCRIPTORS: Final = 64
LOG_INTERVAL: Final = 10.0  # seconds between two lines that say so

LIMITED: Final = ("sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "limited")


@dataclass(frozen=True)
class Size:
    """How many clients, how often, and for how many seconds each time."""

    clients: int
    rounds: int
    watched: float


SHORT: Final = Size(200, 2, 1.2)
LONG: Final = Size(1_000, 4, 12.0)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """Processor time while nobody can be accepted, the time until a client is again, lines of the log."""
    shares, waits = [], []
    with (
        descriptors_for(size.clients),
        arena.server("--header-timeout", "600", wrapper=LIMITED) as server,
    ):
        begin = time.monotonic()
        for _ in range(size.rounds):
            share, wait = starve(server, size)
            shares.append(share)
            waits.append(wait)
            arena.say(f"{share:.2g} % of a core, served again after {wait:.2g} s")
        elapsed = time.monotonic() - begin
        lines = server.process.log.count("Cannot accept")
        yield Figure("processor time without descriptors", max(shares), 20, "%")
        yield Figure("time until a client is served again", max(waits), 1, "s")
        yield Figure("lines in the log", lines, elapsed // LOG_INTERVAL + 1)
        yield Figure("silence about it", not lines, 0)
        yield Figure("other errors in the log", server.errors() - lines, 0)


def starve(server: RunningServer, size: Size) -> tuple[float, float]:
    """Have all descriptors taken; percent of a core meanwhile, and seconds to the next answer after."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(size.clients)]
        share = server.worker.cpu_share(size.watched)
        assert server.worker.descriptors() >= DESCRIPTORS - 1
        for client in clients:
            reset(client)
    begin = time.monotonic()
    assert server.get("/hello").status == 200
    return share, time.monotonic() - begin
