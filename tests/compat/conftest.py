"""An application, and interpreters in which there is no gunicorn."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import fastwsgi
from tests.support.server import ServerProcess

APP = """
import os

def app(environ, start_response):
    body = {"/pid": str(os.getpid())}.get(environ["PATH_INFO"], "hello")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""

Program = Callable[..., ServerProcess]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with `app.py`, whose application is `app:app`."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    return folder


@pytest.fixture
def lonely(tmp_path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """A command and an environment of an interpreter that has fastwsgi and no other package."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "fastwsgi").symlink_to(Path(fastwsgi.__file__).parent)
    return (sys.executable, "-S", "-W", "error"), {"PYTHONPATH": str(home)}


@pytest.fixture
def program(
    site: Path, lonely: tuple[tuple[str, ...], dict[str, str]]
) -> Iterator[Callable[..., ServerProcess]]:
    """`program(source, *words)` runs a program in `site`, where no gunicorn is installed."""
    command, environ = lonely
    with ExitStack() as running:

        def start(source: str, *words: str, ready: bool = True, **env: str) -> ServerProcess:
            (site / "program.py").write_text(source)
            server = ServerProcess(
                ["program.py", *words], site, {**environ, **env}, command=command
            )
            running.enter_context(server)
            return server.ready() if ready else server

        yield start
