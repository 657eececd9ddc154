"""Load on a server: by wrk or h2load, where they are installed, or by the bundled generator."""

from __future__ import annotations

from dataclasses import dataclass

GRACE = 15.0  # seconds that a generator may take beyond its time


class LoadError(Exception):
    """The load could not be applied; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What a load saw. Times are seconds; latency is a whole payload's, None when not known."""

    requests: int
    seconds: float
    p50: float | None
    p99: float | None
    errors: int
