"""`start_response`, `write` and failures (PEP 3333; wire.md 135-137, 139, 143)."""

from __future__ import annotations

import pytest

from tests.apps.client import Client
from tests.apps.conftest import Connect, Events, Gate
from tests.support.server import ServerProcess


def assert_internal_error(client: Client, target: str) -> None:
    """One clean 500 that says nothing of the application's."""
    answer = client.request(target)
    assert answer.status == 500
    assert answer.complete
    assert answer.one("x-started") is None
    assert b"Traceback" not in answer.body
    assert b"AppError" not in answer.body


def test_start_response_twice_raises(client: Client) -> None:
    assert_internal_error(client, "/start_twice")


def test_start_response_twice_leaves_the_first(client: Client) -> None:
    answer = client.request("/start_twice_caught")
    assert (answer.status, answer.body) == (200, b"refused")
    assert client.is_usable()


def test_exc_info_before_the_head_replaces_it(client: Client) -> None:
    answer = client.request("/exc_info_before_head")
    assert (answer.status, answer.reason, answer.body) == (503, "Sorry", b"sorry")
    assert answer.one("x-first") is None
    assert answer.one("x-second") == "2"
    assert client.is_usable()


@pytest.mark.parametrize(
    "name",
    ["exc_info_on_first_call", "exc_info_after_empty_item", "exc_info_after_empty_write"],
)
def test_exc_info_while_no_byte_is_sent(client: Client, name: str) -> None:
    answer = client.request(f"/{name}")
    assert (answer.status, answer.reason, answer.body) == (503, "Sorry", b"sorry")
    assert answer.complete


@pytest.mark.parametrize("name", ["exc_info_none", "exc_info_by_keyword"])
def test_exc_info_none_is_a_plain_call(client: Client, name: str) -> None:
    answer = client.request(f"/{name}")
    assert (answer.status, answer.body) == (200, b"fine")


def test_137_exc_info_after_the_head_is_raised_again(client: Client, events: Events) -> None:
    answer = client.request("/exc_info_after_head", headers=[events.header])
    assert events.take() == "same"
    assert answer.status == 200
    assert not answer.complete
    assert b"X-Late" not in answer.raw


@pytest.mark.parametrize(
    "name",
    [
        "start_never",
        "start_never_and_empty",
        "start_after_first_item",
        "raise_before_start",
        "raise_after_start",
        "raise_on_first_item",
        "raise_recursion_error",
        "write_str",
    ],
)
def test_135_failure_before_the_head_is_a_500(
    client: Client, connect: Connect, hostile: ServerProcess, name: str
) -> None:
    logged = f"Error handling request GET /{name}"
    seen = hostile.log.count(logged)
    assert_internal_error(client, f"/{name}")
    assert connect().is_usable()
    hostile.wait_for(logged, count=seen + 1)


def test_135_error_is_logged_with_its_traceback(client: Client, hostile: ServerProcess) -> None:
    assert_internal_error(client, "/raise_before_start")
    hostile.wait_for(r"Traceback \(most recent call last\)")
    hostile.wait_for(r"AppError: before start_response")


def test_start_response_within_the_generator(client: Client) -> None:
    answer = client.request("/start_on_first_item")
    assert (answer.status, answer.body) == (200, b"in time")


@pytest.mark.parametrize(
    "name",
    ["raise_in_midstream", "raise_in_midstream_of_known_length"],
)
def test_136_failure_in_midstream_aborts(client: Client, connect: Connect, name: str) -> None:
    answer = client.request(f"/{name}")
    assert (answer.status, answer.body) == (200, b"first")
    assert not answer.complete
    assert not answer.raw.endswith(b"0\r\n\r\n")
    assert connect().is_usable()


def test_136_failure_after_a_write_aborts(client: Client) -> None:
    answer = client.request("/write_then_raise")
    assert answer.status in (200, 500)
    assert answer.complete == (answer.status == 500)


def test_failure_after_the_promised_length(client: Client, hostile: ServerProcess) -> None:
    """The response is whole; the application's error is the log's affair."""
    answer = client.request("/raise_after_known_length")
    assert answer.body == b"first"
    assert answer.complete
    hostile.wait_for("AppError: after the last byte")


def test_system_exit_ends_no_server(client: Client, connect: Connect) -> None:
    client.send("/raise_system_exit", headers=[("Connection", "close")])
    rest = client.rest()
    assert rest == b"" or b" 500 " in rest
    assert connect().is_usable()


def test_headers_changed_after_start_response_stay_off_the_wire(client: Client) -> None:
    raw = client.request("/headers_changed_later").raw
    assert b"X-Split: 1\r\n" not in raw
    assert b"bad name" not in raw


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("write_only", b"one two"),
        ("write_then_iterable", b"one two three four"),
        ("write_with_length", b"one two"),
        ("write_while_iterating", b"one two three"),
    ],
)
def test_139_write_and_iterable_in_order(client: Client, name: str, body: bytes) -> None:
    answer = client.request(f"/{name}")
    assert (answer.status, answer.body) == (200, body)
    assert answer.complete
    assert client.is_usable()


@pytest.mark.parametrize("name", ["write_only", "write_then_iterable", "write_while_iterating"])
def test_139_write_on_http_1_0(client: Client, name: str) -> None:
    answer = client.request(f"/{name}", version="1.0")
    assert answer.body.startswith(b"one two")
    assert answer.framing in ("close", "length")
    assert not client.is_usable()


def test_129_write_over_the_length_is_cut(client: Client) -> None:
    answer = client.request("/write_over_length")
    assert (answer.body, answer.one("content-length")) == (b"one", "3")
    assert not client.is_usable()


def test_130_write_under_the_length_aborts(client: Client) -> None:
    answer = client.request("/write_under_length")
    assert answer.status in (200, 500)
    assert answer.complete == (answer.status == 500)
    if answer.status == 200:
        assert answer.body == b"one"
    assert not client.is_usable()


def test_leftovers_of_a_request_reach_no_other(client: Client, events: Events) -> None:
    assert client.request("/keep_everything").body == b"kept"
    answer = client.request("/use_leftovers", headers=[events.header])
    assert events.take() == "write raised"
    assert events.take() == "start raised"
    assert events.take() in ("input raised", "input gave b''")
    assert (answer.status, answer.body) == (200, b"mine alone")
    assert b"STRAY" not in answer.raw.upper()
    assert client.is_usable()


@pytest.mark.parametrize("name", ["gated", "gated_write"])
def test_an_item_is_sent_before_the_next_is_made(client: Client, gate: Gate, name: str) -> None:
    """PEP 3333: a server must not delay the transmission of any block."""
    client.send(f"/{name}", headers=[gate.header])
    gate.wait_for_caller()
    assert b"second" not in client.receive_until(b"first")
    gate.let_through()
    answer = client.receive()
    assert answer.body == b"firstsecond"
    assert answer.complete


def test_wsgi_errors_reach_the_log(client: Client, hostile: ServerProcess) -> None:
    assert client.request("/errors").body == b"told"
    hostile.wait_for("written: caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    hostile.wait_for("lines: one")
    hostile.wait_for("lines: two")
    hostile.wait_for("printed to wsgi.errors")
