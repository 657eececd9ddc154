"""What the master knows of one worker."""

from __future__ import annotations

from typing import Final

from fastwsgi.process.generation import Generation
from fastwsgi.process.scoreboard import Slot, State

# Seconds. A worker's heart beats once a second, so silence shows up to a second late; part of it is
# allowed for, so that a request gets its full timeout and the end still comes within a second.
BEAT_TOLERANCE: Final = 0.75


class Child:
    """One worker. `kill_at` is when it must be gone; None: it may stay."""

    __slots__ = ("aborted", "generation", "kill_at", "leaving", "pid", "seat", "slot")

    def __init__(self, pid: int, generation: Generation, seat: int, slot: Slot) -> None:
        self.pid = pid
        self.generation = generation
        self.seat = seat
        self.slot = slot
        self.leaving = False
        self.aborted = False
        self.kill_at: float | None = None

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

    def silent_at(self, awake_since: float) -> float:
        """When its silence will have lasted for too long, of what of it the master was awake for."""
        timeout = self.generation.settings.timeout
        if not timeout:
            return float("inf")
        return max(self.slot.heartbeat, awake_since) + timeout + BEAT_TOLERANCE
