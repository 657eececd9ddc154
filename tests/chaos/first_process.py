"""S19: the server is process 1 of its namespace, as in a container, and inherits whatever loses its parent there."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.crowd import Crowd
from tests.chaos.figures import CannotRun, Figure
from tests.chaos.watched import Watched
from tests.support.server import PATIENCE

TITLE: Final = "process 1 and its orphans"
MODELS: Final = ("inline", "threads", "gevent")

WORKERS: Final = 2
CLIENTS: Final = 8
NAMESPACE: Final = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@dataclass(frozen=True)
class Size:
    """How many orphans are made."""

    orphans: int


SHORT: Final = Size(256)
LONG: Final = Size(1_024)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What is left of the orphans, and what clients and workers noticed of them."""
    require_namespace()
    with arena.process(workers=WORKERS, wrapper=NAMESPACE) as server:
        # The pids in its log are those of the namespace; from here it is the only child of unshare.
        server.pid = Watched(server.process.pid).children()[0]
        master = Watched(server.pid)
        workers = set(master.children())
        with Crowd(server.port, CLIENTS) as crowd:
            status, made = server.get(f"/orphans?{size.orphans}")
            end = time.monotonic() + PATIENCE
            while len(master.children()) > WORKERS and time.monotonic() < end:
                crowd.await_answers()
            met = crowd.end()
        arena.say(f"{made.decode()} orphans, {met.answers} answers; {met.faults}")
        yield Figure("orphans not made", size.orphans - int(made), 0)
        yield Figure("not reaped", len(set(master.children()) - workers), 0)
        yield Figure("workers missing", len(workers - set(master.children())), 0)
        yield Figure("failed requests", met.failed + (status != 200), 0)
        yield Figure(
            "lines of error in the log", server.log.count(r"\[(WARNING|ERROR|CRITICAL)\]"), 0
        )


def require_namespace() -> None:
    """Raises CannotRun."""
    if shutil.which("unshare") is None:
        raise CannotRun("unshare (util-linux) is not installed")
    tried = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", ""], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        raise CannotRun(f"no such namespace here: {tried.stderr.strip()}")
