"""S21: an application that is loaded before the fork. Its workers share memory; not randomness, epoll or locks."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.figures import Figure
from tests.chaos.watched import Watched
from tests.support.builds import FREE_THREADED
from tests.support.server import wait_gone

TITLE: Final = "preloading"
MODELS: Final = ("threads", "inline")  # a greenlet of the application's would not run in the master

# Of a worker, one of each reactor.
EPOLLS: Final = len(os.sched_getaffinity(0)) if FREE_THREADED else 1


@dataclass(frozen=True)
class Size:
    """How many workers are forked while a thread of the master holds its locks."""

    forks: int


SHORT: Final = Size(6)
LONG: Final = Size(400)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What the first answers of the workers have in common, and what they have of the master's."""
    draws: dict[str, set[str]] = {}
    epolls = []
    with arena.server("--preload", app="tests.chaos.preloaded:app") as server:
        of_master = Watched(server.process.pid).epolls()
        for number in range(size.forks):
            server.process.wait_for("Booting worker", count=number + 1)
            # It waits in the queue of the socket until a worker is there, and not blocked.
            for source, draw in json.loads(server.get("/").body).items():
                draws.setdefault(source, set()).add(draw)
            pid = server.process.workers[number]
            epolls.append(Watched(pid).epolls())
            os.kill(pid, signal.SIGKILL)
            wait_gone(pid)
        for source, different in draws.items():
            yield Figure(f"{source}: equal in two workers", size.forks - len(different), 0)
        yield Figure("epolls of the master", of_master, 0)
        yield Figure("epolls of a worker", max(epolls), EPOLLS)
