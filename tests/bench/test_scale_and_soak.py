from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from bench.commands import scale, soak
from bench.record import Record
from bench.run import Run
from bench.running import Running

MakeRun = Callable[..., Run]
MIB = 1 << 20


def test_two_workers_are_compared_with_one(make_run: MakeRun) -> None:
    """A real, short run."""
    words = ("--servers", "fastwsgi", "--workloads", "hello", "--rounds", "1", "--seconds", "1")
    run = make_run("scale", *words, "--connections", "4", "--load", "python")
    scale.measure(run)
    assert [m["workers"] for m in run.record.measurements] == [1, 2]
    (row,) = scale.tables(run.record)[0].rows
    assert row[:2] == ("hello", "fastwsgi")
    assert "-" not in row[2:6]
    assert scale.faults(run.record) == []


def test_two_reactors_are_compared_with_one(make_run: MakeRun) -> None:
    """A real, short run; where there is a GIL, both have one."""
    words = ("--servers", "fastwsgi-threads", "--workloads", "threads-hello", "--of", "reactors")
    run = make_run(
        "scale",
        *(*words, "--rounds", "1", "--seconds", "1", "--connections", "4", "--load", "python"),
    )
    scale.measure(run)
    (table,) = scale.tables(run.record)
    assert table.title == "One and two reactors"
    assert table.rows[0][:2] == ("threads-hello", "fastwsgi-threads")
    assert "-" not in table.rows[0][2:6]


def soaked(**last: float) -> Record:
    """Eight samples, the last two of which have these figures."""
    record = Record("soak", {"servers": ["fastwsgi"], "workloads": [soak.MIX]})
    calm = {"requests": 10, "seconds": 1.0, "errors": 0, "memory": 8 * MIB, "descriptors": 20}
    for number in range(8):
        figures = {**calm, "at": number * 60.0, **(last if number > 5 else {})}
        record.add("fastwsgi", soak.MIX, number, **figures)
    return record


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ({}, ""),
        ({"memory": 9 * MIB}, ""),
        ({"memory": 11 * MIB}, "memory has grown by 3,072.0 KiB"),
        ({"descriptors": 40}, "20 descriptors more are open"),
        ({"errors": 1}, "2 errors"),
    ],
)
def test_what_grows_fails(last: dict[str, float], fault: str) -> None:
    assert soak.faults(soaked(**last)) == ([f"fastwsgi: {fault}"] if fault else [])


class Closing:
    """A server that closes a connection each time that it is looked at, and keeps 20 files."""

    def __init__(self, more: int) -> None:
        self.open = 20 + more

    def descriptors(self) -> int:
        self.open -= self.open > 20
        return self.open


def test_what_fills_in_the_beginning_is_no_growth() -> None:
    record = Record("soak", {"servers": ["fastwsgi"]})
    for number, memory in enumerate((8, 30, 40, 40, 40, 40, 40, 40)):
        figures = {"requests": 10, "seconds": 1.0, "errors": 0, "descriptors": 20}
        record.add("fastwsgi", soak.MIX, number, at=number, memory=memory * MIB, **figures)
    assert soak.faults(record) == []


@pytest.mark.parametrize(("usual", "found"), [(23, 23), (20, 20), (0, 20)])
def test_connections_of_a_load_that_has_ended_are_no_growth(
    usual: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "CLOSING", 1.0)
    assert soak.descriptors(cast(Running, Closing(more=5)), usual) == found


def test_a_soak_takes_a_turn_at_least(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real, short run."""
    monkeypatch.setattr(soak, "TURN", ("hello",))
    words = ("--servers", "fastwsgi", "--minutes", "0", "--seconds", "1", "--connections", "2")
    run = make_run("soak", *words, "--load", "python")
    soak.measure(run)
    (measured,) = run.record.measurements
    assert measured["requests"] > measured["errors"] == 0
    assert measured["memory"] > MIB
    assert soak.faults(run.record) == []
