from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from bench import workloads
from bench.load import LoadError, python
from bench.load.python import Tally
from bench.running import SERVED, Running
from tests.conftest import Serve

Answering = Callable[..., int]
HELLO = workloads.find("hello")
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"
CLOSING = RIGHT.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n")


@pytest.mark.parametrize("name", ["hello", "browser", "pipeline"])
def test_against_the_limit(name: str, limit: Running) -> None:
    outcome = python.run(limit.port, workloads.find(name), 8, 1, cpus=(0, 1))
    assert outcome.requests > 100
    assert outcome.errors == 0
    assert outcome.p50 is not None
    assert outcome.p99 is not None
    assert 0 < outcome.p50 <= outcome.p99 < 1


def test_a_large_payload_goes_out_bit_by_bit(serve: Serve) -> None:
    server = serve("apps:app", "-b", "127.0.0.1:0", cwd=SERVED)
    tally = python.generate(server.port, workloads.find("upload1m"), 4, 0.5)
    assert tally.requests > tally.errors == 0


def test_announced_close_is_followed_by_a_new_connection(answering: Answering) -> None:
    tally = python.generate(answering(RIGHT, CLOSING), HELLO, 1, 0.3)
    assert tally.requests > 2
    assert tally.errors == 0


def test_other_statuses_and_unannounced_ends_are_errors(answering: Answering) -> None:
    refusing = python.generate(answering(CLOSING.replace(b"200", b"503")), HELLO, 1, 0.1)
    assert refusing.errors == refusing.requests > 0
    leaving = python.generate(answering(RIGHT[:30]), HELLO, 1, 0.1)
    assert leaving.errors > leaving.requests == 0


def test_nobody_listens(unused_port: int) -> None:
    with pytest.raises(LoadError, match="refused"):
        python.run(unused_port, HELLO, 1, 1)


def test_tallies_add_up() -> None:
    total = Tally()
    part = {"requests": 3, "errors": 1, "seconds": 1.0, "latencies": {"10": 2, "90": 1}}
    python.merge(total, json.dumps(part), "")
    python.merge(total, json.dumps(part | {"seconds": 2.0}), "")
    assert (total.requests, total.errors, total.seconds) == (6, 2, 2.0)
    assert total.latencies == {10: 4, 90: 2}


def test_percentiles() -> None:
    tally = Tally(latencies=Counter({10: 98, 500: 2}))
    assert tally.percentile(0.5) == pytest.approx(11e-5)
    assert tally.percentile(0.99) == pytest.approx(501e-5)
    assert Tally().percentile(0.5) == 0
