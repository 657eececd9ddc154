"""`wsgi.input` says what an io.BytesIO of the body would say (PEP 3333; wire.md 142)."""

from __future__ import annotations

import hashlib
import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apps.client import Client
from tests.apps.conftest import Connect, speak
from tests.apps.fixtures.bodies import LARGE, perform
from tests.support.models import Model
from tests.support.server import ServerProcess

LINES = b"first\nsecond\r\n\nfourth without an end"
SPOOLED = b"".join(b"%d: %b\n" % (n, b"x" * (n % 97)) for n in range(4000))  # above 64 KiB

SIZES = st.sampled_from([None, -1, -7, 0, 1, 2, 7, 64, 65535, 65536, 65537, 1 << 40])
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["read", "readline", "readlines"])),
    st.tuples(st.sampled_from(["read", "readline", "readlines"]), SIZES),
    st.tuples(st.sampled_from(["next", "list"])),
)
PIECES = st.sampled_from([b"", b"a", b"\n", b"\r\n", b"line\n", b"\0\xff", b"y" * 5000 + b"\n"])
BODIES = st.lists(PIECES, max_size=40).map(b"".join)


def assert_like_bytesio(
    client: Client, content: bytes, operations: list[list[Any]], **sent: Any
) -> None:
    """`sent` says how the content travels: as a `body` with its length, or as `chunks`."""
    headers = [("Operations", json.dumps(operations))]
    answer = client.request("/read_input", method="POST", headers=headers, **sent)
    assert answer.status == 200
    assert json.loads(answer.body) == perform(io.BytesIO(content), operations)


@pytest.mark.parametrize(
    "operations",
    [
        [["read"]],
        [["read"], ["read"], ["readline"], ["readlines"], ["list"], ["next"]],
        [["read", -1], ["read", -1]],
        [["read", None]],
        [["read", 0], ["read", 3], ["read", 0], ["read", 1000], ["read", 1]],
        [["read", 1 << 62]],
        [["readline"], ["readline"], ["readline"], ["readline"], ["readline"]],
        [["readline", 0], ["readline", 2], ["readline", -1], ["readline", 1000]],
        [["readline", None], ["read"]],
        [["readlines"]],
        [["readlines", 0]],
        [["readlines", 1], ["readlines", 7], ["read"]],
        [["readlines", -1]],
        [["readlines", None]],
        [["list"]],
        [["next"], ["read", 2], ["next"], ["readline"], ["list"]],
        [["read", 6], ["list"]],
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("body", [b"", b"\n", b"no end", LINES, SPOOLED], ids=len)
def test_142_methods_and_sizes(client: Client, body: bytes, operations: list[list[Any]]) -> None:
    assert_like_bytesio(client, body, operations, body=body)
    chunks = [body[n : n + 4099] for n in range(0, len(body), 4099)]
    assert_like_bytesio(client, body, operations, chunks=chunks)
    assert client.is_usable()


@settings(max_examples=150, deadline=None)
@given(
    body=BODIES,
    operations=st.lists(OPERATIONS.map(list), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 3000), max_size=20),
    chunked=st.booleans(),
)
def test_142_any_sequence_of_operations(
    hostile: ServerProcess,
    model: Model,
    *,
    body: bytes,
    operations: list[list[Any]],
    cuts: list[int],
    chunked: bool,
) -> None:
    sent: dict[str, Any] = {"chunks": list(cut_up(body, cuts))} if chunked else {"body": body}
    with Client(speak(hostile.connect(), model)) as client:
        assert_like_bytesio(client, body, operations, **sent)


def cut_up(body: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The body in pieces of these sizes and one for the rest; never an empty one."""
    for size in [*cuts, len(body)]:
        if body[:size]:
            yield body[:size]
        body = body[size:]


def test_142_reading_never_passes_the_end_of_the_body(client: Client) -> None:
    """The next request stands in the same segment."""
    operations = ("Operations", json.dumps([["read", 1 << 30], ["read"], ["readline"], ["list"]]))
    head = (
        f"POST /read_input HTTP/1.1\r\nHost: localhost\r\n{': '.join(operations)}\r\n"
        "Content-Length: 4\r\n\r\nbody"
    )
    client.socket.sendall(head.encode() + b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert json.loads(client.receive("POST").body) == ["body", "", "", []]
    assert client.receive().body == b"plain"


def test_get_has_an_empty_body(client: Client) -> None:
    headers = [("Operations", json.dumps([["read"], ["read", 5], ["readline"], ["list"]]))]
    answer = client.request("/read_input", headers=headers)
    assert json.loads(answer.body) == ["", "", "", []]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1 << 20])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_echo_is_equal(client: Client, size: int, chunked: bool) -> None:
    body = LARGE[:size]
    sent: dict[str, Any] = {"chunks": [body] if body else []} if chunked else {"body": body}
    answer = client.request("/echo", method="POST", **sent)
    assert answer.body == body
    assert client.is_usable()


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_the_input_itself_may_be_the_response(client: Client, size: int) -> None:
    body = SPOOLED[:size]
    answer = client.request("/echo_in_lines", method="POST", body=body)
    assert answer.body == body
    assert answer.complete


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_ten_megabytes_up(client: Client, chunked: bool) -> None:
    chunks = [LARGE[n : n + 99991] for n in range(0, len(LARGE), 99991)]
    sent: dict[str, Any] = {"chunks": chunks} if chunked else {"body": LARGE}
    answer = client.request("/digest", method="PUT", **sent)
    assert json.loads(answer.body) == [len(LARGE), hashlib.sha256(LARGE).hexdigest()]
    assert client.is_usable()


def test_ten_megabytes_up_and_down(client: Client) -> None:
    answer = client.request("/echo", method="POST", body=LARGE)
    assert answer.body == LARGE
    assert answer.one("content-length") == str(len(LARGE))


@pytest.mark.parametrize("known", ["yes", "no"])
@pytest.mark.parametrize(
    "form", ["one item", "two items", "blocks", "uneven", "starts anew", "write"]
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_ten_megabytes_down(client: Client, form: str, known: str, version: str) -> None:
    headers = [("Form", form), ("Known", known)]
    answer = client.request("/large", headers=headers, version=version)
    assert answer.complete
    assert len(answer.body) == len(LARGE)
    assert answer.body == LARGE
    assert client.is_usable() == (version == "1.1")


@pytest.mark.parametrize("form", ["one item", "two items", "blocks", "uneven", "starts anew"])
def test_ten_megabytes_down_to_a_client_that_pauses(
    client: Client, connect: Connect, form: str
) -> None:
    """Other requests are served in between, so the rest of the response is sent in many turns."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send("/large", headers=[("Form", form), ("Known", "no")])
    client.receive_until(b"\r\n\r\n")
    for size in range(1 << 20, len(LARGE), 1 << 20):
        assert connect().is_usable()
        client.receive_at_least(size)
    answer = client.receive()
    assert answer.complete
    assert answer.body == LARGE


def test_99_body_the_application_ignores(client: Client) -> None:
    """It is complete before the application is called, so nothing of it is left on the wire."""
    for size in (10, 200_000):
        answer = client.request("/ignore_input", method="POST", body=LARGE[:size])
        assert answer.body == b"ignored"
    assert client.is_usable()
