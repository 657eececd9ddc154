"""Reports that a client can cause at will: how many lines a flood of them makes."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.errors import REFUSALS
from fastwsgi.observe.logs import ERROR
from fastwsgi.observe.reports import Repeats, Reports
from tests.support.loop import SteppedServer
from tests.support.models import Model
from tests.wire import apps
from tests.wire.bench import LogTap
from tests.wire.recorder import Recorder

FLOOD = 300
GET = b"GET /from_query?%s HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The messages of the error log."""
    tap, log = LogTap(), logging.getLogger(ERROR)
    log.addHandler(tap)
    yield tap.messages
    log.removeHandler(tap)


def test_a_million_of_a_kind_is_a_line_a_second() -> None:
    lines: list[str] = []
    repeats = Repeats()
    for second in range(10):
        for number in range(100_000):
            repeats.say("kind", lambda more, n=number, s=second: lines.append(f"{s}.{n}{more}"))
        repeats.sweep()
    assert lines[0] == "0.0"
    assert lines[1] == "0.99999 (and 99,998 more like this in the last second)"
    assert lines[2:] == [
        f"{second}.99999 (and 99,999 more like this in the last second)" for second in range(1, 10)
    ]


def test_a_kind_that_was_quiet_for_a_second_is_written_at_once_again() -> None:
    lines: list[str] = []
    repeats = Repeats()
    for _ in range(3):
        repeats.say("kind", lines.append)
        repeats.sweep()
    assert lines == ["", "", ""]


def test_two_in_a_second_are_both_written() -> None:
    lines: list[str] = []
    repeats = Repeats()
    repeats.say("kind", lambda more: lines.append(f"one{more}"))
    repeats.say("kind", lambda more: lines.append(f"two{more}"))
    repeats.sweep()
    assert lines == ["one", "two"]


def test_kinds_do_not_hide_each_other() -> None:
    lines: list[str] = []
    repeats = Repeats()
    for kind in "abab":
        repeats.say(kind, lambda more, kind=kind: lines.append(f"{kind}{more}"))
    assert lines == ["a", "b"]


def test_threads_lose_none() -> None:
    told: list[str] = []
    repeats = Repeats()
    threads = [
        threading.Thread(target=lambda: [repeats.say("kind", told.append) for _ in range(5000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    repeats.sweep()
    assert told == ["", " (and 19,998 more like this in the last second)"]


def test_what_an_application_raises_is_always_logged(said: list[str]) -> None:
    reports = Reports(logging.getLogger(ERROR))
    for _ in range(5):
        reports.application_error({"REQUEST_METHOD": "GET", "RAW_URI": "/"}, ValueError("x"))
    assert said == ["Error handling request GET /"] * 5


def test_there_is_a_bounded_number_of_kinds() -> None:
    assert len(set(REFUSALS.values())) < 60


def flood(server: SteppedServer, request: bytes) -> None:
    for _ in range(FLOOD):
        with server.connection() as client:
            client.send(request)
            client.await_responses(1)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"NONSENSE\r\n\r\n", "Invalid request from ip=127.0.0.1: the method is no token"),
        (b"\x16\x03\x01\x02\x00", "a TLS handshake arrived on a port that speaks plain HTTP"),
        (GET % b"name=Keep-Alive&value=x", "the hop-by-hop header"),
    ],
    ids=["refused", "TLS on a plain port", "a field left out"],
)
def test_a_flood_of_requests_is_a_line_a_second(
    request_: bytes, words: str, said: list[str], tmp_path: Path, model: Model
) -> None:
    settings: dict[str, Any] = model.settings
    sweeps: list[None] = []
    with SteppedServer(Recorder(apps.dispatch), tmp_path, **settings) as server:
        server.server.reactor.every_second(lambda: sweeps.append(None))
        flood(server, request_)
        server.advance(1)
    assert all(words in line for line in said)
    # The machine's own seconds go on meanwhile: each adds a line or two.
    assert len(said) <= 2 * len(sweeps)
    counted = sum(1 + number_besides(line) for line in said)
    assert counted == FLOOD


def test_what_is_left_is_written_when_the_server_ends(said: list[str], tmp_path: Path) -> None:
    with SteppedServer(Recorder(apps.echo), tmp_path) as server:
        flood(server, b"NONSENSE\r\n\r\n")
    assert sum(1 + number_besides(line) for line in said) == FLOOD


def number_besides(line: str) -> int:
    _, _, rest = line.partition(" (and ")
    return int(rest.partition(" ")[0].replace(",", "")) if rest else 0
