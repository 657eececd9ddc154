"""S17: the logs are renamed and opened anew, again and again under load. Each line is there once, and whole.

And a disk without room for them stops nobody.
"""

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.crowd import Crowd
from tests.chaos.figures import Figure

TITLE: Final = "rotation of logs"
MODELS: Final = ("threads", "inline", "gevent")

WORKERS: Final = 2
CLIENTS: Final = 16
PAUSE: Final = 0.01  # seconds
LINE: Final = re.compile(
    r'127\.0\.0\.1 - - \[[^]]{26}\] "GET /whoami\?(\d+-\d+) HTTP/1\.1" 200 \d+ "-" "-"\n'
)


@dataclass(frozen=True)
class Size:
    """How many rotations, with how many seconds between them, and seconds on a full disk."""

    rotations: int
    interval: float
    full: float


SHORT: Final = Size(20, 0.05, 0.3)
LONG: Final = Size(100, 0.2, 5.0)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """Which lines are missing, doubled or torn; and what clients met whose lines nobody can write."""
    log, config = arena.folder / "access", arena.folder / "conf.py"
    config.write_text(f"accesslog = {str(log)!r}\n")
    with arena.server("--config", str(config), workers=WORKERS) as server:
        with Crowd(server.port, CLIENTS, PAUSE) as crowd:
            rotate(arena, server, size, log)
            met = crowd.end()
        arena.say(f"{met.answers} answers, {size.rotations} rotations; {met.faults}")
        yield Figure("failed requests", met.failed, 0)
        yield from compare(server, log, met.answers)
        config.write_text("accesslog = errorlog = '/dev/full'\n")
        old = server.process.workers
        server.process.signal(signal.SIGHUP)
        server.await_(lambda: int(server.get("/whoami?").body) not in old)
        with Crowd(server.port, CLIENTS, PAUSE) as crowd:
            time.sleep(size.full)  # what is measured is this very time
            wrong = sum(server.get("/missing").status != 500 for _ in range(10))
            met = crowd.end()
        yield Figure("failed requests with a full disk", met.failed, 0)
        yield Figure("errors answered otherwise with a full disk", wrong, 0)


def rotate(arena: Arena, server: RunningServer, size: Size, log: Path) -> None:
    for number in range(size.rotations):
        log.rename(arena.folder / f"access.{number}")
        server.process.signal(signal.SIGUSR1)
        assert server.await_(log.exists), "nobody opened the log anew"
        time.sleep(size.interval)  # some lines are to be written


def compare(server: RunningServer, log: Path, answers: int) -> Iterator[Figure]:
    """The lines of all files against the answers; those to others than the crowd do not count."""

    def lines() -> list[str]:
        text = "".join(file.read_text() for file in log.parent.glob(f"{log.name}*"))
        return [line for line in text.splitlines(keepends=True) if "/whoami" in line]

    server.await_(lambda: len(lines()) >= answers)
    found = lines()
    marks = Counter(whole[1] for line in found if (whole := LINE.fullmatch(line)))
    yield Figure("lines torn", len(found) - marks.total(), 0)
    yield Figure("lines doubled", marks.total() - len(marks), 0)
    yield Figure("lines missing or more", abs(answers - len(marks)), 0)
