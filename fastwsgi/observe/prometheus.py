"""Metrics for Prometheus: each worker counts in shared memory, and any of them tells the sums.

Imported only where `metrics_bind` is set. The page has Prometheus's text format, version 0.0.4:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from fastwsgi.observe.access_log import Finished
from fastwsgi.observe.busy import Busy

if TYPE_CHECKING:
    from fastwsgi.errors import Refusal
    from fastwsgi.process.scoreboard import Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PATH: Final = "/metrics"

# Seconds: the upper bounds of the buckets, those of Prometheus's own client libraries.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# The counters: of answers by the first digit of their status (0 has none), then these.
DIGITS: Final = 10
BYTES, REFUSED, MILLISECONDS_WAITED, MICROSECONDS = range(DIGITS, DIGITS + 4)
BUCKETS: Final = slice(DIGITS + 4, DIGITS + 5 + len(BOUNDS))

Sample = tuple[str, float]  # what stands behind the name of its family, and the value


class Metrics:
    """Counts what one worker does in `counters` and `busy`, and tells what `tally` returns of all.

    Its methods may be called in any thread of the worker.
    """

    def __init__(self, counters: memoryview, busy: memoryview, tally: Callable[[], Tally]) -> None:
        self.busy = Busy(busy)
        self._counters = counters
        self._tally = tally
        self._lock = threading.Lock()

    def answered(self, exchange: Finished) -> None:
        """Count a request. One that was refused has no duration, and one whose client left no status."""
        status = exchange.status
        if status is None:
            return
        counters, duration = self._counters, exchange.duration
        with self._lock:
            counters[int(status[0])] += 1
            counters[BYTES] += exchange.body_bytes
            if duration:
                counters[MILLISECONDS_WAITED] += exchange.waited
                counters[MICROSECONDS] += round(duration * 1_000_000)
                counters[BUCKETS.start + bisect_left(BOUNDS, duration)] += 1

    def refused(self, remote_addr: str, refusal: Refusal) -> None:
        """Count a request that never got to the application."""
        with self._lock:
            self._counters[REFUSED] += 1

    def page(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """The application of the addresses for metrics (PEP 3333)."""
        if environ["PATH_INFO"] != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"only {PATH} is here\n".encode()]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            headers = [("Content-Type", "text/plain"), ("Allow", "GET, HEAD")]
            start_response("405 Method Not Allowed", headers)
            return [b"only GET and HEAD are for this\n"]
        body = "".join(f"{line}\n" for line in lines(self._tally())).encode()
        start_response("200 OK", [("Content-Type", CONTENT_TYPE)])
        return [body]


def lines(tally: Tally) -> Iterator[str]:
    """The lines of the page."""
    counters = tally.counters
    buckets = list(itertools.accumulate(counters[BUCKETS]))
    count = buckets[
        -1
    ]  # and not one of its own, which might not fit to what was read a moment before
    yield from family(
        "fastwsgi_requests_total",
        "counter",
        "Requests answered, by the class of their status; those that the server refused too.",
        [
            (f'{{code="{digit}xx"}}', answers)
            for digit, answers in enumerate(counters[:DIGITS])
            if answers or 1 <= digit <= 5
        ],
    )
    yield from family(
        "fastwsgi_request_duration_seconds",
        "histogram",
        "From a complete request to the end of its response, its wait for a thread included.",
        [
            *(
                (f'_bucket{{le="{bound}"}}', below)
                for bound, below in zip((*BOUNDS, "+Inf"), buckets, strict=True)
            ),
            ("_sum", counters[MICROSECONDS] / 1_000_000),
            ("_count", count),
        ],
    )
    yield from family(
        "fastwsgi_queue_seconds",
        "summary",
        "How long requests waited for a thread.",
        [("_sum", counters[MILLISECONDS_WAITED] / 1000), ("_count", count)],
    )
    for name, kind, text, value in (
        (
            "fastwsgi_response_bytes_total",
            "counter",
            "Bytes of the bodies of responses.",
            counters[BYTES],
        ),
        (
            "fastwsgi_refused_requests_total",
            "counter",
            "Requests that were malformed, too large or too slow.",
            counters[REFUSED],
        ),
        (
            "fastwsgi_connections",
            "gauge",
            "Open connections, up to a second ago.",
            tally.connections,
        ),
        (
            "fastwsgi_busy",
            "gauge",
            "Calls of the application that are under way.",
            tally.busy,
        ),
        (
            "fastwsgi_busy_workers",
            "gauge",
            "Workers in which such a call is under way.",
            tally.busy_workers,
        ),
        (
            "fastwsgi_workers_wanted",
            "gauge",
            "How many workers there should be.",
            tally.wanted,
        ),
        (
            "fastwsgi_workers_started_total",
            "counter",
            "Workers started since the master began.",
            tally.started,
        ),
    ):
        yield from family(name, kind, text, [("", value)])
    yield from family(
        "fastwsgi_workers",
        "gauge",
        "Workers, by what they do; one that is worn serves on until its successor is ready.",
        [(f'{{state="{state}"}}', workers) for state, workers in tally.workers.items()],
    )


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of one metric."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for rest, value in samples:
        yield f"{name}{rest} {value}"
