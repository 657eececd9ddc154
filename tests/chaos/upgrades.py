"""S4: a new master beside the old one, and back; then another, and forward. Nobody who asks notices either."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.crowd import Crowd
from tests.chaos.figures import Figure
from tests.chaos.watched import Watched

TITLE: Final = "upgrades and back"
MODELS: Final = ("inline", "threads", "gevent")

WORKERS: Final = 2
CLIENTS: Final = 64


@dataclass(frozen=True)
class Size:
    """How often it goes back before it goes forward."""

    ways_back: int


SHORT: Final = Size(1)
LONG: Final = Size(20)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What the clients met, and who serves at last."""
    with arena.server(workers=WORKERS) as server, Crowd(server.port, CLIENTS) as crowd:
        for number in range(1, size.ways_back + 1):
            new = upgrade(server, number)
            crowd.await_answers()
            os.kill(new, signal.SIGTERM)
            server.process.wait_for(rf"The new master \(pid: {new}\) exited with code 0")
            crowd.await_answers()
        new = upgrade(server, size.ways_back + 1)
        server.process.signal(signal.SIGTERM)
        server.process.wait_for(rf"\[{new}\] \[INFO\] Master has been promoted")
        code = server.process.process.wait()
        crowd.await_answers()
        met = crowd.report()
        crowd.await_answers()
        strangers = set(crowd.end().first_seen) - set(Watched(new).children())
        os.kill(new, signal.SIGTERM)
        server.process.wait()
        arena.say(f"{met.answers} answers; {met.faults}")
        yield Figure("failed requests", met.failed, 0)
        yield Figure("exit code of the old master", abs(code), 0)
        yield Figure("workers of another master at last", len(strangers), 0)
        # It says as a warning that a new master has gone.
        yield Figure("errors in the log", server.errors(), 0)


def upgrade(server: RunningServer, count: int) -> int:
    """The pid of the new master, when its workers are ready."""
    server.process.signal(signal.SIGUSR2)
    new = int(server.process.wait_for(r"the new master has the pid (\d+)", count=count)[1])
    server.process.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
    return new
