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


def test_what_is_otherwise_is_said_at_the_start(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "main.py").write_text(APP)
    words = (
        "--dirty-workers",
        "2",
        "--no-control-socket",
        "-k",
        "meinheld.gmeinheld.MeinheldWorker",
    )
    server = serve("main", *words, "-b", "127.0.0.1:0", cwd=tmp_path)
    for line in (
        "dirty_workers = 2: without effect, as there are no dirty workers here",
        "control_socket_disable = True: without effect",
        "worker_class = meinheld.gmeinheld.MeinheldWorker: there is no meinheld here, and sync takes",
    ):
        assert server.log.count(rf"\[WARNING\] {line}") == 1
    assert server.get("/") == (200, b"served")
