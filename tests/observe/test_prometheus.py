"""What a worker counts for Prometheus, in however many threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastwsgi.errors import BUSY
from fastwsgi.observe.access_log import Refused
from fastwsgi.observe.busy import Busy
from fastwsgi.observe.prometheus import BOUNDS, BUCKETS, BYTES, MICROSECONDS, REFUSED, Metrics
from fastwsgi.process.scoreboard import Scoreboard

THREADS, TIMES = 4, 100


class Done(Refused):
    """A request that took `duration` seconds, part of them waiting for a thread."""

    def __init__(self, status: str | None, duration: float) -> None:
        self.status = status  # type: ignore[assignment]
        self.duration = duration
        self.body_bytes = 3
        self.waited = 7


class SlowCells(list[int]):
    """A memory that gives other threads time between a read and the write that follows."""

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        time.sleep(0)
        return value


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard()
    yield board
    board.close()


@pytest.fixture
def metrics(board: Scoreboard) -> Metrics:
    slot = board.take()
    assert slot is not None
    return Metrics(slot.counters, slot.busy, board.tally)


def in_threads(action: Callable[[], object]) -> None:
    threads = [
        threading.Thread(target=lambda: [action() for _ in range(TIMES)]) for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_no_thread_overwrites_what_another_counts(board: Scoreboard) -> None:
    counters = SlowCells([0] * 32)
    metrics = Metrics(counters, SlowCells([0]), board.tally)  # type: ignore[arg-type]
    done = Done("200 OK", 0.25)
    in_threads(lambda: metrics.answered(done))
    in_threads(lambda: metrics.refused("", BUSY))
    assert counters[2] == sum(counters[BUCKETS]) == THREADS * TIMES
    assert counters[BYTES] == 3 * THREADS * TIMES
    assert counters[MICROSECONDS] == 250_000 * THREADS * TIMES
    assert counters[REFUSED] == THREADS * TIMES


def test_calls_that_begin_and_end_at_once_are_all_counted() -> None:
    cell = SlowCells([0])
    busy = Busy(cell)  # type: ignore[arg-type]
    app = busy.around(lambda environ, start_response: None)
    in_threads(lambda: app({}, None))
    assert cell == [THREADS * TIMES]
    in_threads(lambda: busy.over(None, None))
    assert cell == [0]


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bucket_has_its_bound(metrics: Metrics, board: Scoreboard, bound: float) -> None:
    metrics.answered(Done("200 OK", bound))
    metrics.answered(Done("200 OK", bound + 1e-9))
    buckets = board.tally().counters[BUCKETS]
    index = BOUNDS.index(bound)
    assert buckets[index : index + 2] == [1, 1]
    assert len(buckets) == len(BOUNDS) + 1


def test_whose_client_left_before_the_answer_is_not_counted(
    metrics: Metrics, board: Scoreboard
) -> None:
    metrics.answered(Done(None, 1.0))
    assert not any(board.tally().counters)
