"""S16: somebody sets the clock, by hours and into 2038. Nobody is killed or cut off for it, and Date follows.

libfaketime stands between the server and the clock. As with a real one that is set, the monotonic clock goes on.
"""

import email.utils
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.crowd import Crowd
from tests.chaos.figures import CannotRun, Figure

TITLE: Final = "a clock that is set"
MODELS: Final = ("inline", "gevent")

CLIENTS: Final = 8
TIMEOUT: Final = 1  # seconds: the setting
HOUR: Final = 3600
END_OF_32_BITS: Final = 1 << 31


@dataclass(frozen=True)
class Size:
    """For how many seconds a clock stays as it was set, and how often it goes round."""

    stays: float
    rounds: int


SHORT: Final = Size(0.2, 1)
LONG: Final = Size(3.0, 10)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What the clients met, and whether Date and the log have the new time."""
    offset = arena.folder / "offset"
    set_clock(offset, 0)
    environment = {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    options = ("--timeout", f"{TIMEOUT}", "--access-logfile", str(arena.folder / "access"))
    dates = []
    with arena.server(*options, env=environment) as server, Crowd(server.port, CLIENTS) as crowd:
        for seconds in (END_OF_32_BITS - int(time.time()) - 1, -HOUR, HOUR) * size.rounds:
            set_clock(offset, seconds)
            time.sleep(size.stays)  # the server goes on for a while in the new time
            dates.append(abs(date_off(server, seconds)))
        time.sleep(1.4 * TIMEOUT)  # in which the master looks for who is silent
        met = crowd.report()
        arena.say(f"{met.answers} answers; {met.faults}")
        yield Figure("failed requests", met.failed, 0)
        yield Figure("Date is off by", max(dates), 2, "s")
        yield Figure("workers more than one", len(server.process.workers) - 1, 0)
        yield Figure("lines of silence or error", server.errors(), 0)
    lines = (arena.folder / "access").read_text().splitlines()
    years = {line.split("[", 1)[1][7:11] for line in lines}
    yield Figure("2038 missing in the access log", "2038" not in years, 0)


def set_clock(offset: Path, seconds: int) -> None:
    """Have processes that watch the file see the clock so many seconds off."""
    written = offset.with_suffix(".new")
    written.write_text(f"{seconds:+d}\n")
    written.rename(offset)


def date_off(server: RunningServer, seconds: int) -> float:
    """By how much the Date of an answer differs from what it should be."""
    date = server.get("/hello").get("date")
    assert date is not None
    return email.utils.parsedate_to_datetime(date).timestamp() - (time.time() + seconds)


def library() -> Path:
    """Raises CannotRun."""
    for folder in (Path("/usr/lib"), Path("/usr/local/lib")):
        for found in folder.glob("**/faketime/libfaketime.so.1"):
            return found
    raise CannotRun("libfaketime is not installed (Debian: faketime)")
