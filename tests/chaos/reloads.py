"""S1: one reload after the other while many clients keep their connections. None of them notices.

Nor does the machine: what a worker has in descriptors and memory after all of them is what the first had.
Workers that boot take processor time, on two cores a good part of it, and that from every server of the machine:
so times are compared with those of another one at the same time.
"""

import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.crowd import Crowd, Report
from tests.chaos.figures import Figure
from tests.chaos.watched import Watched

TITLE: Final = "reloads under load"

WORKERS: Final = 2
CLIENTS: Final = 64
INTERVAL: Final = 0.5  # seconds between two HUPs


@dataclass(frozen=True)
class Size:
    """How many reloads, for how many seconds it is quiet before and after, and how much slower answers may be."""

    reloads: int
    quiet: float
    slower: float


SHORT: Final = Size(2, 0.4, 10)  # few answers, and other tests beside them
LONG: Final = Size(50, 5.0, 3)


@dataclass(frozen=True)
class Holdings:
    """What the processes of a server have: descriptors, most of a worker, and memory, on average."""

    descriptors: int
    resident: float
    descriptors_of_master: int
    resident_of_master: float

    def grown(self, later: "Holdings") -> Iterator[Figure]:
        """By how much it is something else later."""
        yield Figure(
            "descriptors of a worker, difference", abs(later.descriptors - self.descriptors), 1
        )
        master = abs(later.descriptors_of_master - self.descriptors_of_master)
        yield Figure("descriptors of the master, difference", master, 0)
        worker = 100 * abs(later.resident / self.resident - 1)
        yield Figure("memory of a worker, difference", worker, 5, "%")
        master = 100 * abs(later.resident_of_master / self.resident_of_master - 1)
        yield Figure("memory of the master, difference", master, 5, "%")

    @classmethod
    def of(cls, server: RunningServer) -> "Holdings":
        master = Watched(server.process.pid)
        workers = [Watched(pid) for pid in master.children()]
        return cls(
            max(worker.descriptors() for worker in workers),
            statistics.mean(worker.resident() for worker in workers),
            master.descriptors(),
            master.resident(),
        )


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What the clients met, and what the processes have more than before the first reload."""
    with arena.server(workers=WORKERS) as server, arena.server(workers=WORKERS) as another:
        idle = Holdings.of(server).descriptors
        steady = visit(server, size)
        server.await_(lambda: Holdings.of(server).descriptors <= idle)
        before = Holdings.of(server)
        with Crowd(another.port, CLIENTS) as crowd_of_another:
            met = reload_often(arena, server, size)
            met_there = crowd_of_another.report()
        quiet = visit(server, size)
        server.await_(lambda: Holdings.of(server).descriptors <= before.descriptors)
        after = Holdings.of(server)
        arena.say(f"p99 {steady.p99:.1f} ms before, {met.p99:.1f} ms meanwhile,")
        arena.say(f"{met_there.p99:.1f} ms at another server, which nobody reloads; {met.faults}")
        yield Figure("failed requests", steady.failed + met.failed + quiet.failed, 0)
        # On a machine that is busy enough, a generation is not ready before the next HUP comes.
        overtaken = server.process.log.count("Not reloaded.*another HUP came")
        yield Figure("reloads that were overtaken", overtaken, size.reloads // 2)
        yield Figure("p99 against another server's", met.p99 / met_there.p99, size.slower)
        yield from before.grown(after)
        yield Figure("errors in the log", server.errors() - overtaken, 0)


def visit(server: RunningServer, size: Size) -> Report:
    """What the clients meet when nothing happens."""
    with Crowd(server.port, CLIENTS) as crowd:
        time.sleep(size.quiet)  # what is measured is this very time
        return crowd.report()


def reload_often(arena: Arena, server: RunningServer, size: Size) -> Report:
    """What the clients meet during the reloads."""
    with Crowd(server.port, CLIENTS) as crowd:
        for number in range(1, size.reloads + 1):
            server.process.signal(signal.SIGHUP)
            time.sleep(INTERVAL)  # what is asked for is this pace
            if number % 10 == 0:
                arena.say(f"{number} reloads")
        server.process.wait_for("Handling signal: hup", count=size.reloads)
        reloads = server.process.log.count("Hang up: Master")
        server.process.wait_for("Reloaded:|Not reloaded", count=reloads)
        return crowd.report()
