"""Every target for a moment, what was found before, and the program that runs them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz import __main__ as command
from tests.fuzz import examples, native
from tests.fuzz.examples import EXAMPLES, Check, Examples, silence
from tests.fuzz.native import NATIVE, Native
from tests.fuzz.results import REGRESSIONS, Budget, CannotRun, Result, Say

A_MOMENT = Budget(seconds=2, executions=100)
SHORT = Budget(seconds=10, executions=2500)


@pytest.mark.parametrize("target", [one for one in NATIVE if not one.flags], ids=lambda t: t.name)
def test_native(target: Native) -> None:
    try:
        result = target.fuzz(SHORT, print)
    except CannotRun as reason:
        pytest.skip(str(reason))
    assert result.findings == []
    assert result.executions >= 2500
    assert result.parses > 0


@pytest.mark.parametrize("target", EXAMPLES, ids=lambda target: target.name)
def test_examples(target: Examples) -> None:
    result = target.fuzz(A_MOMENT, print)
    assert result.findings == []
    assert result.executions > 0


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (target, path)
        for target in EXAMPLES
        for path in sorted((REGRESSIONS / target.name).glob("*"))
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_broke_once(target: Examples, path: Path) -> None:
    with target.opened() as run, silence():
        run(ast.literal_eval(path.read_text()))


def test_every_regression_has_a_target() -> None:
    known = {target.name for target in EXAMPLES} | {target.harness for target in NATIVE}
    assert {path.name for path in REGRESSIONS.iterdir()} <= known


@contextmanager
def no_number_above_nine() -> Iterator[Check]:
    def run(value: int) -> None:
        assert value < 10

    yield run


def test_what_breaks_is_kept_at_its_smallest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(examples, "BUILD", tmp_path)
    result = Examples("tens", st.integers(), no_number_above_nine).fuzz(A_MOMENT, print)
    (kept,) = (tmp_path / "findings" / "tens").iterdir()
    assert ast.literal_eval(kept.read_text()) == 10
    assert len(result.findings) == 1
    assert result.findings[0].startswith(str(kept))


class Fake:
    """A target that found this, or cannot run."""

    name = "fake"

    def __init__(self, *findings: str, missing: str = "") -> None:
        self.findings, self.missing = list(findings), missing

    def fuzz(self, budget: Budget, say: Say) -> Result:
        if self.missing:
            raise CannotRun(self.missing)
        return Result(self.name, 1200, 3400, 2.0, self.findings)


@pytest.mark.parametrize(
    ("fake", "code"), [(Fake(), 0), (Fake("a file"), 1), (Fake(missing="no clang"), 2)]
)
def test_the_table_the_file_and_the_exit_code(
    fake: Fake,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "TARGETS", {"fake": fake})
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    assert command.main(["--seconds", "2"]) == code
    last = capsys.readouterr().out.splitlines()[-1]
    found = json.loads((tmp_path / "results.json").read_text())
    if fake.missing:
        assert last == "fake was not fuzzed: no clang"
        assert found["results"] == []
    else:
        assert last.split() == ["fake", "1,200", "600", "3,400", "2", str(len(fake.findings))]
        assert found["results"][0]["findings"] == fake.findings


def test_without_clang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun, match=r"clang is not installed \(Debian: clang"):
        native.clang()


def test_the_newest_clang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("clang-9", "clang-14", "clang-cpp-15"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert native.clang() == str(tmp_path / "clang-14")
