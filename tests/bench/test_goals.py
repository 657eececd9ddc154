"""Each goal has its row, and the row says whether it is reached."""

from __future__ import annotations

import pytest

from bench import goals, workloads
from bench.record import Record
from bench.workloads import Workload

KIB = 1024


def verdicts(records: goals.Records) -> dict[tuple[str, str], str]:
    rows = goals.table(records).rows
    return {(row[0], row[1].partition(",")[0]): row[-1] for row in rows}


def compared(workload: Workload, **efficiencies: float) -> Record:
    """One round in which each server needed a CPU-second."""
    names = [name.replace("_", "-") for name in efficiencies]
    options = {"servers": names, "workloads": [workload.name], "connections": 64}
    record = Record("compare", options)
    for name, requests in zip(names, efficiencies.values(), strict=True):
        figures = {"requests": requests, "seconds": 1.0, "cpu_seconds": 1.0, "withholds": ""}
        record.add(name, workload.name, 0, **figures)
    return record


def test_without_records_every_goal_is_a_row_that_says_so() -> None:
    assert set(verdicts({}).values()) == {"not measured"}
    named = {(w.name, other) for w in workloads.TABLE for other in w.wanted}
    assert named < set(verdicts({}))


@pytest.mark.parametrize(
    ("ours", "verdict"), [(129, "missed"), (130, "reached"), (150, "aim reached")]
)
def test_a_ratio_to_the_best_peer(ours: float, verdict: str) -> None:
    record = compared(workloads.find("hello"), fastwsgi=ours, bjoern=100, granian=50, limit=200)
    found = verdicts({"compare": record})
    assert found["hello", "best peer"] == verdict
    assert found["hello", "nginx"] == "not measured"
    assert found["hello", "limit"] == ("missed" if ours < 160 else "reached")


def test_the_best_peer_is_named() -> None:
    record = compared(workloads.find("hello"), fastwsgi=1, bjoern=2)
    assert "best peer, bjoern" in {row[1] for row in goals.table({"compare": record}).rows}


@pytest.mark.parametrize(
    ("counted", "verdict"), [(9_001, "missed"), (9_000, "reached"), (6_000, "aim reached")]
)
def test_instructions(counted: int, verdict: str) -> None:
    record = Record("instructions")
    record.add("fastwsgi", "hello", 0, instructions=counted)
    assert verdicts({"instructions": record})["instructions, hello", ""] == verdict


@pytest.mark.parametrize(("worker", "verdict"), [(12_000, "reached"), (13_000, "missed")])
def test_memory(worker: int, verdict: str) -> None:
    record = Record("connections")
    record.add("fastwsgi", "hello", 0, each=584.0, worker=worker * KIB)
    record.add("bjoern", "hello", 0, each=275.0, worker=10_000 * KIB)
    record.add("granian", "hello", 0, each=8_000.0, worker=20_000 * KIB)
    found = verdicts({"connections": record})
    assert found["memory of a worker", "smallest peer"] == verdict
    assert found["idle connection, fastwsgi", ""] == "reached"


@pytest.mark.parametrize(
    ("ours", "verdict"), [(0.21, "missed"), (0.15, "reached"), (0.09, "aim reached")]
)
def test_start(ours: float, verdict: str) -> None:
    record = Record("start")
    record.add("fastwsgi", "hello", 0, answer=ours)
    record.add("gunicorn-sync", "hello", 0, answer=0.2)
    assert verdicts({"start": record})["start to the first answer", "gunicorn-sync"] == verdict


def test_the_line_below_counts() -> None:
    record = Record("instructions")
    record.add("fastwsgi", "hello", 0, instructions=5_000)
    record.add("fastwsgi", "browser", 0, instructions=25_000)
    table = goals.table({"instructions": record})
    unknown = len(table.rows) - 2
    assert table.note == (
        f"{len(table.rows)} goals: 1 reached, 1 of them with their aim; 1 missed, {unknown} not measured."
    )
