"""A worker that answers is alive, however long the answers of one turn take together."""

from pathlib import Path

from tests.support.server import ServerProcess

APP = """
import time

def app(environ, start_response):
    # As an application that computes: nothing else of the worker runs meanwhile.
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_slow_answers_one_after_the_other_are_no_silence(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(APP)
    arguments = ["busy:app", "-b", "127.0.0.1:0", "--timeout", "2", "--request-timeout", "2"]
    with ServerProcess.start(arguments, tmp_path) as server, server.connect() as client:
        count = 8  # twice the timeout, in one turn of the reactor
        client.sendall(REQUEST * count)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < count:
            data = client.recv(65536)
            assert data, received
            received += data
        assert server.log.count("Booting worker") == 1
