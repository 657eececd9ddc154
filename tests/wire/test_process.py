"""The corpus against a real server process: its own command line, its own reactor, every case in one piece."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.responses import ResponseReader
from tests.support.server import PATIENCE, ServerProcess
from tests.wire.corpus import Case, load_cases

APPLICATION = """\
def application(environ, start_response):
    environ["wsgi.input"].read()
    path = environ["PATH_INFO"].encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(path)))])
    return [path]
"""

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

CASES = [
    case
    for case in load_cases()
    if case.app == "echo"
    and not case.settings
    and case.handshake
    and {outcome.fate for outcome in case.outcomes} in ({"C"}, {"K"})
]


@pytest.fixture(scope="module", params=["tcp", "unix"])
def process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("p")
    (folder / "echoing.py").write_text(APPLICATION)
    bind = "127.0.0.1:0" if request.param == "tcp" else f"unix:{folder}/s"
    with ServerProcess.start(["echoing:application", "-b", bind], cwd=folder) as server:
        yield server


def read_to_the_end(client: socket.socket, methods: tuple[str, ...]) -> ResponseReader:
    reader = ResponseReader(methods)
    while data := client.recv(65536):
        reader.feed(data)
    reader.feed_end("eof")
    return reader


def holds(case: Case, statuses: list[int]) -> bool:
    """Whether the final statuses are those of an outcome, and for one that keeps the connection those of `LAST`."""
    for outcome in case.outcomes:
        wanted = [answer.statuses for answer in outcome.answers if not answer.optional]
        wanted += [frozenset({200})] if outcome.fate == "K" else []
        if len(wanted) == len(statuses) and all(
            a in b for a, b in zip(statuses, wanted, strict=True)
        ):
            return True
    return False


def test_cases_in_one_piece(process: ServerProcess) -> None:
    wrong: list[str] = []
    for case in CASES:
        with process.connect(PATIENCE) as client:
            client.sendall(case.request + (LAST if case.outcomes[0].fate == "K" else b""))
            if case.half_close:
                client.shutdown(socket.SHUT_WR)
            reader = read_to_the_end(client, case.methods)
        statuses = [response.status for response in reader.responses if response.status >= 200]
        if not holds(case, statuses) or reader.violations or reader.partial:
            wrong.append(f"{case}: {statuses} {reader.violations}")
    assert wrong == []
    assert len(CASES) > 700
