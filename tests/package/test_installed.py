"""The wheel in a clean environment without a compiler serves the hello example."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import fastwsgi
from tests.package.checkout import ROOT
from tests.support.server import ServerProcess

pytestmark = pytest.mark.timeout(600)  # the first of these tests waits for the build

WHERE = """
import fastwsgi._http1

def app(environ, start_response):
    start_response("200 OK", [])
    return [fastwsgi._http1.__file__.encode()]
"""


@pytest.fixture
def bare(clean: Path) -> dict[str, str]:
    """An environment whose PATH leads to the virtual environment only."""
    path = str(clean / "bin")
    for compiler in ("cc", "gcc", "clang", "c++"):
        assert shutil.which(compiler, path=path) is None
    return {"PATH": path, "PYTHONPATH": "", "VIRTUAL_ENV": str(clean)}


@pytest.mark.parametrize("how", ["script", "module"])
def test_serves_the_hello_example(clean: Path, bare: dict[str, str], how: str) -> None:
    script = (str(clean / "bin" / "fastwsgi"),)
    module = (str(clean / "bin" / "python"), "-m", "fastwsgi")
    command = script if how == "script" else module
    args = ["hello:app", "-b", "127.0.0.1:0"]
    with ServerProcess.start(args, cwd=ROOT / "examples", env=bare, command=command) as server:
        assert server.get("/") == (200, b"Hello, world!\n")


def test_what_serves_is_the_wheel(clean: Path, bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(WHERE)
    command = (str(clean / "bin" / "fastwsgi"),)
    args = ["where:app", "-b", "127.0.0.1:0"]
    with ServerProcess.start(args, cwd=tmp_path, env=bare, command=command) as server:
        status, body = server.get("/")
    assert status == 200
    assert Path(body.decode()).is_relative_to(clean)


def test_says_its_version(clean: Path, bare: dict[str, str], tmp_path: Path) -> None:
    command = [str(clean / "bin" / "fastwsgi"), "--version"]
    result = subprocess.run(
        command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True, timeout=30
    )
    assert fastwsgi.__version__ in result.stdout
