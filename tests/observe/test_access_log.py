"""The access log: every atom, the escaping that keeps a line one line, formats that are refused."""

import base64
import logging
import os
import re
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest

from fastwsgi.config.sections.logs import ACCESS_LOG_FORMAT
from fastwsgi.errors import ConfigError
from fastwsgi.observe.access_log import AccessLog, compile_format, escape
from fastwsgi.observe.logs import ACCESS, Logs

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/a%20b?q=1",
    "PATH_INFO": "/a b",
    "QUERY_STRING": "q=1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "CONTENT_TYPE": "text/x",
    "HTTP_REFERER": "http://there/",
    "HTTP_USER_AGENT": "test",
    "HTTP_X_ID": "7",
    "wsgi.url_scheme": "http",
}


@dataclass
class Exchange:
    environ: dict[str, Any] = field(default_factory=lambda: dict(ENVIRON))
    status: str = "200 OK"
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("X-Out", "1"), ("x-out", "2")])
    body_bytes: int = 12
    duration: float = 2.003004
    waited: int = 5
    remote_addr: str = "192.0.2.1"


@pytest.mark.parametrize(
    ("format", "line"),
    [
        ("%(h)s", "192.0.2.1"),
        ("%(l)s", "-"),
        ("%(u)s", "-"),
        ("%(r)s", "GET /a%20b?q=1 HTTP/1.1"),
        ("%(m)s %(U)s %(q)s %(H)s", "GET /a b q=1 HTTP/1.1"),
        ("%(s)s", "200"),
        ("%(b)s %(B)s %(B)05d", "12 12 00012"),
        ("%(f)s %(a)s", "http://there/ test"),
        ("%(T)s %(M)s %(D)s %(L)s", "2 2003 2003004 2.003004"),
        ("%(Q)s", "5"),
        ("%({x-id}i)s %({X-ID}i)s %({content-type}i)s %({none}i)s", "7 7 text/x -"),
        ("%({X-Out}o)s %({none}o)s", "2 -"),
        ("%({wsgi.url_scheme}e)s %({request_method}e)s %({none}e)s", "http GET -"),
        ("100%% %(s)6s|%(s)-6s|", "100%    200|200   |"),
        ("%(Z)s %({x}z)s", "- -"),
        ("no atom", "no atom"),
    ],
)
def test_every_atom(format: str, line: str) -> None:
    assert compile_format(format)(Exchange()) == line


def test_the_process_is_named() -> None:
    assert compile_format("%(p)s")(Exchange()) == f"<{os.getpid()}>"


def test_time_is_written_as_apache_does() -> None:
    line = compile_format("%(t)s")(Exchange())
    assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", line)


def test_the_default_format_is_gunicorns() -> None:
    line = compile_format(ACCESS_LOG_FORMAT)(Exchange())
    time = compile_format("%(t)s")(Exchange())
    rest = '"GET /a%20b?q=1 HTTP/1.1" 200 12 "http://there/" "test"'
    # The second may have changed between the two.
    assert line[: len("192.0.2.1 - - ")] + line[-len(rest) :] == f"192.0.2.1 - - {rest}"
    assert len(line) == len(f"192.0.2.1 - - {time} {rest}")


@pytest.mark.parametrize(
    ("credentials", "user"),
    [
        ("Basic " + base64.b64encode(b"ann:secret").decode(), "ann"),
        ("basic " + base64.b64encode(b'ann" x\n:').decode(), r"ann\" x\x0a"),
        ("Basic " + base64.b64encode(b":only").decode(), "-"),
        ("Basic ???", "-"),
        ("Basic é", "-"),
        ("Bearer abc", "-"),
        ("", "-"),
    ],
)
def test_the_user_of_basic_credentials(credentials: str, user: str) -> None:
    exchange = Exchange(environ={**ENVIRON, "HTTP_AUTHORIZATION": credentials})
    assert compile_format("%(u)s")(exchange) == user


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a"b', r"a\"b"),
        ("a\\b", r"a\\b"),
        ("a\r\nb", r"a\x0d\x0ab"),
        ("\x00\x1f\x7f\x85", r"\x00\x1f\x7f\x85"),
        ("é", r"\xe9"),
        ("\u2028", r"\u2028"),
        ("\U0001f600", r"\U0001f600"),
        ("plain ~!", "plain ~!"),
        ("", "-"),
    ],
)
def test_what_could_end_a_line_or_a_quotation_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize(
    "atom", ["r", "m", "U", "q", "H", "s", "f", "a", "{x-id}i", "{x-out}o", "{mine}e"]
)
def test_no_atom_lets_a_line_be_forged(atom: str) -> None:
    poison = 'x"\n127.0.0.1 - - "GET /forged\u2028'
    environ = dict.fromkeys([*ENVIRON, "mine"], poison)
    exchange = Exchange(environ=environ, status="2\n0 ", headers=[("X-Out", poison)])
    line = compile_format(f"%({atom})s")(exchange)
    assert len(line.splitlines()) == 1
    assert not re.search(r'(?<!\\)"', line)


def test_a_refused_request_has_a_line_too() -> None:
    refused = Exchange(environ={}, status="400 Bad Request", headers=[], duration=0.0)
    line = compile_format(ACCESS_LOG_FORMAT)(refused)
    assert re.fullmatch(r'192\.0\.2\.1 - - \[.*\] "-" 400 12 "-" "-"', line)


@pytest.mark.parametrize("format", ["%(h", "%h", "%", "%(h)", "%(s)d", "%(h)y", "%(h)s %"])
def test_a_malformed_format_is_refused(format: str) -> None:
    with pytest.raises(ConfigError, match="access_log_format") as caught:
        compile_format(format)
    assert "\n" not in str(caught.value)


def test_only_the_atoms_of_the_format_are_computed() -> None:
    class OnlyStatus:
        status = "204 No Content"
        environ: dict[str, Any] = {}  # noqa: RUF012
        headers: list[tuple[str, str]] = []  # noqa: RUF012
        duration = 0.0
        waited = 0
        remote_addr = ""

        @property
        def body_bytes(self) -> int:
            raise AssertionError("computed although the format does not name it")

    assert compile_format("%(s)s")(OnlyStatus()) == "204"


def test_a_line_goes_to_a_stream() -> None:
    stream = StringIO()
    AccessLog("%(s)s", stream)(Exchange())
    assert stream.getvalue() == "200\n"


def test_a_line_goes_to_a_logger_with_handlers_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("test.access")
    with caplog.at_level(logging.INFO, "test.access"):
        AccessLog("%(s)s %(a)s", logger)(Exchange(environ={"HTTP_USER_AGENT": "100%s"}))
    assert caplog.messages == ["200 100%s"]


def test_a_logger_that_only_appends_to_our_file_is_passed_by(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logs = Logs("error.log", "info", "access.log")
    logs.install()
    logger = logging.getLogger(ACCESS)
    monkeypatch.setattr(logger, "info", None)  # calling it would fail
    AccessLog("%(s)s", logger)(Exchange())
    logs.close()
    assert (tmp_path / "access.log").read_text() == "200\n"


def test_a_logger_somebody_added_to_is_not_passed_by(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logs = Logs("error.log", "info", "access.log")
    logs.install()
    logger, stream = logging.getLogger(ACCESS), StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    AccessLog("%(s)s", logger)(Exchange())
    logs.close()
    assert (stream.getvalue(), (tmp_path / "access.log").read_text()) == ("200\n", "200\n")
