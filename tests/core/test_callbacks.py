"""What a worker is told about an exchange cannot spoil it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fastwsgi import wiring
from tests.support.loop import SteppedServer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"x"]


def test_an_access_log_that_fails_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []

    def failing_log(exchange: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(wiring, "access_log", lambda settings, log: failing_log)
    monkeypatch.setattr(sys, "unraisablehook", lambda found: failures.append(found.exc_value))
    with SteppedServer(app, tmp_path) as server, server.connection() as client:
        assert client.exchange(GET).status == 200
        assert client.exchange(GET).status == 200
    assert [str(failure) for failure in failures] == ["the disk is full"] * 2
