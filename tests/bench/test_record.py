from __future__ import annotations

from pathlib import Path

import pytest

from bench import record
from bench.record import Record


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "found.json"
    made = Record("start", {"servers": ["a"], "workloads": ["w"]}, {"machine": "small"}, path=path)
    made.versions["a"] = "1.0"
    made.add("a", "w", 0, answer=0.25, kept=True, p50=None)
    made.fail("b", "", "not installed")
    found = record.load(path)
    assert found.as_json() == made.as_json()
    assert found.failure("b", "anything") == "not installed"
    assert [file.name for file in path.parent.iterdir()] == ["found.json"]


def test_medians_leave_out_what_is_not_known() -> None:
    found = Record("start")
    for number, value in enumerate((3.0, None, 1.0, 8.0)):
        found.add("a", "w", number, answer=value)
    assert found.median("a", "w", "answer") == 3.0
    assert found.median("a", "w", "other") is None


@pytest.mark.parametrize("text", ['{"command": "start"}', "[]", "{", '{"measurements": 1}'])
def test_another_file_is_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"no record|Expecting"):
        record.load(path)
