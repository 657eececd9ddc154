from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.commands import locust
from bench.load import LoadError
from bench.run import Run

MakeRun = Callable[..., Run]


def page(times: dict[str, int], failures: int = 0) -> dict[str, Any]:
    return {
        "start_time": 100.0,
        "last_request_timestamp": 104.0,
        "num_requests": sum(times.values()),
        "num_failures": failures,
        "response_times": times,
    }


PAGES = [page({"10": 98, "500": 1}), page({"20": 1}, failures=1)]


def test_only_the_master_has_counted() -> None:
    output = "[]\n[]\n" + json.dumps(PAGES, indent=4) + "\n"
    assert locust.parse(output, "") == PAGES
    assert locust.parse(json.dumps(PAGES) + "\n[]\n", "") == PAGES


@pytest.mark.parametrize("output", ["", "[]\n[]\n", "no such file"])
def test_a_locust_that_asks_nothing_is_said(output: str) -> None:
    with pytest.raises(LoadError, match="locust asked nothing: "):
        locust.parse(output, "gevent is missing\n")


def test_all_pages_together() -> None:
    figures = locust.summary(PAGES)
    assert (figures["requests"], figures["failures"], figures["seconds"]) == (100, 1, 4.0)
    assert (figures["p50"], figures["p95"], figures["p99"]) == (0.01, 0.01, 0.02)


def test_one_failed_request_fails_the_run(make_run: MakeRun) -> None:
    record = make_run("locust").record
    record.options["workloads"] = [locust.MIX]
    fine = locust.summary([page({"10": 5})]) | {"cpu_seconds": 0.1, "memory": 1}
    record.add("fastwsgi", locust.MIX, 0, **fine)
    assert locust.faults(record) == []
    record.add("fastwsgi", locust.MIX, 1, **(fine | {"failures": 1}))
    assert locust.faults(record) == ["fastwsgi: 1 requests failed"]
    assert locust.tables(record)[0].rows[0][:3] == ("fastwsgi", "10", "1")


def test_without_locust(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = make_run("locust")
    locust.measure(run)
    (fault,) = locust.faults(run.record)
    assert "pip install '.[bench]'" in fault


@pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason="locust is not installed")
def test_users_find_what_they_expect(make_run: MakeRun) -> None:
    run = make_run("locust", "--users", "4", "--seconds", "2")
    locust.measure(run)
    assert locust.faults(run.record) == []
    (measured,) = run.record.measurements
    assert measured["requests"] > 10
