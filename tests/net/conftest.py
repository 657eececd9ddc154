"""Fixtures of the net room: a reactor on a clock that stands still until it is told otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastwsgi._clock import Clock
from fastwsgi.net.reactor import Reactor


@pytest.fixture
def clock() -> Clock:
    return Clock(start=1000.0)


@pytest.fixture
def errors() -> list[tuple[object, Exception]]:
    """What reached the reactor's `on_error`."""
    return []


@pytest.fixture
def reactor(clock: Clock, errors: list[tuple[object, Exception]]) -> Iterator[Reactor]:
    made = Reactor(clock, on_error=lambda source, error: errors.append((source, error)))
    yield made
    made.close()
