"""`close()` exactly once, however the response ends (wire.md 138)."""

from __future__ import annotations

import pytest

from tests.apps.client import Client
from tests.apps.conftest import Connect, Events, Gate
from tests.support.server import ServerProcess


def assert_closed_once(connect: Connect, events: Events) -> None:
    """One report, and no further one until the worker serves somebody else."""
    assert events.take() == "close"
    assert connect().request("/sentinel", headers=[events.header]).body == b"sentinel"
    assert events.take() == "sentinel"


@pytest.mark.parametrize(
    "name",
    [
        "close_after_nothing",
        "close_of_own_iterator",
        "close_of_iterable_not_iterator",
        "close_after_error",
        "close_after_error_on_first_item",
        "close_after_error_in_iter",
        "close_after_bad_item",
        "close_after_bad_item_in_midstream",
        "close_after_start_never",
        "close_after_body_too_long",
        "close_after_body_too_short",
        "close_that_raises",
        "close_that_writes",
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_138_close_exactly_once(connect: Connect, events: Events, name: str, version: str) -> None:
    client = connect()
    client.send(f"/{name}", headers=[events.header, ("Connection", "close")], version=version)
    raw = client.rest()
    assert raw.count(b"HTTP/1.") == 1
    assert b"STRAY" not in raw
    assert_closed_once(connect, events)


@pytest.mark.parametrize(
    "status", ["200 OK", "204 No Content", "304 Not Modified", "404 Not Found"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_138_close_exactly_once_without_a_body(
    client: Client, connect: Connect, events: Events, status: str, method: str
) -> None:
    headers = [events.header, ("Status", status)]
    answer = client.request("/close_after_items", method=method, headers=headers)
    assert answer.status == int(status[:3])
    assert_closed_once(connect, events)
    assert client.is_usable()


@pytest.mark.parametrize(
    ("method", "status", "known"),
    [
        ("HEAD", "200 OK", None),
        ("HEAD", "200 OK", "10"),
        ("GET", "204 No Content", None),
        ("GET", "304 Not Modified", None),
        ("GET", "200 OK", "10"),
        ("GET", "200 OK", "0"),
    ],
)
def test_endless_iterable_ends_with_the_response(
    connect: Connect, events: Events, method: str, status: str, known: str | None
) -> None:
    """No more items are asked for than can be sent."""
    headers = [events.header, ("Status", status), *([("Known", known)] if known else [])]
    answer = connect().request("/close_after_endless_of", method=method, headers=headers)
    assert answer.status == int(status[:3])
    assert answer.complete
    assert answer.body == (b"moremoremo" if (method, known) == ("GET", "10") else b"")
    assert_closed_once(connect, events)


def test_138_close_when_the_client_has_gone(connect: Connect, events: Events, gate: Gate) -> None:
    client = connect()
    client.send("/close_after_client_left_at_gate", headers=[events.header, gate.header])
    gate.wait_for_caller()
    client.close()
    gate.let_through()
    assert_closed_once(connect, events)


def test_138_close_when_the_client_goes_in_midstream(connect: Connect, events: Events) -> None:
    client = connect()
    client.send("/close_after_endless", headers=[events.header])
    client.receive_until(b"xxxx")
    client.close()
    assert_closed_once(connect, events)


def test_138_close_when_the_client_never_reads(connect: Connect, events: Events) -> None:
    """The server finds out by the reset: there is data the client never took."""
    client = connect()
    client.send("/close_after_endless", headers=[events.header])
    client.receive_until(b" 200 OK\r\n")
    client.close()
    assert_closed_once(connect, events)


def test_client_that_does_not_read_holds_neither_worker_nor_memory(
    connect: Connect, events: Events
) -> None:
    slow = connect()
    slow.send("/count_pulls", headers=[events.header])
    slow.receive_until(b" 200 OK\r\n")
    buffered = [int(connect().request("/pulled").body) for _ in range(10)][-1]
    # The high-water mark, the sockets' buffers on both sides, and what this client has read.
    assert 0 < buffered < 32 << 20
    slow.close()
    assert events.take() == "close"


def test_error_in_close_is_logged(client: Client, events: Events, hostile: ServerProcess) -> None:
    answer = client.request("/close_that_raises", headers=[events.header])
    assert (answer.body, answer.complete) == (b"one", True)
    assert events.take() == "close"
    hostile.wait_for("RuntimeError: in close")
