"""S3: TERM while requests run and more wait unaccepted. Every one is answered before the server ends."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.application import GREETING
from tests.chaos.arena import Arena, read_answer, request
from tests.chaos.figures import Figure

TITLE: Final = "the end with a full backlog"

GRACE: Final = 30  # seconds
INLINE_SHARE: Final = 50  # requests that run one after the other take so much less time each


@dataclass(frozen=True)
class Size:
    """Requests that are accepted and that wait, and the seconds that each runs."""

    accepted: int
    waiting: int
    seconds: float


SHORT: Final = Size(100, 50, 0.5)
LONG: Final = Size(100, 100, 2.0)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """Requests that were not answered, and when and how the server ended."""
    options = ["--worker-connections", f"{size.accepted}", "--graceful-timeout", f"{GRACE}"]
    running, seconds = size.accepted, size.seconds
    if not arena.model:
        running, seconds = 1, size.seconds / INLINE_SHARE
    elif "--threads" in arena.model:
        options += ["--threads", f"{size.accepted}"]
    with (
        Starts(arena.folder) as starts,
        arena.server(*options) as server,
        contextlib.ExitStack() as stack,
    ):
        clients = []
        for _ in range(size.accepted + size.waiting):
            client = stack.enter_context(server.connect(GRACE))
            client.sendall(request(f"/slow?{seconds}"))
            clients.append(client)
        starts.await_(running)
        begin = time.monotonic()
        server.process.signal(signal.SIGTERM)
        lost = [why for client in clients if (why := fault(client))]
        answered = time.monotonic() - begin
        code = server.process.wait(GRACE + 1)
        ended = time.monotonic() - begin
        arena.say(f"all answers after {answered:.2f} s, the end after {ended:.2f} s; {lost[:3]}")
        yield Figure("requests lost", len(lost), 0)
        yield Figure("the end after TERM", ended, GRACE + 1, "s")
        yield Figure("exit code", abs(code), 0)
        yield Figure("errors in the log", server.errors(), 0)


class Starts:
    """The FIFO by which a call of /slow says that it has begun."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "started"

    def __enter__(self) -> "Starts":
        os.mkfifo(self._path)
        self._file = self._path.open("r+b", 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink()

    def await_(self, count: int) -> None:
        for _ in range(count):
            self._file.read(1)


def fault(client: socket.socket) -> str:
    """What is wrong with the answer that the client waits for; empty where nothing is."""
    try:
        answer = read_answer(client)
    except (AssertionError, OSError) as error:
        return repr(error)
    return "" if (answer.status, answer.body) == (200, GREETING) else repr(answer)
