"""S7: a worker that is stopped, one in an endless loop, one that no exception ends. Each is found by its silence.

All write down their stacks. Who can go on does so until it has a successor, the others are killed.
"""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena, RunningServer, read_answer, request
from tests.chaos.crowd import Crowd
from tests.chaos.figures import Figure
from tests.support.server import status, wait_gone

TITLE: Final = "workers that are stuck"
MODELS: Final = ("inline", "gevent")

WORKERS: Final = 4
CLIENTS: Final = 12


@dataclass(frozen=True)
class Size:
    """The setting `timeout` in seconds, and how often."""

    timeout: int
    rounds: int


SHORT: Final = Size(1, 1)
LONG: Final = Size(5, 5)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """When each was found and freed, whether its stacks are there, and what the others met."""
    deviations: dict[str, list[float]] = {name: [] for name, _, _ in KINDS}
    options = ("--timeout", f"{size.timeout}")
    with arena.server(*options, workers=WORKERS) as server, Crowd(server.port, CLIENTS) as crowd:
        for number in range(1, size.rounds + 1):
            for pid in get_stuck(arena, server, size, deviations):
                wait_gone(pid)
            server.process.wait_for("Booting worker", count=WORKERS + len(KINDS) * number)
            crowd.await_answers()
        met = crowd.report()
        log = server.process.log
        stuck = {int(pid) for pid in re.findall(r"TIMEOUT \(pid:(\d+)\)", log.text())}
        innocent = sum(count for pid, count in met.failed_of.items() if pid not in {0, *stuck})
        arena.say(f"{met.answers} answers to others; {met.failed_of} {met.faults}")
        for name, _, stacks in KINDS:
            yield Figure(f"{name}: freed, off the timeout", max(deviations[name]), 1, "s")
            shown = len(re.findall(stacks, log.text())) // (
                len(KINDS) if stacks == ANY_STACKS else 1
            )
            yield Figure(f"{name}: without stacks", max(0, size.rounds - shown), 0)
        yield Figure("failed requests of other workers", innocent, 0)
        yield Figure("workers taken for stuck", len(stuck), size.rounds * len(KINDS))


def get_stuck(
    arena: Arena, server: RunningServer, size: Size, deviations: dict[str, list[float]]
) -> list[int]:
    """Have a worker be stuck of each kind, all at once; note how far off the timeout each was freed.

    Gives their pids.
    """
    with ExitStack() as stack:
        clients = find_workers(server, len(KINDS), stack)
        begins = [get(*of) for of, (_, get, _) in zip(clients.items(), KINDS, strict=True)]
        for client, begin, (name, _, _) in zip(clients.values(), begins, KINDS, strict=True):
            outcome = await_end(client)
            off = abs(time.monotonic() - begin - size.timeout)
            deviations[name].append(off)
            arena.say(f"{name}: {outcome}, {off:.2f} s off the timeout")
    return list(clients)


def find_workers(server: RunningServer, count: int, stack: ExitStack) -> dict[int, socket.socket]:
    """A client of each of `count` workers, by the pid of the worker.

    Of workers that wait the kernel wakes the one that began first, again and again. So who was
    found stands still until all are.
    """
    clients: dict[int, socket.socket] = {}
    try:
        while len(clients) < count:
            client = stack.enter_context(server.connect())
            client.sendall(request("/whoami?"))
            pid = int(read_answer(client).body)
            assert pid not in clients, f"worker {pid} stands still and answers"
            clients[pid] = client
            os.kill(pid, signal.SIGSTOP)
            while status(pid)[0] != "T":
                os.sched_yield()
    finally:
        for pid in clients:
            os.kill(pid, signal.SIGCONT)
    return clients


def stop(pid: int, client: socket.socket) -> float:
    """Stop the client's worker, and ask it then."""
    begin = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    client.sendall(request("/hello"))
    return begin


def ask_for(path: str) -> Callable[[int, socket.socket], float]:
    def ask(_: int, client: socket.socket) -> float:
        client.sendall(request(path))
        return time.monotonic()

    return ask


# Not at the start of a line: the stacks of several are written at once, each a few words at a time.
ANY_STACKS: Final = "Current thread 0x"

# A name, what makes a worker be stuck and when, and a line of its stacks.
KINDS: Final = (
    ("stopped", stop, ANY_STACKS),
    ("in a loop", ask_for("/spin"), r"in spin\b"),
    ("deaf", ask_for("/deaf"), r"in deaf\b"),
)


def await_end(client: socket.socket) -> str:
    """What the request that waits for it ends in."""
    try:
        return str(read_answer(client).status)
    except (AssertionError, OSError):
        return "cut off"
