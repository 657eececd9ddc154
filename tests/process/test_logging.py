"""Logs of a running server: what is captured, what is reopened, what a reload changes, what is wrong."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.server import PATIENCE, ServerProcess, wait_gone

LOCAL = ("-b", "127.0.0.1:0")
BUFFERED = {"PYTHONUNBUFFERED": ""}  # as Python is where nobody asks for something else

APP = """
import logging, os, sys

own = logging.getLogger("own")
own.propagate = False
own.addHandler(logging.FileHandler("own.log"))

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/print":
        print("printed", environ["QUERY_STRING"])
        print("to stderr", environ["QUERY_STRING"], file=sys.stderr)
        os.write(1, b"written\\n")
    elif path == "/own":
        own.warning("own %s", environ["QUERY_STRING"])
    elif path == "/errors":
        environ["wsgi.errors"].write("to wsgi.errors\\n")
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def read(site: Path, name: str) -> str:
    return (site / name).read_text()


@contextmanager
def silent(site: Path, *words: str) -> Iterator[ServerProcess]:
    """A server that says nothing on its streams; it listens on a socket that was there before."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        fd = sock.fileno()
        with ServerProcess(
            ["app:app", "-b", f"fd://{fd}", *words], site, BUFFERED, pass_fds=[fd]
        ) as server:
            server.host, server.port = sock.getsockname()
            yield server


def end(server: ServerProcess) -> None:
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def reopen(server: ServerProcess) -> None:
    """USR1 to the worker, before whatever it is asked next, and to the master."""
    os.kill(int(server.get("/")[1]), signal.SIGUSR1)
    server.signal(signal.SIGUSR1)


def test_captured_output_is_in_the_error_log_and_follows_it(site: Path) -> None:
    with silent(site, "--capture-output", "--error-logfile", "error.log") as server:
        server.get("/print?1")
        server.get("/errors")
        (site / "error.log").rename(site / "error.log.1")
        reopen(server)
        server.get("/print?2")
        end(server)
        assert (server.out.text(), server.log.text()) == ("", "")
    old, new = read(site, "error.log.1"), read(site, "error.log")
    for number, text in ((1, old), (2, new)):
        assert f"printed {number}\n" in text
        assert f"to stderr {number}\n" in text
        assert "written\n" in text
    assert "to wsgi.errors\n" in old
    assert "Shutting down: Master" in new


def test_a_reload_that_captures_no_more_gives_the_streams_back(site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text("capture_output = True\nerrorlog = 'error.log'\n")
    with silent(site) as server:
        worker = server.get("/print?1")[1]
        conf.write_text("")
        server.signal(signal.SIGHUP)
        server.log.wait_for("Reloaded: 1 new")
        wait_gone(int(worker))
        server.get("/print?2")
        end(server)
        assert "printed 2" in server.out.text()
        assert "to stderr 2" in server.log.text()
    assert "printed 1\n" in read(site, "error.log")
    assert "2" not in re.findall(r"printed (\d)", read(site, "error.log"))


def test_what_is_printed_goes_out_line_by_line(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-R", cwd=site, env=BUFFERED)
    server.get("/print?1")
    server.out.wait_for("printed 1")


def test_json_lines_and_paths_without_one(serve: Serve, site: Path) -> None:
    words = ("--access-logfile", "-", "--access-log-json", "--access-log-exclude", "/health*")
    server = serve("app:app", *LOCAL, *words, cwd=site)
    for path in ("/healthz?a", "/x%20y?z=1", "/health/deep"):
        server.get(path, {"User-Agent": 'a "b"'})
    end(server)
    (line,) = map(json.loads, server.out)
    assert (line["path"], line["query"], line["user_agent"]) == ("/x%20y", "z=1", 'a "b"')
    assert (line["status"], line["bytes"], line["pid"]) == (200, line["bytes"], server.worker(0))


CONFIGURED = """
logconfig_dict = {{
    "loggers": {{"gunicorn.access": {{"level": "INFO", "handlers": ["{handler}"]}}}},
    "handlers": {{
        "file": {{"class": "logging.FileHandler", "filename": "{name}"}},
        "console": {{"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    }},
}}
"""


def test_files_of_other_loggers_are_reopened_too(serve: Serve, site: Path) -> None:
    (site / "gunicorn.conf.py").write_text(CONFIGURED.format(handler="file", name="access.log"))
    server = serve("app:app", *LOCAL, cwd=site)
    server.get("/own?1")
    for name in ("own.log", "access.log"):
        (site / name).rename(site / f"{name}.1")
    reopen(server)
    server.get("/own?2")
    end(server)
    assert [read(site, name) for name in ("own.log.1", "own.log")] == ["own 1\n", "own 2\n"]
    assert [
        len(re.findall("/own", read(site, name))) for name in ("access.log.1", "access.log")
    ] == [
        1,
        1,
    ]


def test_a_reload_with_a_broken_configuration_changes_nothing(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text(CONFIGURED.format(handler="file", name="one.log"))
    server = serve("app:app", *LOCAL, cwd=site)
    first = int(server.get("/first")[1])
    conf.write_text(CONFIGURED.format(handler="missing", name="two.log"))
    server.signal(signal.SIGHUP)
    server.wait_for("Not reloaded, going on as before: logconfig_dict: .*'gunicorn.access'")
    os.kill(first, signal.SIGKILL)  # its successor has what the master has now
    wait_gone(first)
    second = server.get("/second")[1]
    conf.write_text(CONFIGURED.format(handler="file", name="three.log"))
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: 1 new")
    wait_gone(int(second))
    third = server.get("/third")[1]
    conf.write_text("accesslog = 'four.log'")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: 1 new", count=2)
    wait_gone(int(third))
    server.get("/fourth")
    end(server)
    paths = [
        re.findall(r"GET (\S+)", read(site, f"{name}.log")) for name in ("one", "three", "four")
    ]
    assert paths == [["/first", "/second"], ["/third"], ["/fourth"]]


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("logger_class = 'nowhere.Logger'", "logger_class 'nowhere.Logger' cannot be loaded"),
        ("logger_class = 'logging.root'", "logger_class 'logging.root' is no class"),
        ("logger_class = 'nothing'", "logger_class 'nothing' cannot be loaded"),
        ("class A:\n def __init__(s, c): 1/0\nlogger_class = A", "ZeroDivisionError"),
        ("logconfig = 'none.ini'", "there is no file 'none.ini'"),
        ("logconfig_dict = {'version': 7}", "logconfig_dict: Unsupported version: 7"),
        ("errorlog = 'none/error.log'", "the log file 'none/error.log': No such file"),
        ("syslog, syslog_addr = True, 'tcp://127.0.0.1:1'", "syslog at "),
        ("syslog_addr = 'localhost:514'", "write udp://HOST:PORT"),
        ("syslog_facility = 'none'", "takes one of kern, user"),
        ("statsd_host = 'a:b'", "write HOST:PORT"),
    ],
)
def test_what_is_wrong_with_the_logs_ends_the_start(
    conf: str, said: str, serve: Serve, site: Path
) -> None:
    (site / "gunicorn.conf.py").write_text(conf)
    server = serve("app:app", *LOCAL, cwd=site, ready=False)
    assert server.wait() == 1
    (line,) = server.log
    assert line.startswith("fastwsgi: error: ")
    assert said in line


@pytest.mark.parametrize("host", ["127.0.0.1:1", "unix://none", "nowhere.invalid"])
def test_metrics_that_nobody_takes_cost_no_answer(host: str, serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--statsd-host", host, cwd=site)
    for _ in range(20):
        assert server.get("/")[0] == 200
    end(server)
    assert server.log.count("Traceback") == 0


def test_a_listener_of_metrics_may_come_later(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--statsd-host", f"unix://{site}/late", cwd=site)
    server.get("/")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.bind(str(site / "late"))
        late.settimeout(PATIENCE)
        server.get("/")
        assert late.recv(100).startswith(b"gunicorn.request.duration:")


SUBCLASS = """
from fastwsgi.observe.logger import Logger

class Mine(Logger):
    def reopen_files(self):
        super().reopen_files()
        self.info("reopened")
    def access(self, resp, req, environ, request_time):
        self.warning("%s %s", req.path, resp.status)

logger_class = Mine
def when_ready(server):
    server.log.info("hook %s", type(server.log).__name__)
def post_worker_init(worker):
    worker.log.info("hook %s", type(worker.log).__name__)
"""


def test_a_logger_class_is_what_hooks_see_and_signals_reach(serve: Serve, site: Path) -> None:
    (site / "gunicorn.conf.py").write_text(SUBCLASS)
    server = serve("app:app", *LOCAL, cwd=site)
    server.get("/asked?x")
    server.wait_for(r"\[WARNING\] /asked 200 OK")
    assert server.log.count("hook Mine") == 2
    server.signal(signal.SIGUSR1)
    server.wait_for("reopened", count=2)


def test_requests_that_are_refused_are_in_the_access_log(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--access-logfile", "-", cwd=site)
    with server.connect() as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400")
    server.out.wait_for(r'^127\.0\.0\.1 - - \[.*\] "-" 400 \d+ "-" "-"$')
