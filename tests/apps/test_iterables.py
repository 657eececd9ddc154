"""Any iterable is a body."""

from __future__ import annotations

import pytest

from tests.apps.client import Client
from tests.apps.fixtures.iterables import ITEMS, KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_iterable_arrives_whole(client: Client, kind: str) -> None:
    answer = client.request("/iterable", headers=[("Kind", kind)])
    assert (answer.status, answer.body) == (200, b"".join(ITEMS))
    assert answer.complete
    assert client.is_usable()


@pytest.mark.parametrize("kind", KINDS)
def test_iterable_of_known_length(client: Client, kind: str) -> None:
    answer = client.request("/iterable_of_known_length", headers=[("Kind", kind)])
    assert (answer.framing, answer.body) == ("length", b"".join(ITEMS))
    assert client.is_usable()


@pytest.mark.parametrize("kind", KINDS)
def test_iterable_on_http_1_0(client: Client, kind: str) -> None:
    answer = client.request("/iterable", headers=[("Kind", kind)], version="1.0")
    assert answer.body == b"".join(ITEMS)
    assert answer.framing != "chunked"
    assert not client.is_usable()


@pytest.mark.parametrize("kind", KINDS)
def test_iterable_on_head(client: Client, kind: str) -> None:
    answer = client.request("/iterable", headers=[("Kind", kind)], method="HEAD")
    assert answer.status == 200
    assert answer.raw.endswith(b"\r\n\r\n")
    assert client.is_usable()
