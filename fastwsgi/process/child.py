"""What the master knows of one worker."""

from __future__ import annotations

import math
from typing import Final

from fastwsgi.process.generation import Generation
from fastwsgi.process.scoreboard import State
from fastwsgi.process.worker import Worker

# Seconds. A worker's heart beats once a second, so a shorter silence says nothing, and silence shows
# up to a second late; part of that is allowed for, so that a request gets its full timeout and the
# end still comes within a second, KILL included.
BEAT_SECONDS: Final = 1.0
BEAT_TOLERANCE: Final = 0.25


class Child:
    """One worker. `worker` is the master's copy of it, which hooks get.

    `leave_by` is when it must be gone, after it was told to leave. `speak_by` is when its heart must
    have beaten again, after it was told to end the request that keeps it; `last_beat` is then the
    heartbeat that was its last. Infinity: no such time.
    """

    __slots__ = (
        "generation",
        "killed",
        "last_beat",
        "leave_by",
        "leaving",
        "pid",
        "seat",
        "slot",
        "speak_by",
        "worker",
    )

    def __init__(self, pid: int, generation: Generation, seat: int, worker: Worker) -> None:
        self.pid = pid
        self.generation = generation
        self.seat = seat
        self.slot = worker.slot
        self.worker = worker
        self.leaving = False
        self.killed = False
        self.leave_by = math.inf
        self.speak_by = math.inf
        self.last_beat = math.nan

    @property
    def is_ready(self) -> bool:
        return self.slot.state is State.READY

    @property
    def has_booted(self) -> bool:
        return self.slot.state is not State.BOOTING

    @property
    def stays(self) -> bool:
        """It counts: neither told to leave, nor leaving by itself, nor asking to be replaced."""
        return not self.leaving and self.slot.state in (State.BOOTING, State.READY)

    @property
    def is_interrupted(self) -> bool:
        """It was told to end a request, and has shown no life since."""
        return self.slot.heartbeat == self.last_beat

    def kill_at(self) -> float:
        """When to kill it unless something changes."""
        if self.killed:
            return math.inf
        return min(self.leave_by, self.speak_by) if self.is_interrupted else self.leave_by

    def silent_at(self, awake_since: float) -> float:
        """When its silence will have lasted for too long, of what of it the master was awake for."""
        if self.is_interrupted:
            return math.inf
        settings = self.generation.settings
        limit = settings.patience if self.has_booted else settings.timeout or math.inf
        return max(self.slot.heartbeat, awake_since) + max(limit, BEAT_SECONDS) + BEAT_TOLERANCE
