"""What holds on the free-threaded builds of CPython (PEP 703) and only there."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.package.checkout import ROOT
from tests.support.builds import FREE_THREADED

pytestmark = pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has a GIL")

# Requests that meet without waiting for anything: each computes until all are there. Where only one
# of them computed at any time, it would have to give way in between, and is told not to.
MEETING = """
import sys

sys.setswitchinterval(1000)
arrived = []

def app(environ, start_response):
    arrived.append(environ["PATH_INFO"])
    turns = 0
    while len(arrived) < 4 and turns < 1_000_000_000:
        turns += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(arrived)).encode()]
"""


def test_importing_the_core_leaves_the_gil_off() -> None:
    modules = [f"fastwsgi.{path.stem}" for path in sorted((ROOT / "fastwsgi").glob("*.pyx"))]
    code = "\n".join(
        ["import sys", *(f"import {module}" for module in modules), "print(sys._is_gil_enabled())"]
    )
    # An extension that needs the GIL brings it back by a RuntimeWarning, which is an error here.
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_as_many_requests_compute_at_once_as_there_are_threads(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "meeting.py").write_text(MEETING)
    server = serve("meeting:app", "-b", "127.0.0.1:0", "--threads", "4", cwd=tmp_path)
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(server.get, [f"/{number}" for number in range(4)]))
    assert answers == [(200, b"4")] * 4
