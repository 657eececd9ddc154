"""S11: clients that go away by a RST in every phase of a request, thousands of times. Nothing is left of them.

A body that the application gave is closed exactly once, however its client went.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer, read_answer, read_until, request, reset
from tests.chaos.figures import Figure

TITLE: Final = "resets in every phase"

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True)
class Size:
    """Resets in all, and before anything is measured."""

    resets: int
    warm_up: int


SHORT: Final = Size(4_800, 600)
LONG: Final = Size(100_000, 6_000)


@dataclass(frozen=True)
class Phase:
    """What a client sends, and what it awaits before it goes."""

    name: str
    sent: bytes
    await_: Callable[[socket.socket], object] | None = None
    served: bool = False
    """Whether the application gives a body, which has to be closed."""
    together: int = 50
    """How many connections are in the phase at once."""


PHASES: Final = (
    Phase("after the connect", b""),
    Phase("in the head", request("/brief")[:-2]),
    Phase("in the body", request("/upload", "Content-Length: 100", method="POST") + b"x"),
    # A thread stays with a body until its client has read it: these are fewer than the threads of any model.
    Phase(
        "in the response",
        request("/stream"),
        lambda client: read_until(client, b"\r\n\r\n"),
        served=True,
        together=4,
    ),
    Phase("between requests", request("/brief"), read_answer, served=True),
)


class Fifos:
    """The two FIFOs by which a call of /hold says that it has begun, and is let go."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / "started", folder / "hold"]
        for path in self._paths:
            os.mkfifo(path)

    def __enter__(self) -> "Fifos":
        self._started, self._hold = (path.open("r+b", 0) for path in self._paths)
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()
        self._hold.close()

    def await_start(self) -> None:
        self._started.read(1)

    def let_go(self) -> None:
        self._hold.write(b"x")


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What grew in the worker, and how often the bodies were closed."""
    with Fifos(arena.folder) as fifos, arena.server("--keep-alive", "60") as server:
        made = reset_everywhere(server, fifos, size.warm_up, lambda _: None)
        resident = server.worker.resident()
        made += reset_everywhere(server, fifos, size.resets, arena.say)
        left = server.descriptors_left()
        server.await_(lambda: server.counts()["closed"] >= made)
        counts, grown = server.counts(), server.worker.resident() - resident
        yield Figure("bodies made", counts["made"], made)
        yield Figure("bodies not closed", made - counts["closed"], 0)
        yield Figure("bodies closed again", counts["closed_again"], 0)
        yield Figure("descriptors left", left, 0)
        yield Figure("resident memory more", grown / MEBIBYTE, 2, "MiB")
        yield Figure("errors in the log", server.errors(), 0)


def reset_everywhere(
    server: RunningServer, fifos: Fifos, count: int, say: Callable[[str], object]
) -> int:
    """Reset about `count` connections, as many in each phase; how many bodies were made."""
    made, each = 0, -(-count // (len(PHASES) + 1))
    for phase in PHASES:
        for begun in range(0, each, phase.together):
            together = min(phase.together, each - begun)
            reset_together(server, phase, together)
            made += together * phase.served
        say(f"{each} resets {phase.name}")
    for _ in range(each):
        reset_while_running(server, fifos)
    say(f"{each} resets while the application runs")
    return made + each


def reset_together(server: RunningServer, phase: Phase, count: int) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(count)]
        for client in clients:
            client.sendall(phase.sent)
        if phase.await_ is None:
            server.get("/hello")  # when this is answered, what was sent before it has been read
        for client in clients:
            if phase.await_ is not None:
                phase.await_(client)
        for client in clients:
            reset(client)


def reset_while_running(server: RunningServer, fifos: Fifos) -> None:
    with server.connect() as client:
        client.sendall(request("/hold"))
        fifos.await_start()
        reset(client)
    fifos.let_go()
