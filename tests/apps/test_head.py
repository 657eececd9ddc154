"""What an application may not do to the head and the framing (wire.md 124-134, 140)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.apps.client import Answer, Client
from tests.apps.conftest import Connect
from tests.support.server import ServerProcess


def answer_of(
    client: Client, status: Any, headers: Any, iterable: Any, method: str = "POST"
) -> Answer:
    """The answer to an application that says these three literals."""
    literal = repr((status, headers, iterable)).encode()
    return client.request("/literal", method=method, body=literal)


BAD_STRINGS = {
    "CR": "a\rb",
    "LF": "a\nb",
    "CRLF and a header": "a\r\nX-Split: 1",
    "NUL": "a\0b",
    "not latin-1": "snow \N{SNOWMAN}",
    "bytes": b"bytes",
    "None": None,
    "int": 1,
}


def assert_500(client: Client, answer: Answer) -> None:
    assert answer.status == 500
    assert answer.complete
    assert b"Split" not in answer.raw


@pytest.mark.parametrize("value", BAD_STRINGS.values(), ids=BAD_STRINGS)
def test_124_bad_header_value_is_a_500(client: Client, value: Any) -> None:
    assert_500(client, answer_of(client, "200 OK", [("X-Value", value)], [b"x"]))


@pytest.mark.parametrize(
    "name",
    [
        *BAD_STRINGS.values(),
        "",
        "a b",
        "a:",
        "a\t",
        "caf\xe9",
        "(a)",
        "a\x7f",
    ],
)
def test_125_bad_header_name_is_a_500(client: Client, name: Any) -> None:
    assert_500(client, answer_of(client, "200 OK", [(name, "1")], [b"x"]))


@pytest.mark.parametrize(
    "status",
    [
        *(value for key, value in BAD_STRINGS.items()),
        "",
        "200",
        "OK",
        "abc OK",
        "20 OK",
        "2000 OK",
        "099 Low",
        "-20 OK",
        "2 0 OK",
        "200OK",
        "200\tOK",
        "\uff12\uff10\uff10 OK",
        " 200 OK",
        "200 O\rK",
        "200 OK\r\nX-Split: 1",
        "200 O\0K",
        b"200 OK",
        200,
        ("200 OK",),
    ],
)
def test_127_bad_status_is_a_500(client: Client, status: Any) -> None:
    assert_500(client, answer_of(client, status, [], [b"x"]))


@pytest.mark.parametrize(
    "headers",
    [
        None,
        7,
        "X-A: 1",
        [("X-A",)],
        [("X-A", "1", "2")],
        ["X-A: 1"],
        [None],
        [7],
    ],
    ids=repr,
)
def test_headers_that_are_no_list_of_pairs_are_a_500(client: Client, headers: Any) -> None:
    assert_500(client, answer_of(client, "200 OK", headers, [b"x"]))


@pytest.mark.parametrize(
    "headers",
    [
        *(
            [("Content-Length", value)]
            for value in ("", "x", "-1", "+1", "1_0", "0x1", "1 1", "1,1")
        ),
        [("Content-Length", "9" * 30)],
        [("Content-Length", "1"), ("content-length", "1")],
        [("Content-Length", "1"), ("Content-Length", "2")],
    ],
    ids=repr,
)
def test_128_bad_content_length_is_a_500(client: Client, headers: Any) -> None:
    assert_500(client, answer_of(client, "200 OK", headers, [b"x"]))


def test_good_head_reaches_the_client_as_it_is(client: Client) -> None:
    headers = [
        ("X-Latin", "caf\xe9"),
        ("x-lower", "1"),
        ("X-Empty", ""),
        ("X-Inner", "a \t b"),
        ("Content-Type", "text/plain; charset=utf-8"),
    ]
    answer = answer_of(client, "299 Fine, really: \xe9", headers, [b"x"])
    assert (answer.status, answer.reason) == (299, "Fine, really: \xe9")
    sent = [line.split(b": ", 1)[0] for line in answer.raw.split(b"\r\n\r\n")[0].split(b"\r\n")]
    for name, value in headers:
        assert answer.one(name) == value.strip()
        assert name.encode() in [line.rstrip(b":") for line in sent]  # case is kept


def test_constant_headers_stay_right_in_every_response(connect: Connect) -> None:
    """What a server may remember of an object must not depend on where it met it first."""
    kinds = ["text/plain"]
    expected = {
        "one length": (200, ["5"], kinds),
        "length first": (200, ["5"], kinds),
        "length twice": (500, None, None),
        "two lengths": (500, None, None),
        "none": (200, ["5"], []),
        "field twice": (200, ["5"], kinds * 2),
        "dropped": (200, ["5"], []),
        "bad": (500, None, None),
    }
    for _ in range(2):
        for first in expected:
            for name in (first, *expected):
                status, lengths, types = expected[name]
                answer = connect().request("/constants", headers=[("Headers", name)])
                assert (answer.status, answer.complete) == (status, True)
                assert lengths in (None, answer.all("content-length"))
                assert types in (None, answer.all("content-type"))
                assert answer.all("keep-alive") == answer.all("x-split") == []
        answer = connect().request("/constants", headers=[("Headers", "other length")])
        assert (answer.complete, answer.status) in ((False, 200), (True, 500))


def test_several_set_cookies_stay_apart_and_in_order(client: Client) -> None:
    cookies = [("Set-Cookie", f"c{n}={n}; Path=/; Expires=Thu, 01 Jan 2099") for n in range(20)]
    answer = answer_of(client, "200 OK", cookies, [b"x"])
    assert answer.all("set-cookie") == [value for _, value in cookies]


def test_str_and_bytes_subclasses_are_taken(client: Client) -> None:
    answer = client.request("/subclasses")
    assert (answer.status, answer.one("x-kind"), answer.body) == (200, "subclass", b"onetwo")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Connection", "upgrade"),
        ("Keep-Alive", "timeout=99"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Authorization", "Basic x"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding", "gzip"),
        ("Upgrade", "h2c"),
    ],
)
@pytest.mark.parametrize("items", [[b"one"], [b"one", b"two"]], ids=["one item", "two items"])
def test_126_134_hop_by_hop_headers_are_dropped(
    client: Client, hostile: ServerProcess, name: str, value: str, items: list[bytes]
) -> None:
    logged = hostile.log.count("hop-by-hop")
    answer = answer_of(client, "200 OK", [(name, value), ("X-Kept", "1")], items)
    assert (answer.status, answer.body) == (200, b"".join(items))
    ours = ["chunked"] if name.lower() == "transfer-encoding" and len(items) == 2 else []
    assert answer.all(name) == ours
    assert answer.one("x-kept") == "1"
    assert answer.complete
    hostile.wait_for("hop-by-hop", count=logged + 1)
    assert client.is_usable()


def test_126_connection_close_of_the_application_ends_the_connection(client: Client) -> None:
    """The field is the server's, the wish is granted."""
    answer = answer_of(client, "200 OK", [("Connection", "close")], [b"one"])
    assert answer.all("connection") == ["close"]
    assert not client.is_usable()


@pytest.mark.parametrize("items", [[b"12345678"], [b"1234", b"5678"], [b"1234", b"5", b"", b"678"]])
def test_129_longer_body_is_cut_at_the_length(
    client: Client, hostile: ServerProcess, items: list[bytes]
) -> None:
    answer = answer_of(client, "200 OK", [("Content-Length", "5")], items)
    assert (answer.status, answer.body) == (200, b"12345")
    assert answer.complete
    hostile.wait_for("(?i)content-length|longer")
    assert not client.is_usable()


@pytest.mark.parametrize("items", [[], [b""], [b"1234"], [b"12", b"34"]])
def test_130_shorter_body_is_never_padded(client: Client, items: list[bytes]) -> None:
    """Where nothing has been sent the mistake may still become a 500."""
    answer = answer_of(client, "200 OK", [("Content-Length", "5")], items)
    assert answer.status in (200, 500)
    if answer.status == 200:
        assert not answer.complete
        assert answer.body == b"".join(items)
    assert not client.is_usable()


@pytest.mark.parametrize("items", [[], (), [b""], [b"one"], (b"one",)])
def test_131_single_item_gets_its_length(client: Client, items: Any) -> None:
    answer = answer_of(client, "200 OK", [], items)
    assert answer.one("content-length") == str(len(b"".join(items)))
    assert answer.complete
    assert client.is_usable()


def test_131_several_items_are_chunked_on_1_1(client: Client) -> None:
    answer = answer_of(client, "200 OK", [], [b"one", b"two"])
    assert (answer.framing, answer.body) == ("chunked", b"onetwo")
    assert client.is_usable()


def test_131_several_items_are_close_delimited_on_1_0(client: Client) -> None:
    literal = repr(("200 OK", [], [b"one", b"two"])).encode()
    kept = [("Connection", "keep-alive")]
    answer = client.request("/literal", method="POST", body=literal, version="1.0", headers=kept)
    assert (answer.framing, answer.body) == ("close", b"onetwo")
    assert not client.is_usable()


def test_143_empty_items_emit_no_last_chunk(client: Client) -> None:
    answer = answer_of(client, "200 OK", [], [b"", b"one", b"", b"", b"two", b""])
    assert (answer.body, answer.complete) == (b"onetwo", True)
    assert answer.raw.count(b"\r\n0\r\n\r\n") == 1
    assert client.is_usable()


@pytest.mark.parametrize(
    ("headers", "items"),
    [
        ([], [b"one"]),
        ([], [b"one", b"two"]),
        ([("Content-Length", "6")], [b"onetwo"]),
        ([("Content-Length", "6")], []),
        ([("Content-Type", "text/plain")], []),
    ],
)
def test_132_head_has_the_headers_of_get_and_no_body(
    client: Client, headers: Any, items: Any
) -> None:
    if headers and headers[0] == ("Content-Length", "6") and not items:
        full = {"content-length": "6", "transfer-encoding": None}
    else:
        get = answer_of(client, "200 OK", headers, items)
        full = {name: get.one(name) for name in ("content-length", "transfer-encoding")}
    answer = answer_of(client, "200 OK", headers, items, method="HEAD")
    assert answer.status == 200
    assert answer.raw.endswith(b"\r\n\r\n")
    # RFC 9110 section 9.3.2: what only the making of the content would tell may be left out.
    assert answer.one("content-length") in (full["content-length"], None)
    assert answer.one("transfer-encoding") in (full["transfer-encoding"], None)
    if headers:
        assert answer.one(headers[0][0]) == headers[0][1]
    assert client.is_usable()


@pytest.mark.parametrize("items", [[], [b"not allowed"], [b"not", b"allowed"]])
@pytest.mark.parametrize("length", [[], [("Content-Length", "11")], [("Content-Length", "0")]])
def test_133_204_has_no_length_and_no_body(client: Client, items: Any, length: Any) -> None:
    answer = answer_of(client, "204 No Content", length, items)
    assert answer.status == 204
    assert answer.all("content-length") == []
    assert answer.all("transfer-encoding") == []
    assert answer.raw.endswith(b"\r\n\r\n")
    assert client.is_usable()


@pytest.mark.parametrize("items", [[], [b"not allowed"], [b"not", b"allowed"]])
def test_133_304_keeps_its_length_without_a_body(client: Client, items: Any) -> None:
    answer = answer_of(
        client, "304 Not Modified", [("Content-Length", "11"), ("ETag", '"1"')], items
    )
    assert answer.status == 304
    assert answer.one("content-length") == "11"
    assert answer.all("transfer-encoding") == []
    assert answer.raw.endswith(b"\r\n\r\n")
    assert client.is_usable()


def test_133_304_without_a_length_gets_none(client: Client) -> None:
    answer = answer_of(client, "304 Not Modified", [("ETag", '"1"')], [])
    assert answer.all("content-length") == []
    assert answer.all("transfer-encoding") == []
    assert client.is_usable()


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "199 Odd"])
def test_133_final_1xx_is_refused_or_bare(client: Client, status: str) -> None:
    """An application cannot end a request with an interim status."""
    literal = repr((status, [("Content-Length", "4")], [b"body"])).encode()
    client.send("/literal", method="POST", body=literal, headers=[("Connection", "close")])
    raw = client.rest()
    assert raw.startswith(b"HTTP/1.1 ")
    head, _, body = raw.partition(b"\r\n\r\n")
    if b" 500 " not in head.split(b"\r\n")[0]:
        assert b"content-length" not in head.lower()
        assert b"transfer-encoding" not in head.lower()
        assert body == b""


@pytest.mark.parametrize(
    "items",
    ["text", b"bytes", None, 7, ["text"], [None], [7], [[b"nested"]], {"text": 1}],
    ids=repr,
)
def test_body_of_anything_but_bytes_is_a_500(client: Client, items: Any) -> None:
    assert_500(client, answer_of(client, "200 OK", [], items))


@pytest.mark.parametrize("second", ["text", None, 7])
def test_bad_item_in_midstream_aborts(client: Client, second: Any) -> None:
    answer = answer_of(client, "200 OK", [], [b"bytes", second])
    assert answer.status in (200, 500)
    assert answer.complete == (answer.status == 500)
    if answer.status == 200:
        assert answer.body == b"bytes"


def test_140_date_and_server_once(client: Client) -> None:
    answer = answer_of(client, "200 OK", [], [b"x"])
    date = answer.one("date")
    assert date is not None
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert parsedate_to_datetime(date) is not None
    server = answer.one("server")
    assert server is not None
    assert server.startswith("fastwsgi")


def test_140_date_and_server_of_the_application_do_not_double(client: Client) -> None:
    headers = [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")]
    answer = answer_of(client, "200 OK", headers, [b"x"])
    assert len(answer.all("date")) == 1
    assert len(answer.all("server")) == 1
