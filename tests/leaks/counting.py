"""One shape, window after window, and what there is of everything between two of them.

`python -m tests.leaks.counting SHAPE COUNT` prints the growths as a line of JSON.
"""

import ctypes
import gc
import json
import logging
import os
import resource
import select
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.leaks.shapes import LIMITS, SHAPES, Shape, app
from tests.package.checkout import ROOT
from tests.support.loop import Client, SteppedServer
from tests.support.server import environment

WINDOWS: Final = 8  # the first warms up
RESIDENT: Final = "resident bytes, for each request"
# Each with the most that it may grow by in every window. A resident byte of each is a megabyte of a million.
QUANTITIES: Final[Mapping[str, float]] = {
    "allocated blocks": 0,
    "objects that the collector knows": 0,
    "references": 0,  # where this is a debug build
    "descriptors": 0,
    "bytes of malloc": 0,
    RESIDENT: 1,
}
# glibc counts what its threads keep to give out again as given out, and that fills for thousands of requests.
UNCACHED: Final = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

MALLINFO2_FIELDS: Final = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class Mallinfo2(ctypes.Structure):
    """mallinfo(3)."""

    _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO2_FIELDS]


MALLINFO2: Final = getattr(ctypes.CDLL(None), "mallinfo2", None)
if MALLINFO2 is not None:
    MALLINFO2.restype = Mallinfo2


class Visits:
    """The clients of a shape, one after the other."""

    def __init__(self, server: SteppedServer, shape: Shape) -> None:
        self._server = server
        self._shape = shape
        self._client: Client | None = None
        awaited = {"left": 0, "begun": 1}
        self._wanted = awaited[shape.end] if shape.end in awaited else self._learn()

    def pay(self, count: int) -> None:
        """So many requests, or a few more; nothing is under way afterwards."""
        for _ in range(-(-count // self._shape.requests)):
            self._exchange()
        if self._client is not None:
            self._leave(self._client)
        self._server.settle()

    def _exchange(self) -> None:
        client = self._client or self._server.connect()
        unsent = memoryview(self._shape.sent)
        while unsent:
            unsent = unsent[client.put(unsent) :]
            self._server.turn()
        received = 0
        while received < self._wanted:
            received += self._receive(client)
        assert self._shape.end == "begun" or received == self._wanted, received
        if self._shape.end == "kept":
            self._client = client
        else:
            self._leave(client)

    def _receive(self, client: Client) -> int:
        """How many bytes have come, when the server has had a turn, or its thread some time."""
        try:
            data = client.socket.recv(1 << 18)
        except BlockingIOError:
            while self._server.turn():
                pass  # threads hear of a turn's requests at the next one
            if self._server.server.elsewhere is not None:
                reactor: Any = self._server.server.reactor
                select.select([client.socket, reactor._epoll], [], [])
            return 0
        assert data, "the server has ended the connection"
        return len(data)

    def _leave(self, client: Client) -> None:
        client.close()
        self._client = None
        self._server.until(lambda: self._server.server.connections == 0, "the connection's end")

    def _learn(self) -> int:
        """Bytes of the answer, which is as long each time: a date is."""
        client = self._server.connect(self._shape.sent.split(b" ")[0].decode())
        client.send(self._shape.sent)
        if self._shape.end == "kept":
            client.await_responses(self._shape.requests)
        else:
            client.await_end()
        self._server.settle()
        client.receive()
        client.close()
        self._server.until(lambda: self._server.server.connections == 0, "the connection's end")
        return len(client.received)


def look() -> Iterator[int]:
    """How much there is of each of QUANTITIES, when what is garbage is gone."""
    while gc.collect():
        pass
    yield sys.getallocatedblocks()
    yield len(gc.get_objects())
    yield getattr(sys, "gettotalrefcount", int)()
    yield len(os.listdir("/proc/self/fd"))
    yield allocated()
    yield resident()


def resident() -> int:
    with open(
        "/proc/self/statm", "rb"
    ) as file:  # to name it by a Path would be to keep parts of the name
        return int(file.read().split()[1]) * resource.getpagesize()


def allocated() -> int:
    """Bytes that malloc has given out; 0 before glibc 2.33 and elsewhere."""
    if MALLINFO2 is None:
        return 0
    heap = MALLINFO2()
    return int(heap.uordblks + heap.hblkhd)


def growths(shape: Shape, count: int) -> dict[str, float]:
    """The least that each quantity grew by in a window: what leaks grows in each. Resident memory is judged by all."""
    window = count // WINDOWS // shape.weight
    # Made before, so that to look is to allocate nothing that stays.
    looks = [array("q", bytes(8 * len(QUANTITIES))) for _ in range(WINDOWS)]
    with (
        tempfile.TemporaryDirectory(prefix="s") as folder,
        SteppedServer(app, Path(folder), shape.transport, **LIMITS, **shape.settings) as server,
    ):
        visits = Visits(server, shape)
        for figures in looks:
            visits.pay(window)
            for place, figure in enumerate(look()):
                figures[place] = figure
    grown: dict[str, float] = {
        name: min(after[place] - before[place] for before, after in pairwise(looks))
        for place, name in enumerate(QUANTITIES)
    }
    grown[RESIDENT] = (looks[-1][-1] - looks[0][-1]) / (window * (WINDOWS - 1))
    return grown


def count_apart(name: str, count: int) -> dict[str, float]:
    """The growths of a shape by its name, in an interpreter of its own. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, name, f"{count}"],
        cwd=ROOT,
        env=environment(UNCACHED),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())  # of the errors on purpose
    print(json.dumps(growths(SHAPES[sys.argv[1]], int(sys.argv[2]))))
