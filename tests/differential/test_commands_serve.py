"""The command lines of `commands`, with our name for gunicorn's: each serves."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Serve

from .commands import COMMANDS

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]

application = main = app

def create_app():
    return app

init_app = create_app
"""

# Served by https in the tests of TLS; refused, as it is no WSGI application.
ELSEWHERE = re.compile(r"--certfile|uvicorn")


@pytest.mark.parametrize(
    "line", [line for line in COMMANDS.splitlines() if not ELSEWHERE.search(line)]
)
def test_a_command_line_serves(line: str, tmp_path: Path, serve: Serve) -> None:
    words = [
        re.sub(r"^\S*:\d+$", "127.0.0.1:0", word).replace("/app/", f"{tmp_path}/")
        for word in shlex.split(line)[1:]
    ]
    home = tmp_path
    if "--chdir" in words:
        home = tmp_path / words[words.index("--chdir") + 1]
        home.mkdir()
    for before, name in zip(["", *words], words, strict=False):
        if not re.fullmatch(r"[a-z_.]+(:[a-z_()]+)?", name) or (
            before.startswith("-") and ":" not in name
        ):
            continue
        file = home.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(APP)
    (tmp_path / "wsgi_config.py").write_text("bind = '127.0.0.1:0'\nworkers = 2\n")
    server = serve(*words, cwd=tmp_path)
    assert server.get("/") == (200, b"served")
