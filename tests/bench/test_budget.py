from __future__ import annotations

from pathlib import Path

import pytest

from bench import budget
from bench.__main__ import make_parser
from bench.budget import Build, Limit
from bench.commands import instructions
from bench.run import new_record

BUILD = Build("CPython 3.11.7 (GCC 12.2.0)", "GCC 12.2.0", "x86_64")
OTHER = Build("CPython 3.12.0 (GCC 13.2.0)", "GCC 13.2.0", "x86_64")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(budget, "FILE", tmp_path / "budget.json")
    return tmp_path / "budget.json"


def test_a_recorded_build_may_cost_two_percent_more() -> None:
    budget.write(BUILD, {"hello": 7_000.4, "browser": 15_000.0, "post": 1.0})
    limit = budget.limits(BUILD)["hello"]
    assert limit.complaint("hello", 7_139) == ""
    complaint = limit.complaint("hello", 7_350)
    assert "7,350 instructions per request, 2.9 % above the 7,140" in complaint
    assert "bench instructions --record" in complaint


def test_another_build_is_held_to_the_promise() -> None:
    budget.write(BUILD, {"hello": 7_000.0, "browser": 15_000.0})
    assert {name: limit.most for name, limit in budget.limits(OTHER).items()} == budget.PROMISED


def test_builds_stand_beside_each_other() -> None:
    budget.write(BUILD, {"hello": 1.0})
    budget.write(OTHER, {"hello": 2.0})
    budget.write(BUILD, {"hello": 3.0})
    assert budget.read() == {BUILD: {"hello": 3}, OTHER: {"hello": 2}}


def test_this_build_is_known() -> None:
    build = budget.this_build()
    assert build.python.startswith("CPython 3.")
    assert build.modules.startswith(("GCC ", "clang version "))


def test_the_gate_complains_of_what_is_above(monkeypatch: pytest.MonkeyPatch) -> None:
    record = new_record("instructions", make_parser().parse_args(["instructions", "--gate"]))
    record.path = None
    record.add("fastwsgi", "hello", 0, instructions=7_000.0)
    record.add("fastwsgi", "browser", 0, instructions=30_000.0)
    monkeypatch.setattr(budget, "limits", lambda build: {"browser": Limit(20_000, "a promise")})
    (fault,) = instructions.faults(record)
    assert fault.startswith("browser: 30,000")
    record.fail("fastwsgi", "", "valgrind is not installed")
    assert instructions.faults(record) == ["fastwsgi: valgrind is not installed"]


@pytest.mark.parametrize("wrong", [("--workloads", "flask"), ("--servers", "granian-tls")])
def test_only_what_the_marked_application_answers_is_counted(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["instructions", *wrong])
    assert f"invalid choice: '{wrong[1]}' (choose from" in capsys.readouterr().err
