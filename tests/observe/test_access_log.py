"""The access log: every atom, the escaping that keeps a line one line, formats that are refused."""

import base64
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from fastwsgi._line import escape
from fastwsgi.config.sections.logs import ACCESS_LOG_FORMAT
from fastwsgi.errors import ConfigError
from fastwsgi.observe.access_log import OnDone, compile_format, json_line
from fastwsgi.observe.finished import listener
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import ACCESS

from .conftest import Make

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
    status: str | None = "200 OK"
    headers: list[tuple[str, str]] | None = field(
        default_factory=lambda: [("X-Out", "1"), ("x-out", "2")]
    )
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
        ("", ""),
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


def test_a_client_that_was_gone_before_the_head_has_a_line() -> None:
    gone = Exchange(status=None, headers=None)
    assert compile_format("%(s)s %(s)5s %({x}o)s %(m)s")(gone) == "-     - - GET"
    assert '"status": null' in json_line()(gone)


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


def read(path: Path) -> list[str]:
    return path.read_text().splitlines()


def on_done(log: Logger, format: str = "%(s)s %(a)s", **options: Any) -> OnDone:
    found = listener(log, **{"format": format, "as_json": False, "excluded": (), **options})
    assert found is not None
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def log(make: Make, path: Path) -> Logger:
    return make(accesslog=str(path), errorlog=None, access_log_format="%(s)s %(a)s")


def test_a_logger_that_only_appends_to_our_file_is_passed_by(
    log: Logger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log.access_log, "info", None)  # calling it would fail
    on_done(log)(Exchange())
    assert read(path) == ["200 test"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", ["handler", "filter", "handler's filter", "formatter", "level"])
def test_what_somebody_changes_at_the_access_log_holds_at_once(
    log: Logger, path: Path, when: str, change: str
) -> None:
    stream, logger = StringIO(), logging.getLogger(ACCESS)
    (handler,) = logger.handlers
    changes: dict[str, tuple[Callable[[], object], list[str], list[str]]] = {
        "handler": (
            lambda: logger.addHandler(logging.StreamHandler(stream)),
            ["200 test"],
            ["200 test"],
        ),
        "filter": (lambda: logger.addFilter(lambda record: False), [], []),
        "handler's filter": (lambda: handler.addFilter(lambda record: False), [], []),
        "formatter": (
            lambda: handler.setFormatter(logging.Formatter("x %(message)s")),
            ["x 200 test"],
            [],
        ),
        "level": (lambda: logger.setLevel(logging.ERROR), [], []),
    }
    act, in_file, in_stream = changes[change]
    if when == "before":
        act()
        on_done(log)(Exchange())
    else:
        call = on_done(log)
        act()
        call(Exchange())
    assert read(path) == in_file
    assert stream.getvalue().splitlines() == in_stream


def test_a_record_has_all_atoms_for_formatters_that_want_them(log: Logger) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    log.access_log.addHandler(handler)
    on_done(log)(Exchange())
    (record,) = records
    assert record.name == "gunicorn.access"
    assert record.msg == "%(s)s %(a)s"
    atoms = record.args
    assert isinstance(atoms, dict)
    found = {name: atoms[name] for name in ("h", "r", "s", "B", "D", "{x-id}i", "{X-Out}o", "Z")}
    assert found == {
        "h": "-",  # the exchange's environ has none
        "r": "GET /a%20b?q=1 HTTP/1.1",
        "s": "200",
        "B": 12,
        "D": 2003004,
        "{x-id}i": "7",
        "{X-Out}o": "2",
        "Z": "-",
    }


def test_an_access_log_that_goes_nowhere_costs_nothing(make: Make) -> None:
    assert listener(make(), format="%(s)s", as_json=False, excluded=()) is None


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        ("/healthz", False),
        ("/healthz?full=1", False),
        ("/healthz/", True),
        ("/static/a.css", False),
        ("/static", True),
        ("/x/static/a", True),
        ("/a.b", False),
        ("/aXb", True),
    ],
)
def test_paths_that_are_excluded(log: Logger, path: Path, target: str, logged: bool) -> None:
    call = on_done(log, excluded=("/healthz", "/static/*", "/a.b"))
    call(Exchange(environ={"RAW_URI": target}))
    assert bool(read(path)) is logged


def test_nothing_is_formatted_for_a_path_that_is_excluded(log: Logger) -> None:
    class Bare:
        environ: dict[str, Any] = {"RAW_URI": "/healthz"}  # noqa: RUF012

    on_done(log, excluded=("/healthz",))(Bare())


# -- JSON


def test_a_line_of_json_has_its_fields(log: Logger, path: Path) -> None:
    environ = {
        **ENVIRON,
        "REMOTE_ADDR": "192.0.2.9",
        "HTTP_HOST": "a",
        "HTTP_X_REQUEST_ID": "r1",
        "HTTP_AUTHORIZATION": "Basic YW5uOng=",
    }
    on_done(log, as_json=True)(Exchange(environ=environ))
    (line,) = read(path)
    fields = json.loads(line)
    moment = datetime.fromisoformat(fields.pop("timestamp"))
    assert moment.tzinfo is not None
    assert abs(moment.timestamp() - time.time()) < 60
    assert fields == {
        "remote_addr": "192.0.2.9",
        "user": "ann",
        "method": "GET",
        "path": "/a%20b",
        "query": "q=1",
        "protocol": "HTTP/1.1",
        "host": "a",
        "status": 200,
        "bytes": 12,
        "duration_us": 2003004,
        "queued_ms": 5,
        "referer": "http://there/",
        "user_agent": "test",
        "request_id": "r1",
        "pid": os.getpid(),
    }


def test_a_refused_request_is_json_too(log: Logger, path: Path) -> None:
    on_done(log, as_json=True)(Exchange(environ={}, status="400 Bad Request"))
    fields = json.loads(read(path)[0])
    assert (fields["status"], fields["method"], fields["path"]) == (400, None, None)


@pytest.mark.parametrize("text", ['"\\', "\x00\x1f\x7f\x85\xe9", "\u2028\ud7ff", "\U0001f600x"])
def test_hostile_text_is_json_too(log: Logger, path: Path, text: str) -> None:
    on_done(log, as_json=True)(Exchange(environ={**ENVIRON, "HTTP_USER_AGENT": text}))
    (line,) = read(path)
    assert line.isascii()
    assert json.loads(line)["user_agent"] == text


def test_json_goes_through_handlers_that_somebody_added(log: Logger) -> None:
    stream = StringIO()
    log.access_log.addHandler(logging.StreamHandler(stream))
    on_done(log, as_json=True)(Exchange(environ={**ENVIRON, "HTTP_USER_AGENT": "100%s"}))
    assert json.loads(stream.getvalue())["user_agent"] == "100%s"


# -- logger classes


def test_a_logger_class_with_atoms_of_its_own_is_asked(make: Make, path: Path) -> None:
    class Mine(Logger):
        def atoms(
            self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
        ) -> dict[str, Any]:
            atoms = super().atoms(resp, req, environ, request_time)
            return {**atoms, "mine": f"{req.method} {resp.status_code} {request_time}"}

    log = make(Mine, accesslog=str(path), access_log_format="%(mine)s %(s)s")
    on_done(log)(Exchange())
    assert read(path) == ["GET 200 0:00:02.003004 200"]


def test_a_logger_class_with_access_of_its_own_is_called_for_every_request(make: Make) -> None:
    seen: list[tuple[object, ...]] = []

    class Mine(Logger):
        def access(
            self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
        ) -> None:
            seen.append((resp.status, resp.sent, req.path, environ["PATH_INFO"], request_time))

    on_done(make(Mine))(Exchange())
    assert seen == [("200 OK", 12, "/a%20b", "/a b", timedelta(seconds=2, microseconds=3004))]


@pytest.mark.parametrize("format", [ACCESS_LOG_FORMAT, "%(D)s %(L)s %(M)s %(T)s %(b)s %(p)s"])
@pytest.mark.parametrize("status", ["200 OK", None])
@pytest.mark.parametrize(
    "environ", [ENVIRON, {"HTTP_AUTHORIZATION": "Basic YW5uOng=", **ENVIRON}, {}]
)
def test_both_ways_write_the_same_line(
    make: Make, path: Path, format: str, environ: dict[str, Any], status: str | None
) -> None:
    log = make(accesslog=str(path), access_log_format=format)
    sent = 12 if status else 0
    environ = {**environ, "REMOTE_ADDR": "192.0.2.1"}
    exchange = Exchange(environ=environ, status=status, body_bytes=sent)
    call = on_done(log, format)
    call(exchange)
    log.access_log.addFilter(lambda record: True)
    call(exchange)
    short, long = (re.sub(r"\[.*?\]", "", line) for line in read(path))
    assert short == long
