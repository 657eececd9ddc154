"""A compiled module that coverage does not see fails `make coverage`."""

from __future__ import annotations

from typing import Any

from tests.coverage.measure import unmeasured


def report(**executed: list[int]) -> dict[str, Any]:
    files = {
        f"fastwsgi/{name}.pyx": {"executed_lines": lines, "missing_lines": [1, 2]}
        for name, lines in executed.items()
    }
    return {"files": files}


def test_module_with_lines_is_measured() -> None:
    assert unmeasured(report(_parser=[7]), ["fastwsgi/_parser.pyx"]) == []


def test_module_without_an_executed_line_is_not() -> None:
    found = unmeasured(
        report(_parser=[7], _writer=[]), ["fastwsgi/_parser.pyx", "fastwsgi/_writer.pyx"]
    )
    assert found == ["fastwsgi/_writer.pyx"]


def test_module_the_report_does_not_name_is_not() -> None:
    assert unmeasured(report(), ["fastwsgi/_parser.pyx"]) == ["fastwsgi/_parser.pyx"]
