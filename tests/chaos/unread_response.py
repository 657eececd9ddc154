"""S15: clients that ask for a gigabyte, made block by block, and read nothing of it.

No more of it is made than its buffers take, and at the write deadline the generator is closed.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from tests.chaos.application import BLOCK, FLOOD
from tests.chaos.arena import Arena, RunningServer, request
from tests.chaos.figures import Figure

TITLE: Final = "responses that nobody reads"

MEBIBYTE: Final = 1 << 20
HIGH_WATER: Final = 4 * BLOCK
CLIENTS: Final = 4  # fewer than the threads of any model
# Both framings of a body of unknown length, and how a complete one ends (RFC 9112 6.3).
REQUESTS: Final = (
    (request("/flood"), b"0\r\n\r\n"),
    (request("/flood").replace(b"HTTP/1.1", b"HTTP/1.0"), b""),
)
LATE: Final = 3.0  # seconds behind the deadline: deadlines are swept once a second
EARLY: Final = 0.5
# Besides the high-water mark: two blocks in the making for each, and what the interpreter keeps.
SLACK: Final = CLIENTS * 2 * BLOCK + 2 * MEBIBYTE


@dataclass(frozen=True)
class Size:
    """Seconds of the write deadline, and how often."""

    send_timeout: int
    rounds: int


SHORT: Final = Size(1, 1)
LONG: Final = Size(30, 3)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """Memory at its peak, and when the generators were closed."""
    options = ("--send-timeout", str(size.send_timeout), "--output-buffer-size", str(HIGH_WATER))
    with arena.server(*options) as server:
        server.get("/hello")
        resident = server.worker.resident()
        server.worker.forget_peak()
        spans: list[float] = []
        complete = 0
        for _ in range(size.rounds):
            more, seeming = unread(server, size.send_timeout)
            spans += more
            complete += seeming
            arena.say(f"closed after {', '.join(f'{span:.2f} s' for span in spans[-CLIENTS:])}")
        grown = server.worker.peak() - resident
        made = server.counts()["blocks"] * BLOCK / (CLIENTS * size.rounds)
        limit = (CLIENTS * HIGH_WATER + SLACK) / MEBIBYTE
        yield Figure("generators not closed", CLIENTS * size.rounds - len(spans), 0)
        yield Figure(
            "generators closed too early", sum(s < size.send_timeout - EARLY for s in spans), 0
        )
        yield Figure("answers that seem complete to their client", complete, 0)
        yield Figure("latest close", max(spans, default=0), size.send_timeout + LATE, "s")
        yield Figure("resident memory more at its peak", grown / MEBIBYTE, limit, "MiB")
        yield Figure(f"made of {FLOOD // MEBIBYTE:,} MiB", made / MEBIBYTE, 16, "MiB")
        yield Figure("descriptors left", server.descriptors_left(), 0)
        yield Figure("errors in the log", server.errors(), 0)


def unread(server: RunningServer, send_timeout: int) -> tuple[list[float], int]:
    """Seconds from its request until each generator was closed; answers that then seem complete."""
    before = len(server.counts()["closings"])
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        for client, (sent, _) in zip(clients, cycle(REQUESTS), strict=False):
            client.sendall(sent)
        server.await_(
            lambda: len(server.counts()["closings"]) >= before + CLIENTS, send_timeout + 3 * LATE
        )
        spans = [moment - begin for moment in server.counts()["closings"][before:]]
        ends = [end for _, end in REQUESTS]
        return spans, sum(map(seems_complete, clients, cycle(ends)))


def seems_complete(client: socket.socket, end: bytes) -> bool:
    """Whether what is left to read ends like a complete answer."""
    last = b""
    try:
        while data := client.recv(1 << 20):
            last = data
    except ConnectionResetError:
        return False
    return last.endswith(end)
