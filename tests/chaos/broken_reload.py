"""S2: a reload of what cannot be loaded. The old generation serves on, and one message says why."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.crowd import Crowd
from tests.chaos.figures import Figure

TITLE: Final = "reloads of broken code"
MODELS: Final = ("inline",)

WORKERS: Final = 2
CLIENTS: Final = 64

GOOD: Final = {
    "site_of_test.py": "from tests.chaos.application import app\n",
    "conf_of_test.py": "backlog = 1000\n",
}
# A file, what it becomes, and a word that the message must not lack.
BROKEN: Final = (
    ("site_of_test.py", "def app(:\n", "SyntaxError"),
    ("conf_of_test.py", "backlog = = 1000\n", "SyntaxError"),
    ("conf_of_test.py", "backlog = 'many'\n", "backlog"),
    ("conf_of_test.py", "raise RuntimeError('no good')\n", "RuntimeError: no good"),
    ("site_of_test.py", "import no_such_module\n", "no_such_module"),
)


@dataclass(frozen=True)
class Size:
    """How often each is tried."""

    rounds: int


SHORT: Final = Size(1)
LONG: Final = Size(10)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What the clients met, and what was said."""
    for name, text in GOOD.items():
        (arena.folder / name).write_text(text)
    options = ("--chdir", str(arena.folder), "--config", str(arena.folder / "conf_of_test.py"))
    with arena.server(*options, app="site_of_test:app", workers=WORKERS) as server:
        log = server.process.log
        workers = {server.process.worker(place) for place in range(WORKERS)}
        unclear = 0
        with Crowd(server.port, CLIENTS) as crowd:
            tried = 0
            for name, text, word in BROKEN * size.rounds:
                tried += 1
                (arena.folder / name).write_text(text)
                said = len(log.lines)
                server.process.signal(signal.SIGHUP)
                server.process.wait_for("Not reloaded", count=tried)
                crowd.await_answers()
                unclear += word not in "\n".join(log.lines[said:])
                (arena.folder / name).write_text(GOOD[name])
            met = crowd.report()
            new = len(set(met.first_seen) - workers)
            server.process.signal(signal.SIGHUP)
            server.process.wait_for("Reloaded:")
            met_then = crowd.report()
        arena.say(f"{tried} broken reloads, {met.answers} answers; {met.faults}")
        yield Figure("failed requests", met.failed + met_then.failed, 0)
        yield Figure("workers that were not there before", new, 0)
        yield Figure("messages that do not name the cause", unclear, 0)
        messages = log.count(r"\[(WARNING|ERROR|CRITICAL)\]")
        yield Figure("messages beside the one for each", messages - tried, 0)
