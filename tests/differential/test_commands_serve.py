"""The command lines of `commands`, with our name for gunicorn's: each serves."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest

from tests.conftest import Serve
from tests.support.certificates import authority
from tests.support.server import PATIENCE

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

WSGI = [line for line in COMMANDS.splitlines() if "uvicorn" not in line]


def execution(line: str) -> str:
    """How a command line's application runs, for the name of its test."""
    return "gevent" if re.search("gevent|eventlet", line) else "other"


@pytest.mark.parametrize("line", WSGI, ids=execution)
def test_a_command_line_serves(line: str, tmp_path: Path, serve: Serve) -> None:
    words = [
        re.sub(r"^\S*:\d+$", "127.0.0.1:0", word)
        .replace("/app/", f"{tmp_path}/")
        .replace("/etc/certs/", f"{tmp_path}/")
        for word in shlex.split(line)[1:]
    ]
    authority().issue(tmp_path, "127.0.0.1", name="localhost")
    home = tmp_path
    if "--chdir" in words:
        home = tmp_path / words[words.index("--chdir") + 1]
        home.mkdir()
    for before, name in zip(["", *words], words, strict=False):
        if is_application(before, name):
            file = home.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(APP)
    (tmp_path / "wsgi_config.py").write_text("bind = '127.0.0.1:0'\nworkers = 2\n")
    server = serve(*words, cwd=tmp_path)
    client = build_opener(ProxyHandler({}), HTTPSHandler(context=authority().context()))
    with client.open(server.url, timeout=PATIENCE) as answer:
        assert (answer.status, answer.read()) == (200, b"served")


def is_application(before: str, word: str) -> bool:
    """Whether `word`, which stands behind `before`, names an application."""
    name = re.fullmatch(r"[a-z_.]+(:[a-z_()]+)?", word) is not None
    return name and (":" in word or not before.startswith("-"))


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
