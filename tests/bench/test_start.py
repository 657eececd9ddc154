"""Starts are measured, told and compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.commands import start
from bench.record import Record
from bench.run import Run

MakeRun = Callable[..., Run]


def record(ours: float, theirs: float) -> Record:
    found = Record("start", {"servers": [start.OURS, start.MEASURE], "workloads": ["hello"]})
    for number, speed in enumerate((1.0, 2.0, 1.0)):
        found.add(start.OURS, "hello", number, answer=ours * speed, processor=0.05)
        found.add(start.MEASURE, "hello", number, answer=theirs * speed, processor=0.1)
    return found


def test_a_start_is_measured(make_run: MakeRun) -> None:
    run = make_run("start", "--rounds", "1", "--servers", "fastwsgi", "bjoern")
    start.measure(run)
    (measured,) = run.record.measurements
    assert measured["processor"] > 0
    assert 0 < measured["answer"] < 15
    assert start.tables(run.record)[0].rows[1][-1] == "not installed: run `make bench-peers`"
    assert start.faults(run.record) == []


@pytest.mark.parametrize(("ours", "slower"), [(0.1, False), (0.3, True)])
def test_the_slower_one_fails(ours: float, slower: bool) -> None:
    found = record(ours, 0.2)
    assert bool(start.faults(found)) == slower
    rows = start.tables(found)[0].rows
    assert rows[0][1] == f"{ours * 1000:.0f} ({ours * 1000:.0f}-{ours * 2000:.0f})"
    assert rows[1][3].startswith(f"{ours / 0.2:.2f} (")


def test_who_does_not_listen_is_a_row(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run.start, "__kwdefaults__", {**Run.start.__kwdefaults__, "patience": 0.01})
    run = make_run("start", "--rounds", "1", "--servers", "fastwsgi")
    start.measure(run)
    (fault,) = start.faults(run.record)
    assert "accepts nothing" in fault
