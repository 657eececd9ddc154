"""What workers tell their master: shared memory, a slot for each worker, and a bell.

The memory is anonymous: no file, no name, gone with the last process. A worker writes its own slot
only, and all of it but the order, which is the master's; eight bytes at a time, so a reader sees an
old value or a new one and never a mixture. The bell is an eventfd that a worker rings when its
state changes, and the master waits on.

A heartbeat is a reading of CLOCK_MONOTONIC, which all processes share and nobody sets.
"""

from __future__ import annotations

import contextlib
import enum
import mmap
import os
import time
from typing import Final

SLOT_BYTES: Final = 8192
HEAD_BYTES: Final = 64
NOTE_BYTES: Final = SLOT_BYTES - HEAD_BYTES
CAPACITY: Final = 1024  # slots; the kernel gives memory only for those that were used

# Indexes of the numbers; 0 is the heartbeat.
STATE, REQUESTS, CONNECTIONS, NOTE_LENGTH, ORDER = range(1, 6)


class State(enum.IntEnum):
    """What a worker is doing."""

    BOOTING = 1
    READY = 2
    WORN = 3  # serving on, but has had its number of requests: to be replaced
    LEAVING = 4


class Order(enum.IntEnum):
    """What TERM means to a worker. A signal cannot say it, and need not come from the master."""

    NONE = 0  # the server will end, or somebody else sent it: the master's word comes later
    RETIRE = 1  # leave; others serve on
    END = 2  # leave; nobody serves on


class Slot:
    """One worker's part of the scoreboard."""

    __slots__ = ("_bell", "_note", "_numbers", "index", "pulse")

    def __init__(self, index: int, memory: memoryview, bell: int) -> None:
        self.index = index
        self._bell = bell
        self.pulse = memory[:8].cast("d")
        self._numbers = memory[:HEAD_BYTES].cast("Q")
        self._note = memory[HEAD_BYTES:]

    def begin(self) -> None:
        """Make it fit for a new worker; by the master, before the fork."""
        for index in (REQUESTS, CONNECTIONS, NOTE_LENGTH, ORDER):
            self._numbers[index] = 0
        self._numbers[STATE] = State.BOOTING
        self.pulse[0] = time.monotonic()

    def beat(self, requests: int, connections: int) -> None:
        """The worker is alive; how many requests it has begun, how many connections it has open."""
        self.pulse[0] = time.monotonic()
        self._numbers[REQUESTS] = requests
        self._numbers[CONNECTIONS] = connections

    def leave_note(self, text: str) -> None:
        """Why the worker cannot go on, for the master to say. A long text keeps its two ends."""
        data = text.encode("utf-8", "backslashreplace")
        if len(data) > NOTE_BYTES:
            half = NOTE_BYTES // 2 - 4
            data = data[:half] + b"\n...\n" + data[-half:]
        self._note[: len(data)] = data
        self._numbers[NOTE_LENGTH] = len(data)

    @property
    def heartbeat(self) -> float:
        """When the worker was last known to be alive, in seconds of the monotonic clock."""
        return self.pulse[0]

    @property
    def requests(self) -> int:
        return self._numbers[REQUESTS]

    @property
    def connections(self) -> int:
        return self._numbers[CONNECTIONS]

    @property
    def note(self) -> str:
        return bytes(self._note[: self._numbers[NOTE_LENGTH]]).decode("utf-8", "replace")

    @property
    def order(self) -> Order:
        return Order(self._numbers[ORDER])

    @order.setter
    def order(self, order: Order) -> None:
        """By the master, before it sends TERM."""
        self._numbers[ORDER] = order

    @property
    def state(self) -> State:
        return State(self._numbers[STATE])

    @state.setter
    def state(self, state: State) -> None:
        """Rings the bell."""
        self._numbers[STATE] = state
        with contextlib.suppress(OSError):  # the master went away
            os.eventfd_write(self._bell, 1)


class Scoreboard:
    """The memory and its free slots; `fd` is readable when a worker's state changed."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._memory = memoryview(mmap.mmap(-1, SLOT_BYTES * CAPACITY))
        self._free = list(range(CAPACITY - 1, -1, -1))

    def take(self) -> Slot | None:
        """A slot for a worker about to be forked; None when all are in use."""
        if not self._free:
            return None
        index = self._free.pop()
        start = index * SLOT_BYTES
        slot = Slot(index, self._memory[start : start + SLOT_BYTES], self.fd)
        slot.begin()
        return slot

    def give_back(self, slot: Slot) -> None:
        """The slot of a worker that is dead."""
        self._free.append(slot.index)

    def hush(self) -> None:
        """Take the rings of the bell, so that the next wait sleeps."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        """Release the bell; the memory goes when the last slot does."""
        os.close(self.fd)
