"""Misused and lying objects: the worker survives, and the wire stays right."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.apps.client import Client
from tests.apps.conftest import Connect, Events
from tests.apps.fixtures.abuse import ERRORS, NO_EXC_INFO, WRONG_CALLS
from tests.apps.fixtures.bodies import LARGE
from tests.support.server import ServerProcess


@pytest.fixture(autouse=True)
def same_worker(hostile: ServerProcess) -> Iterator[None]:
    """None of this may cost the worker its life."""
    hostile.wait_for("Booting worker with pid")
    worker = hostile.workers[-1]
    yield
    os.kill(worker, 0)
    assert hostile.workers[-1] == worker


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_wrong_call_is_refused_and_forgotten(client: Client, events: Events, call: str) -> None:
    answer = client.request("/wrong_call", headers=[("Call", call), events.header])
    assert events.take() == "TypeError"
    assert (answer.status, answer.body) == (200, b"refused")
    assert client.is_usable()


@pytest.mark.parametrize("kind", NO_EXC_INFO)
def test_exc_info_that_is_none(client: Client, connect: Connect, events: Events, kind: str) -> None:
    """After the head is sent nothing can be raised from it; yet the response is over."""
    headers = [("Kind", kind), events.header]
    answer = client.request("/no_exc_info_after_head", headers=headers)
    assert events.take() == "raised"
    assert (answer.body, answer.complete) == (b"first", False)
    assert connect().is_usable()


@pytest.mark.parametrize(
    ("name", "body"),
    [("empty_environ", b"emptied"), ("environ_of_nonsense", b"nonsense")],
)
def test_environ_is_not_read_after_the_call(client: Client, name: str, body: bytes) -> None:
    answer = client.request(f"/{name}")
    assert (answer.status, answer.body) == (200, body)
    assert client.is_usable()


@pytest.mark.parametrize("name", ["vanishing_headers", "lying_headers"])
def test_headers_that_lie(client: Client, connect: Connect, name: str) -> None:
    answer = client.request(f"/{name}")
    assert answer.status in (200, 500)
    assert answer.complete
    assert connect().is_usable()


@pytest.mark.parametrize("items", [1, 2])
def test_items_that_lie(client: Client, items: int) -> None:
    answer = client.request("/lying_items", headers=[("Items", str(items))])
    assert answer.body == b"onetwo"[: 3 * items]
    assert answer.complete
    assert client.is_usable()


def test_body_is_kept_until_it_is_sent(client: Client) -> None:
    answer = client.request("/cleared_on_close")
    assert answer.complete
    assert answer.body == LARGE


def test_generator_that_calls_itself(client: Client, connect: Connect) -> None:
    answer = client.request("/reentrant_generator")
    assert (answer.status, answer.body, answer.complete) == (200, b"one", False)
    assert connect().is_usable()


def test_garbage_collection_in_the_middle(client: Client) -> None:
    for _ in range(3):
        answer = client.request("/garbage_cycles", method="POST", body=b"x" * 100_000)
        assert answer.body == b"cycle " * 3


def test_write_from_other_threads(client: Client) -> None:
    """Whoever writes before the application returns writes into its own response."""
    answer = client.request("/write_from_a_thread")
    assert answer.body == b"x" * 8000 + b"end"
    assert client.is_usable()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_errors_of_every_kind_are_a_500(
    client: Client, connect: Connect, error: str, when: str
) -> None:
    answer = client.request("/raise_named", headers=[("Error", error), ("When", when)])
    assert (answer.status, answer.complete) == (500, True)
    assert connect().is_usable()


@pytest.mark.parametrize("error", [name for name in ERRORS if name != "StopIteration"])
def test_errors_of_every_kind_abort_in_midstream(
    client: Client, connect: Connect, error: str
) -> None:
    answer = client.request("/raise_named_in_midstream", headers=[("Error", error)])
    assert (answer.status, answer.body, answer.complete) == (200, b"first", False)
    assert connect().is_usable()


@pytest.mark.parametrize(("count", "size"), [(1, 1 << 20), (1000, 100), (20_000, 10)])
def test_large_head_is_sent_or_refused(client: Client, count: int, size: int) -> None:
    headers = [("Count", str(count)), ("Size", str(size)), ("Connection", "close")]
    client.send("/large_head", headers=headers)
    raw = client.rest()
    if raw.startswith(b"HTTP/1.1 200 "):
        assert raw.count(b"\r\nX-") == count
        assert raw.endswith(b"\r\n\r\nbody")
    else:
        assert raw.startswith(b"HTTP/1.1 500 ")
