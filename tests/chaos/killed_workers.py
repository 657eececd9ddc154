"""S5: workers die one after the other. Only what they were at is lost, and each has a successor at once.

Where the successors cannot boot, they are tried at growing intervals and not in a loop.
"""

import math
import os
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.crowd import Crowd
from tests.chaos.figures import Figure
from tests.chaos.watched import Watched

TITLE: Final = "workers that are killed"
MODELS: Final = ("inline",)

WORKERS: Final = 4
CLIENTS: Final = 32
INTERVAL: Final = 0.2  # seconds
FAILING_SECONDS: Final = 2.0
BOOTS_MEANWHILE: Final = 3  # at 0, 0.5 and 1.5 seconds

SITE: Final = """
import os
from tests.chaos.application import app
if os.path.exists(os.environ["CHAOS_FOLDER"] + "/broken"):
    raise RuntimeError("broken on purpose")
"""


@dataclass(frozen=True)
class Size:
    """How many workers are killed, and the seconds that a successor may take: more beside other tests."""

    kills: int
    patience: float


SHORT: Final = Size(12, 2.0)
LONG: Final = Size(300, 0.5)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What the clients met, how soon the successors served, and how often boots were tried."""
    (arena.folder / "site_of_test.py").write_text(SITE)
    options = ("--chdir", str(arena.folder))
    with arena.server(*options, app="site_of_test:app", workers=WORKERS) as server:
        with Crowd(server.port, CLIENTS) as crowd:
            killed = kill_often(server, size)
            server.process.wait_for("Booting worker", count=WORKERS + size.kills)
            crowd.await_answers()
            met = crowd.report()
        # The successors by the order of their boots. One may get no client, and never answer.
        waits = sorted(
            met.first_seen.get(pid, math.inf) - moment
            for pid, moment in zip(server.process.workers[WORKERS:], killed.values(), strict=True)
        )
        innocent = sum(count for pid, count in met.failed_of.items() if pid not in {0, *killed})
        arena.say(f"{met.answers} answers, {met.failed} of killed workers; {met.faults}")
        arena.say(f"successors answer after {', '.join(f'{wait:.3f}' for wait in waits[-9:])} s")
        yield Figure("failed requests of workers that live", innocent, 0)
        # Each killed worker has about a quarter of the clients, and few of them are waiting.
        yield Figure("failed requests for each kill", met.failed / size.kills, CLIENTS / WORKERS)
        yield Figure(
            "a successor answers after, median", statistics.median(waits), size.patience, "s"
        )
        missing = WORKERS - len(Watched(server.process.pid).children())
        yield Figure("workers missing", missing, 0)
        yield from fail_boots(arena, server)


def kill_often(server: RunningServer, size: Size) -> dict[int, float]:
    """Kill the oldest worker again and again; when each was."""
    killed: dict[int, float] = {}
    for number in range(size.kills):
        pid = server.process.workers[number]
        killed[pid] = time.monotonic()
        os.kill(pid, signal.SIGSEGV if number % 2 else signal.SIGKILL)
        time.sleep(INTERVAL)  # what is asked for is this pace
    return killed


def fail_boots(arena: Arena, server: RunningServer) -> Iterator[Figure]:
    """Kill one worker while none can boot."""
    broken = arena.folder / "broken"
    broken.touch()
    log = server.process.log
    before, said = len(server.process.workers), log.count("RuntimeError: broken on purpose")
    with Crowd(server.port, CLIENTS) as crowd:
        os.kill(server.process.workers[-1], signal.SIGKILL)
        server.process.wait_for("RuntimeError: broken on purpose")
        crowd.report()
        time.sleep(FAILING_SECONDS)  # what is counted is what happens in this time
        boots = len(server.process.workers) - before
        met = crowd.report()
        broken.unlink()
        server.process.wait_for("Booting worker", count=before + boots + 1)
        crowd.await_answers()
    yield Figure("boots tried in vain", boots, BOOTS_MEANWHILE)
    yield Figure("messages about it", log.count("RuntimeError: broken on purpose") - said, 1)
    yield Figure("failed requests meanwhile", met.failed, 0)
