"""Fixtures of the net room: a reactor on a clock that stands still until it is told otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastwsgi.net.reactor import Reactor


class ManualClock:
    """Time as the test sets it, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def errors() -> list[tuple[object, Exception]]:
    """What reached the reactor's `on_error`."""
    return []


@pytest.fixture
def reactor(clock: ManualClock, errors: list[tuple[object, Exception]]) -> Iterator[Reactor]:
    made = Reactor(clock, on_error=lambda source, error: errors.append((source, error)))
    yield made
    made.close()
