"""Interpreters that are no good are rows, and what was counted stands beside each other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import budget
from bench.budget import Build
from bench.callgrind import Figure
from bench.commands import interpreters
from bench.run import Run

MakeRun = Callable[..., Run]
BUILD = Build("CPython 3.12.1 (GCC 12.2.0)", "GCC 12.2.0", "x86_64")


def test_what_is_no_interpreter_is_a_row(make_run: MakeRun) -> None:
    run = make_run("interpreters", "--pythons", "/absent", "/bin/true")
    interpreters.measure(run)
    rows = interpreters.tables(run.record)[0].rows
    assert rows == [
        ("/absent", "-", "-", "no such program"),
        ("/bin/true", "-", "-", "no interpreter"),
    ]
    assert interpreters.faults(run.record) == [
        "/absent: no such program",
        "/bin/true: no interpreter",
    ]


def test_what_does_not_build_says_why() -> None:
    code = "import sys; sys.exit('first line\\nno compiler')"
    with pytest.raises(interpreters.ServerError, match="not built: no compiler"):
        interpreters.perform([sys.executable, "-c", code])


def test_the_build_is_that_of_the_interpreter() -> None:
    assert interpreters.build_of(Path(sys.executable)) == budget.this_build()


def test_budgets_are_those_of_the_builds(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(budget, "FILE", tmp_path / "budget.json")
    monkeypatch.setattr(interpreters, "environment", Path)
    monkeypatch.setattr(interpreters, "build_of", lambda python: BUILD)
    figures = [Figure("hello", 8_000.4, []), Figure("browser", 16_000.0, [])]
    monkeypatch.setattr(interpreters, "count_instructions", lambda *words, **more: figures)
    run = make_run("interpreters", "--pythons", "python3.12", "--record")
    interpreters.measure(run)
    assert budget.read() == {BUILD: {"hello": 8_000, "browser": 16_000}}
    (table,) = interpreters.tables(run.record)
    assert table.rows == [(str(BUILD), "8,000", "16,000", "")]
    assert [bar.text for bar in interpreters.charts(run.record)[0].bars] == ["8,000"]


def test_what_pyenv_has_in_place_of_an_interpreter_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent, present = [f"python3.{n}" for n in (10, 12, 13) if n != sys.version_info.minor][:2]
    (tmp_path / absent).write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / absent).chmod(0o755)
    (tmp_path / present).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreters.here() == [sys.executable, present]
