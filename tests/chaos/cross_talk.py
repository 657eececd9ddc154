"""S25: two clients, the requests of each between those of the other. No byte of an answer is another request's.

What both send arrives in parts, so one worker holds pieces of several requests at once; now and then one of them comes
back on a connection of its own. `test_cross_talk.py` does the like to a server within the test, with its threads
switched as often as can be.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.figures import Figure
from tests.chaos.pipeline import Pipeline

TITLE: Final = "two clients, no cross-talk"

MOST: Final = 40  # requests of one client at once
TURNS: Final = 10  # that a client keeps a connection, on average
TOLD: Final = 10  # times that its progress is told


@dataclass(frozen=True)
class Size:
    """Requests of both clients together."""

    requests: int


SHORT: Final = Size(6_000)
LONG: Final = Size(1_000_000)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """How many answers were not those of their requests."""
    chance = random.Random(25)
    asked = wrong = told = 0
    with (
        arena.server("--keep-alive", "60") as server,
        Pipeline(server.port, b"a") as one,
        Pipeline(server.port, b"b") as other,
    ):
        clients = [one, other]
        while asked < size.requests:
            chance.shuffle(clients)
            for client in clients:
                asked += (count := chance.randint(1, MOST))
                client.send(count)
            wrong += sum(client.finish() for client in clients)
            if chance.random() < 1 / TURNS:
                clients[0].close()
                clients[0].connect()
            if asked >= told * size.requests / TOLD:
                arena.say(f"{asked:,} requests, {wrong} answered wrongly")
                told += 1
        errors = server.errors()
        one.close()
        other.close()
        left = server.descriptors_left()
    yield Figure(f"answers of {size.requests:,} that were not their requests'", wrong, 0)
    yield Figure("errors in the log", errors, 0)
    yield Figure("descriptors left", left, 0)
