"""The page, the plots and the documents, from records."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import documents
from bench.__main__ import main
from bench.record import Record

GOALS = "<!-- bench:goals -->\n<!-- /bench:goals -->\n"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder with a record of the starts, with a name that HTML has to escape."""
    record = Record(
        "start",
        {"servers": ["fastwsgi", "gunicorn-sync"], "workloads": ["hello"]},
        {"machine": "small & <old>"},
        {"fastwsgi": "1.0"},
        path=tmp_path / "start.json",
    )
    record.add("fastwsgi", "hello", 0, answer=0.1, processor=0.1)
    record.fail("gunicorn-sync", "", "not installed: run `make bench-peers`")
    return tmp_path


def report(records: Path, *words: str) -> int:
    return main(["report", "--records", str(records), "--to", str(records / "to"), *words])


def test_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(tmp_path) == 2
    assert "`python -m bench compare` makes one" in capsys.readouterr().err


def test_a_broken_record(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (records / "start.json").write_text("{")
    assert report(records) == 2
    assert "a record cannot be read" in capsys.readouterr().err


def test_without_matplotlib_there_is_a_page(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert report(records) == 0
    assert capsys.readouterr().err == (
        "no plots: matplotlib is not installed: pip install '.[bench]'\n"
    )
    page = (records / "to" / "report.html").read_text()
    assert "small &amp; &lt;old&gt;" in page
    assert '<tr class="ours"><td class="words">fastwsgi</td><td>100 (100-100)</td>' in page
    assert "not installed: run `make bench-peers`" in page
    assert "<img" not in page
    assert report(records, "--docs") == 2


def test_plots_stand_in_the_page(records: Path) -> None:
    pytest.importorskip("matplotlib")
    assert report(records) == 0
    page = (records / "to" / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "http" not in page.replace("<html", "")  # it needs nothing else
    assert (records / "to" / "start.svg").read_bytes().startswith(b"<?xml")
    assert (records / "to" / "start.png").read_bytes().startswith(b"\x89PNG")


def test_documents_are_renewed_between_their_markers(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    figures, readme = records / "figures.md", records / "README.md"
    figures.write_text(GOALS + "before\n<!-- bench:start -->\nold\n<!-- /bench:start -->\nafter\n")
    readme.write_text("as it was\n")
    monkeypatch.setattr(documents, "FIGURES", figures)
    monkeypatch.setattr(documents, "README", readme)
    assert report(records, "--docs") == 0
    text = figures.read_text()
    goals, _, text = text.partition("before\n")
    assert "| start to the first answer | gunicorn-sync | ≤ its | 0.100 s | 0.100 s |" in goals
    assert text.startswith("<!-- bench:start -->\n\n- machine: small")
    assert text.endswith("\n\n<!-- /bench:start -->\nafter\n")
    assert "old\n<" not in text
    assert "| fastwsgi | 100 (100-100) | 100 | - |  |" in text
    assert 'srcset="figures/start-dark.svg"' in text
    assert (records / "figures" / "start-dark.svg").exists()
    assert readme.read_text() == "as it was\n"
    assert report(records, "--docs") == 0
    assert figures.read_text() == goals + "before\n" + text


def test_a_document_without_the_markers() -> None:
    with pytest.raises(ValueError, match="no place for start: the markers"):
        documents.marked("text", "start", "content")


@pytest.mark.parametrize(
    "name", ["goals", "compare", "locust", "scale", "instructions", "interpreters", "syscalls"]
)
def test_the_documents_have_their_places(name: str) -> None:
    assert "new" in documents.marked(documents.FIGURES.read_text(), name, "new")
    assert "new" in documents.marked(documents.README.read_text(), "readme", "new")
