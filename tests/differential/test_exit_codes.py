"""How a command ends that cannot serve: both servers, side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import PATIENCE, environment

FILES = {
    "good.py": "def app(environ, start_response): pass\n",
    "raising.py": "raise RuntimeError('own words')\n",
    "odd.py": "app = 5\nnone = None\ndef make(a): return None\n",
    "broken.conf.py": "workers = nothing\n",
    "wrong.conf.py": "timeout = -1\n",
}

# The words, gunicorn's exit code, and ours.
ENDS = [
    ("", 1, 1),
    ("good:app --nope", 2, 2),
    ("good:app -w x", 2, 2),
    ("good:app -w -1", 1, 1),
    ("good:app -b :x", 1, 1),
    ("good:app -c broken.conf.py", 1, 1),
    ("good:app -c wrong.conf.py", 1, 1),
    ("good:app -c nowhere.py", 1, 1),
    ("good:app -k nowhere", 1, 1),
    ("good:app -k no.where", 1, 1),
    ("good:app -k tornado", 1, 1),
    ("good:nothing", 4, 4),
    ("odd:app", 4, 4),
    ("odd:none", 4, 4),
    ("odd:make()", 4, 4),
    ("odd:make(1)", 4, 4),
    ("odd:1+1", 4, 4),
    ("good:app --version", 0, 0),
    ("--help", 0, 0),
    ("good:app --check-config", 0, 0),
    ("good:app --print-config", 0, 0),
    ("nowhere:app --check-config", 1, 1),
    ("raising:app --print-config", 1, 1),
    # An application that cannot be loaded is always 4 here; gunicorn has 3 for what its import raises, 1 in the master.
    ("nowhere:app", 3, 4),
    ("raising:app", 3, 4),
    ("good:nothing --preload", 1, 4),
    # gunicorn looks at the class when it makes a worker.
    ("good:app --check-config -k nowhere", 0, 1),
]


@pytest.mark.parametrize(
    ("words", "theirs", "ours"), ENDS, ids=[end[0] or "nothing" for end in ENDS]
)
def test_a_command_that_cannot_serve_ends_with_gunicorns_code(
    words: str, theirs: int, ours: int, tmp_path: Path
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", server, *words.split(), *bind],
            cwd=tmp_path,
            env=environment({"PYTHONDONTWRITEBYTECODE": "1"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for server in ("gunicorn", "fastwsgi")
        for bind in [[] if "-b" in words else ["-b", "127.0.0.1:0"]]
    ]
    try:
        said = [process.communicate(timeout=PATIENCE)[0].decode() for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [theirs, ours], "\n".join(said)
    if ours and "raising" not in words and "broken" not in words:
        assert "Traceback" not in said[1]
