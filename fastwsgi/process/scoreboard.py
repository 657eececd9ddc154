"""What workers tell their master: shared memory, a slot for each worker, and a bell.

The memory is anonymous: no file, no name, gone with the last process. A worker writes its own slot
only, and all of it but the order, which is the master's; eight bytes at a time, so a reader sees an
old value or a new one and never a mixture. The bell is an eventfd that a worker rings when its
state changes, and the master waits on.

A slot's counters outlive the worker: its successor in the slot counts on from there, so their sum
over all slots never goes down, whoever dies. What the counters count is their writer's business.
Behind the slots is what the master says to all.

A heartbeat is a reading of CLOCK_MONOTONIC, which all processes share and nobody sets.
"""

from __future__ import annotations

import contextlib
import enum
import mmap
import os
import time
from typing import Final, NamedTuple

SLOT_BYTES: Final = 8192
HEAD_BYTES: Final = 64
COUNTERS_END: Final = HEAD_BYTES + 8 * 32
NOTE_BYTES: Final = SLOT_BYTES - COUNTERS_END
CAPACITY: Final = 1024  # slots; the kernel gives memory only for those that were used

# Indexes of the numbers; 0 is the heartbeat.
STATE, REQUESTS, CONNECTIONS, NOTE_LENGTH, ORDER, BUSY = range(1, 7)

# The same of what the master says.
SLOTS_USED, WANTED, STARTED = range(3)


class State(enum.IntEnum):
    """What a worker is doing."""

    GONE = 0  # there is none in the slot
    BOOTING = 1
    READY = 2
    WORN = 3  # serving on, but has had its number of requests: to be replaced
    LEAVING = 4


class Order(enum.IntEnum):
    """What TERM means to a worker. A signal cannot say it, and need not come from the master."""

    NONE = 0  # the server will end, or somebody else sent it: the master's word comes later
    RETIRE = 1  # leave; others serve on
    END = 2  # leave; nobody serves on


class Tally(NamedTuple):
    """All workers together.

    `workers` is how many are in each state, `connections` what they had open up to a second ago,
    `busy` the sum of what they say keeps them busy, and `busy_workers` how many are. `wanted` is how
    many there should be, and `started` how many there have been.
    """

    counters: list[int]
    workers: dict[str, int]
    connections: int
    busy: int
    busy_workers: int
    wanted: int
    started: int


class Slot:
    """One worker's part of the scoreboard. `counters` and `busy` are for whoever measures the worker."""

    __slots__ = ("_bell", "_note", "_numbers", "busy", "counters", "index", "pulse")

    def __init__(self, index: int, memory: memoryview, bell: int) -> None:
        self.index = index
        self._bell = bell
        self.pulse = memory[:8].cast("d")
        self._numbers = memory[:HEAD_BYTES].cast("Q")
        self.busy = self._numbers[BUSY : BUSY + 1]
        self.counters = memory[HEAD_BYTES:COUNTERS_END].cast("Q")
        self._note = memory[COUNTERS_END:]

    def begin(self) -> None:
        """Make it fit for a new worker; by the master, before the fork."""
        for index in (REQUESTS, CONNECTIONS, NOTE_LENGTH, ORDER, BUSY):
            self._numbers[index] = 0
        self._numbers[STATE] = State.BOOTING
        self.pulse[0] = time.monotonic()

    def vacate(self) -> None:
        """The worker is dead; by the master. Its counters stay."""
        self._numbers[STATE] = State.GONE

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
        self._memory = memoryview(mmap.mmap(-1, SLOT_BYTES * CAPACITY + HEAD_BYTES))
        self._said = self._memory[SLOT_BYTES * CAPACITY :].cast("Q")
        self._free = list(range(CAPACITY - 1, -1, -1))

    def take(self) -> Slot | None:
        """A slot for a worker about to be forked; None when all are in use."""
        if not self._free:
            return None
        slot = self._slot(self._free.pop())
        slot.begin()
        self._said[SLOTS_USED] = max(self._said[SLOTS_USED], slot.index + 1)
        return slot

    def give_back(self, slot: Slot) -> None:
        """The slot of a worker that is dead."""
        slot.vacate()
        self._free.append(slot.index)

    def tell(self, *, wanted: int, started: int) -> None:
        """How many workers there should be, and have been; by the master, for `tally`."""
        self._said[WANTED] = wanted
        self._said[STARTED] = started

    def tally(self) -> Tally:
        """What all workers have written, in whichever process. Looks at slots that were ever in use."""
        slots = [self._slot(index) for index in range(self._said[SLOTS_USED])]
        states = [slot.state for slot in slots]
        there = [slot for slot, state in zip(slots, states, strict=True) if state]
        return Tally(
            counters=[sum(cells) for cells in zip(*(slot.counters for slot in slots), strict=True)],
            workers={state.name.lower(): states.count(state) for state in State if state},
            connections=sum(slot.connections for slot in there),
            busy=sum(slot.busy[0] for slot in there),
            busy_workers=sum(slot.busy[0] > 0 for slot in there),
            wanted=self._said[WANTED],
            started=self._said[STARTED],
        )

    def _slot(self, index: int) -> Slot:
        start = index * SLOT_BYTES
        return Slot(index, self._memory[start : start + SLOT_BYTES], self.fd)

    def hush(self) -> None:
        """Take the rings of the bell, so that the next wait sleeps."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        """Release the bell; the memory goes when the last slot does."""
        os.close(self.fd)
