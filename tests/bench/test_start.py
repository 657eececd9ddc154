"""Starts are measured, told and compared."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import start
from start import Begun


@pytest.fixture(autouse=True)
def _in_a_process_with_other_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "no_orphans", nullcontext)


def test_both_are_started_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gunicorn")
    assert start.main(["--rounds", "1"]) in (0, 1)
    ours, theirs, ratio = capsys.readouterr().out.splitlines()
    assert ours.startswith("fastwsgi: ")
    assert theirs.startswith("gunicorn: ")
    assert float(ratio.rpartition(" ")[2]) > 0


@pytest.mark.parametrize(("ours", "code"), [(0.1, 0), (0.3, 1)])
def test_the_slower_one_fails(ours: float, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"fastwsgi": ours, "gunicorn": 0.2}
    monkeypatch.setattr(start, "measure", lambda name: Begun(times[name], 0.0))
    assert start.main(["--rounds", "3"]) == code


def test_who_does_not_listen_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "START", 0.01)
    assert start.main(["--rounds", "1"]) == 2
    assert "accepts nothing" in capsys.readouterr().err
