"""No client writes a line of its own: hostile bytes over real sockets make one line each, without a raw control."""

import base64
import json
import logging
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fastwsgi.observe.access_log import ATOMS
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import ErrorFormatter
from fastwsgi.observe.statsd import Statsd
from tests.support.loop import SteppedServer

from .conftest import Make

FORGED = b'[2026-01-01 00:00:00 +0000] [1] [CRITICAL] forged\n127.0.0.1 - - "GET /forged'
HOSTILE = [
    b"\r\n" + FORGED,
    b"\n" + FORGED,
    b"\r",
    b'" 200 0 "-" "-"\n',
    b"\x1b[2J\x1b]0;x\x07",
    b"\0",
    b"\x7f",
    bytes(range(0x20)),
    bytes(range(0x7F, 0xA0)),
    "\u2028\u2029\u202e\u0085".encode(),
    b"\\n\\x0a%0a%s%(h)s{}",
]
FIELDS = ("user-agent", "referer", "x-forwarded-for", "forwarded", "host", "x-id", "x-request-id")
EVERY_ATOM = " ".join(
    [
        *(f'"%({atom})s"' for atom in (*ATOMS, "p", "l")),
        *(f'"%({{{name}}}i)s"' for name in FIELDS),
        *(f'"%({{{name}}}e)s"' for name in ("REMOTE_USER", "wsgi.url_scheme", "HTTP_COOKIE")),
        '"%({x-echo}o)s"',
    ]
)

printable = re.compile(rb"[\x20-\x7e]*")
# What passes for a field's value: tabs, printable ASCII and bytes from 0x80.
values = st.binary(max_size=30).map(
    lambda raw: bytes(byte for byte in raw if byte == 9 or 32 <= byte != 127)
)
anything = st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=60))
forms = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """An answer with what the client sent, as far as a response may have it."""
    text = "".join(filter(str.isprintable, environ["QUERY_STRING"]))
    start_response("200 OK", [("X-Echo", text.encode("ascii", "ignore").decode())])
    return [b"ok"]


def failing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """An application that says in its exception what it was asked for."""
    try:
        raise KeyError(environ["PATH_INFO"])
    except KeyError as error:
        raise ValueError(f"no such page: {environ['PATH_INFO']}") from error


@dataclass
class Logged:
    """A server that writes both logs into files, and what they got since somebody looked."""

    server: SteppedServer
    files: dict[str, Path]

    def ask(self, request: bytes) -> dict[str, list[bytes]]:
        """The lines that one connection with these bytes left in each of the logs."""
        before = {name: path.stat().st_size for name, path in self.files.items()}
        with self.server.connection() as client:
            client.send(request)
            client.half_close()
            client.await_end()
        self.server.advance(1)
        return {name: lines_of(path, before[name]) for name, path in self.files.items()}


def lines_of(path: Path, start: int) -> list[bytes]:
    data = path.read_bytes()[start:]
    assert data == b"" or data.endswith(b"\n")
    return data.split(b"\n")[:-1]


@pytest.fixture(params=["text", "JSON", "through a handler"])
def logged(request: pytest.FixtureRequest, make: Make, tmp_path: Path) -> Iterator[Logged]:
    yield from logged_by(request.param, make, tmp_path, echo)


@pytest.fixture
def failures(make: Make, tmp_path: Path) -> Iterator[Logged]:
    yield from logged_by("text", make, tmp_path, failing)


def logged_by(way: str, make: Make, folder: Path, app: Callable[..., Any]) -> Iterator[Logged]:
    files = {name: folder / f"{name}.log" for name in ("access", "error")}
    log = make(
        accesslog=str(files["access"]), errorlog=str(files["error"]), access_log_format=EVERY_ATOM
    )
    if way == "through a handler":  # then the line is the logger's, with all atoms in a record
        log.access_log.addHandler(logging.NullHandler())
    options = {"access_log_json": way == "JSON", "access_log_format": EVERY_ATOM}
    with SteppedServer(app, folder, log=log, keepalive=0, **options) as server:
        yield Logged(server, files)


def one_clean_line(lines: list[bytes]) -> bytes:
    (line,) = lines
    assert printable.fullmatch(line)
    return line


def request(target: bytes, user: bytes, fields: dict[str, bytes]) -> bytes:
    head = b"GET %s HTTP/1.1\r\n" % target
    head += b"Authorization: Basic %s\r\n" % base64.b64encode(user + b":x")
    fields = {"host": b"a", **fields}
    return head + b"".join(b"%s: %s\r\n" % (n.encode(), v) for n, v in fields.items()) + b"\r\n"


@forms
@given(
    path=anything, user=anything, fields=st.fixed_dictionaries(dict.fromkeys(FIELDS[:4], values))
)
def test_a_request_that_is_served_is_one_line(
    logged: Logged, path: bytes, user: bytes, fields: dict[str, bytes]
) -> None:
    target = (
        b"/" + quote_from_bytes(path, safe="").encode() + b"?q=" + quote_from_bytes(user).encode()
    )
    lines = logged.ask(request(target, user, fields))
    line = one_clean_line(lines["access"])
    assert lines["error"] == []
    if line.startswith(b"{"):
        assert json.loads(line)["status"] == 200


@forms
@given(
    data=anything, where=st.sampled_from(["method", "target", "version", "name", "value", "host"])
)
def test_a_request_that_is_refused_is_one_line_in_each_log(
    logged: Logged, data: bytes, where: str
) -> None:
    assume(b"\r\n\r\n" not in data)  # else what stands before it is a whole request, and is served
    bad = b"GET / HTTP/1.1\r\nHost: a\r\nX-Id: b\r\n\r\n"
    place = {
        "method": b"GET",
        "target": b"/",
        "version": b"HTTP/1.1",
        "name": b"X-Id",
        "value": b"b",
        "host": b"a",
    }[where]
    lines = logged.ask(bad.replace(place, place + data + b"\0", 1))
    one_clean_line(lines["access"])
    assert one_clean_line(lines["error"]).startswith(b"[")


@forms
@given(raw=st.one_of(anything, st.lists(anything, max_size=4).map(b"\r\n".join)))
def test_whatever_is_sent_no_line_has_a_control_character(logged: Logged, raw: bytes) -> None:
    lines = logged.ask(raw)
    assert len(lines["access"]) == len(lines["error"]) or lines["error"] == []
    assert all(printable.fullmatch(line) for both in lines.values() for line in both)


@forms
@given(raw=anything)
def test_a_refusal_has_nothing_of_what_was_sent(failures: Logged, raw: bytes) -> None:
    with failures.server.connection() as client:
        client.send(b"GET /\0" + raw + b"-marked- HTTP/1.1\r\n\r\n")
        client.await_end()
        body = bytes(client.received)
    assert b"-marked-" not in body
    assert printable.fullmatch(body.replace(b"\r\n", b"").removesuffix(b"\n"))


@forms
@given(path=anything)
def test_an_exceptions_message_cannot_look_like_a_record(failures: Logged, path: bytes) -> None:
    target = b"/" + quote_from_bytes(path, safe="").encode()
    lines = failures.ask(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target)["error"]
    records = [line for line in lines if line.startswith(b"[")]
    (record,) = records
    assert lines[0] == record
    assert b"Error handling request GET /" in record
    assert lines[1] == b"Traceback (most recent call last):"
    text = b"\n".join(lines).decode("utf-8")
    assert text.isascii() or not re.search("[\x80-\x9f\u2028\u2029\u202a-\u202e]", text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("first\nsecond\tthird\r\x1b[0m\u2028\n[1] x")
    except ValueError as error:
        record = logging.LogRecord("n", 40, "f", 1, "said", None, (type(error), error, None))
    assert ErrorFormatter("%(message)s").format(record) == (
        "said\nValueError: first\nsecond\tthird\\r\\x1b[0m\\u2028\n [1] x"
    )


def test_packets_of_statsd_have_nothing_of_a_request(make: Make, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as catch:
        catch.bind(str(tmp_path / "s"))
        log: Logger = make(Statsd, statsd_host=f"unix://{tmp_path}/s", errorlog=None)
        with SteppedServer(echo, tmp_path, log=log, keepalive=0) as server:
            for hostile in HOSTILE:
                target = b"/" + quote_from_bytes(hostile).encode()
                with server.connection() as client:
                    client.send(
                        request(target, hostile, {"x-id": hostile.translate(None, CONTROLS)})
                    )
                    client.await_end()
                packets = [catch.recv(999) for _ in range(3)]
                assert packets[1:] == [
                    b"gunicorn.requests:1|c|@1.0",
                    b"gunicorn.request.status.200:1|c|@1.0",
                ]
                assert re.fullmatch(rb"gunicorn\.request\.duration:[\d.e-]+\|ms", packets[0])


CONTROLS = bytes(range(32)) + b"\x7f"
