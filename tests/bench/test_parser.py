from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.commands import parser as bench

LINE = r"{}\s+\d+\.\d\d GB/s, at best \d+\.\d\d"

needs_build = pytest.mark.skipif(not bench.GENERATED.exists(), reason="fastwsgi was not built here")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench") / "parser"
    bench.compile_program(made, ())
    return made


def test_every_head_has_the_size_and_none_is_like_another() -> None:
    heads = {bench.browser_head(number) for number in range(10_000, 10_000 + bench.HEADS)}
    assert len(heads) == bench.HEADS
    assert {len(head) for head in heads} == {bench.SIZE}


@needs_build
def test_a_line_for_each_variant(
    program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = []

    def copy(target: Path, wanted: tuple[str, ...]) -> None:
        flags.append(wanted)
        shutil.copy(program, target)

    monkeypatch.setattr(bench, "compile_program", copy)  # which takes seconds
    monkeypatch.setattr(shutil, "which", lambda name: None)  # no callgrind, for the same reason
    assert main(["parser", "--rounds", "1", "--times", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, line in zip(bench.VARIANTS, lines, strict=True):
        assert re.fullmatch(LINE.format(name), line)
    assert flags == list(bench.VARIANTS.values())


@needs_build
def test_a_head_that_is_refused_is_no_figure(program: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    heads.write_bytes(bench.browser_head(10_000) + b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        bench.rates(program, heads, 1, 1)


@needs_build
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="no valgrind over ASan")
def test_instructions_a_byte(program: Path, tmp_path: Path) -> None:
    """At three instructions a cycle, 6.5 a byte are a gigabyte a second with 2.2 GHz."""
    heads = tmp_path / "heads"
    heads.write_bytes(b"".join(map(bench.browser_head, range(10_000, 10_000 + bench.HEADS))))
    assert 1 < bench.instructions(program, heads) < 6.5
