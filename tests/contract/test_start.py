"""What a start takes, counted and not timed: modules and files, against gunicorn's on the same interpreter.

`python -m bench start` measures the time.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.server import COMMAND, ServerProcess

STRACE = shutil.which("strace")
SCRIPT = Path(sys.executable).with_name("gunicorn")
pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed"),
    pytest.mark.skipif(not SCRIPT.exists(), reason="gunicorn is not installed"),
]

OPENED = re.compile(r"\bopen(at)?\(.* = \d+$", re.MULTILINE)

UNWRITTEN: Final = {"PYTHONDONTWRITEBYTECODE": "1"}

APP: Final = """
import sys

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(len(sys.modules)).encode()]
"""


class Taken(NamedTuple):
    """What was taken up to the first answer, by master and worker."""

    files: int
    """Opened, modules among them."""
    modules: int
    """Loaded in the worker, which has all that the master had loaded."""


def measure(command: tuple[str, ...], folder: Path) -> Taken:
    (folder / "counting.py").write_text(APP)
    (folder / "plain.py").write_text("control_socket_disable = True\n")  # gunicorn's own
    traced = (str(STRACE), "-f", "-e", "trace=open,openat", "-o", str(folder / "calls"), *command)
    args = ["counting:app", "-b", "127.0.0.1:0", "-c", "plain.py"]
    # With its bytecode or without, each module is one file then.
    with ServerProcess.start(args, folder, UNWRITTEN, command=traced) as server:
        modules = int(server.get("/")[1])
        return Taken(len(OPENED.findall((folder / "calls").read_text())), modules)


def test_a_start_takes_less_than_gunicorns(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours = measure(COMMAND, tmp_path / "ours")
    theirs = measure((sys.executable, str(SCRIPT)), tmp_path / "theirs")
    print(ours, theirs)
    assert ours.files < theirs.files
    assert ours.modules < theirs.modules
