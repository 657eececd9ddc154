"""S20: signals by the thousand, of all kinds, in any order. The server comes to rest, and still ends when told to."""

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.crowd import Crowd
from tests.chaos.figures import Figure
from tests.chaos.watched import Watched

TITLE: Final = "a storm of signals"
MODELS: Final = ("inline", "threads", "gevent")

WORKERS: Final = 2
CLIENTS: Final = 8
GRACE: Final = 5  # seconds
RATE: Final = 1_000  # signals a second
PATIENCE: Final = 30.0  # seconds, in which it has to come to rest
# More workers go than come, so that they stay few.
KINDS: Final = (
    *(signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTTOU),
    *(signal.SIGCHLD, signal.SIGUSR1),
)


@dataclass(frozen=True)
class Size:
    """Signals before the server may rest, and how many servers are ended amid a storm."""

    signals: int
    ends: int


SHORT: Final = Size(500, 1)
LONG: Final = Size(10_000, 20)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """How many workers there are when it is over, what clients met, and whether TERM was heard."""
    options = ("--graceful-timeout", f"{GRACE}")
    with arena.server(*options, workers=WORKERS) as server, Crowd(server.port, CLIENTS) as crowd:
        storm(server, size.signals)
        server.process.signal(signal.SIGHUP)  # forgets what TTIN and TTOU have asked for
        begin = time.monotonic()
        rests = comes_to(server, WORKERS)
        waited = time.monotonic() - begin
        handled = server.process.log.count("Handling signal")
        # Whoever counts right and is not stuck follows.
        server.process.signal(signal.SIGTTIN)
        follows = comes_to(server, WORKERS + 1)
        met = crowd.end()
        arena.say(f"{handled} signals handled, at rest after {waited:.1f} s; {met.faults}")
        yield Figure("not at rest", not rests, 0)
        yield Figure("until it rests", waited, PATIENCE, "s")
        yield Figure("deaf afterwards", not follows, 0)
        yield Figure("failed requests", met.failed, 0)
    unheard = 0
    for _ in range(size.ends):
        with arena.server(*options, workers=WORKERS) as server:
            storm(server, RATE // 10)
            server.process.signal(signal.SIGTERM)
            storm(server, RATE * GRACE)  # to its last moment
            code = server.process.wait(2 * GRACE)
            unheard += code != 0
            arena.say(f"exit code {code}")
    yield Figure("TERM not heard", unheard, 0)


def storm(server: RunningServer, count: int) -> None:
    """Send so many signals, at the same distance; until the server has gone."""
    begin, number = time.monotonic(), 0
    while number < count and server.process.process.poll() is None:
        server.process.process.send_signal(random.choice(KINDS))
        number += 1
        time.sleep(max(0.0, begin + number / RATE - time.monotonic()))


def comes_to(server: RunningServer, workers: int) -> bool:
    """Whether all reloads end and there are so many workers, after some time."""
    master, log = Watched(server.process.pid), server.process.log

    def rests() -> bool:
        ended = log.count("Reloaded:") + log.count("Not reloaded")
        return len(master.children()) == workers and ended == log.count("Hang up: Master")

    return server.await_(rests, PATIENCE)
