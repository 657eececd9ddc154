"""The application under the process tests, in a folder that a test may change."""

from pathlib import Path

import pytest

APP = """
import os, signal
from pathlib import Path

VERSION = "1"
HERE = Path(__file__).parent

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = {"/pid": str(os.getpid()), "/version": VERSION}.get(path, "hello")
    if path == "/hold":
        # Blocks until the test opens the other end: an event, not a time.
        os.close(os.open(HERE / ("started" + environ["QUERY_STRING"]), os.O_WRONLY))
        os.close(os.open(HERE / ("hold" + environ["QUERY_STRING"]), os.O_RDONLY))
        body = "held"
    elif path == "/cwd":
        body = os.getcwd()
    elif path == "/exit":
        os._exit(int(environ["QUERY_STRING"]))
    elif path == "/env":
        body = os.environ.get(environ["QUERY_STRING"], "unset")
    elif path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/orphan":
        reader, writer = os.pipe()
        if os.fork() == 0:
            if (pid := os.fork()) == 0:
                # The worker is told of it, and the test lets it go, by the same FIFO as above.
                os.close(os.open(HERE / "hold", os.O_RDONLY))
                os._exit(3)
            os.write(writer, b"%d" % pid)
            os._exit(0)
        os.wait()
        body = os.read(reader, 20).decode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with `app.py`, whose application is `app:app`."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path
