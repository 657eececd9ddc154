from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bench import servers
from bench.__main__ import main
from bench.commands import peers

# Stands in for the environment's python: installs everything but bjoern.
PIP = """#!/bin/sh
case "$*" in
*bjoern*) echo "compiling" >&2; echo "  error: ev.h: No such file or directory" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PIP)
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("venv.create", lambda folder, with_pip: None)
    return tmp_path


def test_a_peer_that_does_not_build_leaves_the_others(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["peers", "--environment", str(environment)]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows.pop("bjoern") == "error: ev.h: No such file or directory"
    assert set(rows.values()) == {"installed"}


def test_every_measured_peer_is_installed() -> None:
    measured = [server for server in servers.TABLE if server.peer]
    needed = {package for server in measured for package in server.packages}
    needed |= {server.module for server in measured} - {""}
    frameworks = {f"{name}=={peers.installed(name)}" for name in peers.FRAMEWORKS}
    listed = {name.removesuffix("[standard]") for name in peers.requirements()}
    assert listed == needed | frameworks
