"""What both servers write and send of the same requests: access lines, error lines, syslog, metrics.

The two run side by side, are asked the same, and end. Times, process ids, ports and durations are
made equal; what else differs stands in the tables, with the reason.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import COMMAND, PATIENCE, ServerProcess

APP = """
import logging

def app(environ, start_response):
    path, body = environ["PATH_INFO"], b"hello"
    headers = [("Content-Type", "text/plain"), ("X-Out", 'say "x"')]
    if path == "/boom":
        raise ValueError("the application's own words")
    if path == "/proxied":
        environ["REMOTE_ADDR"] = "192.0.2.7"
        environ["mine"] = 'a "b"'
    if path == "/log":
        log = logging.getLogger("app")
        log.handlers = logging.getLogger("gunicorn.error").handlers
        log.setLevel(logging.getLogger("gunicorn.error").level)
        log.info("said by the application")
    if path == "/stream":
        start_response("200 OK", headers)
        return iter([b"hel", b"", b"lo!"])
    if path == "/none":
        start_response("304 Not Modified", headers)
        return []
    status = "404 Not Found" if path == "/missing" else "200 OK"
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]
"""

ATOMS = (
    "%(h)s|%(l)s|%(u)s|%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s|%(f)s|%(a)s"
    "|%({host}i)s|%({X-Id}i)s|%({none}i)s|%({x-out}o)s|%({Content-Type}o)s|%({none}o)s"
    "|%({REQUEST_METHOD}e)s|%({wsgi.url_scheme}e)s|%({mine}e)s|%({none}e)s|%(Z)s|%({a}z)s|100%%"
    "|%(s)6s|%(B)05d"
)
ALL_ATOMS = ATOMS + "|%(t)s|%(T)s|%(M)s|%(D)s|%(L)s|%(p)s"


def request(line: str, *fields: str, body: str = "") -> bytes:
    head = [line, "Host: a", "Connection: close", *fields]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1")


REQUESTS: Final = (
    request("GET / HTTP/1.1"),
    request("GET /a%20b?q=1&x='y' HTTP/1.1", "User-Agent: test/1", "Referer: http://there/"),
    request("GET / HTTP/1.0"),
    request("GET /missing? HTTP/1.1", "User-Agent:", "X-Id: 7"),
    request("HEAD / HTTP/1.1"),
    request("POST /form HTTP/1.1", "Content-Length: 5", "Content-Type: text/x", body="12345"),
    request("GET / HTTP/1.1", "Authorization: Basic YW5uOnNlY3JldA=="),
    request("GET / HTTP/1.1", "Authorization: Basic ???"),
    request("GET / HTTP/1.1", "Authorization: Bearer abc"),
    request("GET /proxied HTTP/1.1"),
    request("GET /stream HTTP/1.1"),
    request("GET /none HTTP/1.1"),
    request("GET / HTTP/1.1", 'User-Agent: a "quoted" one'),
)

# A request, what of gunicorn's line is otherwise in ours, and why.
DIFFERENCES: Final = (
    (
        request("GET / HTTP/1.1", r"User-Agent: back\slash"),
        (r"back\slash", r"back\\slash"),
        "what is escaped can be told from what was there before",
    ),
    (
        request("GET /%C3%85 HTTP/1.1"),
        ("/\xc3\x85|", r"/\xc3\x85|"),
        "as the next",
    ),
    (
        request("GET / HTTP/1.1", "User-Agent: \xe9\x85"),
        ("\xe9\x85", r"\xe9\x85"),
        "a terminal or a reader of lines may take such characters for something else",
    ),
    (
        request("GET / HTTP/1.1", "X-Id: 1", "X-Id: 2"),
        ("|2|", "|1,2|"),
        "an environ has repeated fields joined (RFC 9110 5.3), and both say something",
    ),
)

TIME = re.compile(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]")
DURATIONS = re.compile(r"\|TIME\|\d+\|\d+\|\d+\|\d+\.\d{6}\|<PID>$")


class Server:
    """One of the two, in a folder of its own, on a socket that was there before it."""

    def __init__(self, name: str, folder: Path, words: Sequence[str], conf: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "app.py").write_text(APP)
        if name == "gunicorn":  # it would open one in the home folder
            conf += "\ncontrol_socket_disable = True\n"
        (self.folder / "conf.py").write_text(conf)
        self.socket = socket.create_server(("127.0.0.1", 0))
        fd = self.socket.fileno()
        self.process = ServerProcess(
            ["app:app", "-c", "conf.py", "-b", f"fd://{fd}", *words],
            self.folder,
            {"PYTHONDONTWRITEBYTECODE": "1"},
            command=COMMAND if name == "fastwsgi" else (sys.executable, "-m", "gunicorn"),
            pass_fds=[fd],
        )

    def ask(self, what: bytes) -> bytes:
        """Send a request and return all that comes."""
        with socket.create_connection(self.socket.getsockname(), PATIENCE) as client:
            client.sendall(what)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def log(self, name: str) -> list[str]:
        """The lines of a file, or of a stream: out or err."""
        streams = {"out": self.process.out, "err": self.process.log}
        lines: Iterable[str] = (
            streams[name]
            if name in streams
            # Not splitlines, which takes other characters for the end of a line, too.
            else (self.folder / name).read_text("utf-8").rstrip("\n").split("\n")
        )
        return [equal(line) for line in lines]

    def close(self) -> None:
        self.process.close()
        self.socket.close()


def equal(line: str) -> str:
    """A line with what is never the same made equal."""
    line = TIME.sub("TIME", line)
    line = re.sub(r"^\[[-\d]+ [:\d]+ [+-]\d{4}\] \[\d+\]", "[TIME] [PID]", line)
    line = re.sub(r"<\d+>$", "<PID>", line)
    line = re.sub(r"(pid: ?|\()\d+\)?", r"\1PID", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
    return re.sub(r"Starting (gunicorn|fastwsgi) \S+", "Starting SERVER", line)


def run(
    folder: Path, words: Sequence[str], conf: str = "", requests: Sequence[bytes] = REQUESTS
) -> tuple[Server, Server]:
    """Have both answer the requests and end; gunicorn is the first."""
    servers = Server("gunicorn", folder, words, conf), Server("fastwsgi", folder, words, conf)
    for server in servers:
        run_one(server, requests)
    return servers


def run_one(server: Server, requests: Sequence[bytes]) -> None:
    try:
        for what in requests:
            assert server.ask(what), server.process.log.text()
        server.process.signal(signal.SIGTERM)
        assert server.process.wait() == 0, server.process.log.text()
    finally:
        server.close()


FILES = ("--access-logfile", "access.log", "--error-logfile", "error.log")


def test_lines_of_the_access_log_are_the_same(tmp_path: Path) -> None:
    requests = [*REQUESTS, *(difference[0] for difference in DIFFERENCES)]
    servers = run(tmp_path, [*FILES, "--access-logformat", ALL_ATOMS], requests=requests)
    theirs, ours = (server.log("access.log") for server in servers)
    assert len(theirs) == len(requests)
    for line in (*theirs, *ours):
        assert DURATIONS.search(line), line
    for number, (_, (before, after), _) in enumerate(DIFFERENCES, len(REQUESTS)):
        assert before in theirs[number]
        theirs[number] = theirs[number].replace(before, after)
    assert without_durations(ours) == without_durations(theirs)


def test_the_default_format_is_the_same_on_standard_output(tmp_path: Path) -> None:
    theirs, ours = (server.log("out") for server in run(tmp_path, ["--access-logfile", "-"]))
    assert len(theirs) == len(REQUESTS)
    assert ours == theirs


def without_durations(lines: Sequence[str]) -> list[str]:
    return [DURATIONS.sub("", line) for line in lines]


# -- the error log

BOOM = request("GET /boom?x=1 HTTP/1.1")

# What gunicorn does not say.
OURS_ALONE = re.compile(r"Ready: 1 workers$|logconfig_json: there is no file")


def words_of(lines: Iterable[str]) -> list[str]:
    """The lines that say what happened, less their tracebacks."""
    return [line for line in lines if line.startswith("[") and not OURS_ALONE.search(line)]


def test_lines_of_the_error_log_are_the_same(tmp_path: Path) -> None:
    theirs, ours = (server.log("error.log") for server in run(tmp_path, FILES, requests=[BOOM]))
    assert len(words_of(theirs)) == 8
    assert words_of(ours) == words_of(theirs)
    for lines in (theirs, ours):
        assert lines[
            lines.index("[TIME] [PID] [ERROR] Error handling request GET /boom?x=1") + 1
        ] == ("Traceback (most recent call last):")
        assert "ValueError: the application's own words" in lines


def test_a_request_that_is_refused_is_a_warning(tmp_path: Path) -> None:
    refused = [b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", b"NONSENSE\r\n\r\n"]
    theirs, ours = (
        [line for line in server.log("error.log") if "WARNING" in line]
        for server in run(tmp_path, FILES, requests=refused)
    )
    for lines in (theirs, ours):
        assert len(lines) == len(refused)
        assert all(
            line.startswith("[TIME] [PID] [WARNING] Invalid request from ip=127.0.0.1: ")
            for line in lines
        )


# -- configurations of logging

LOGCONFIG = """
[loggers]
keys = root, error, access
[handlers]
keys = file, console
[formatters]
keys = named
[logger_root]
level = INFO
handlers = console
[logger_error]
level = INFO
handlers = file
propagate = 0
qualname = gunicorn.error
[logger_access]
level = INFO
handlers = file
propagate = 1
qualname = gunicorn.access
[handler_file]
class = FileHandler
formatter = named
args = ("both.log",)
[handler_console]
class = StreamHandler
formatter = named
args = (sys.stdout,)
[formatter_named]
format = %(name)s %(levelname)s %(message)s
"""

DICT = """{
    "version": 1,
    "disable_existing_loggers": %s,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": ["file"], "propagate": 0},
        "gunicorn.access": {"level": "INFO", "handlers": ["file"], "propagate": 1}
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "named", "stream": "ext://sys.stdout"},
        "file": {"class": "logging.FileHandler", "formatter": "named", "filename": "both.log"}
    },
    "formatters": {"named": {"format": "%%(name)s %%(levelname)s %%(message)s"}}
}"""

FORMATTER = """
import logging
class Atoms(logging.Formatter):
    def format(self, record):
        atoms = record.args
        return "|".join(str(atoms[name]) for name in "hmUqHsBf") + atoms["{host}i"] + record.name
logconfig_dict = {
    "loggers": {"gunicorn.access": {"level": "INFO", "handlers": ["atoms"], "propagate": False}},
    "handlers": {
        "atoms": {"class": "logging.FileHandler", "formatter": "atoms", "filename": "both.log"},
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "formatters": {"atoms": {"()": Atoms}},
}
"""

SUBCLASS = """
import logging
from gunicorn import glogging
class Mine(glogging.Logger):
    error_fmt = "MINE %(message)s"
    def setup(self, cfg):
        super().setup(cfg)
        self._set_handler(self.access_log, "both.log", logging.Formatter("mine %(message)s"))
        logging.getLogger("gunicorn.access").addFilter(lambda record: record.args["U"] != "/missing")
    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["x"] = "%s %s %s" % (req.path, req.query, resp.status_code)
        return atoms
    def now(self):
        return "now"
logger_class = Mine
access_log_format = "%(t)s %(x)s %(U)s %({x-id}i)s"
accesslog = "-"
"""

OVERRIDDEN = """
from gunicorn.glogging import Logger
class Mine(Logger):
    def access(self, resp, req, environ, request_time):
        self.info("%s %s %s %s", req.method, req.uri, resp.status, request_time.seconds)
logger_class = Mine
"""

IDIOMS = """
import logging
def post_fork(server, worker):
    logging.getLogger("gunicorn.access").addFilter(lambda record: "/missing" not in record.getMessage())
def post_worker_init(worker):
    (handler,) = logging.getLogger("gunicorn.access").handlers
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
accesslog = "both.log"
"""

# What a configuration file says, the words beside it, and the logs to compare.
CONFIGURATIONS: Final = {
    "ini": ("", ["--log-config", "log.ini"], ["both.log", "out"]),
    "json": ("", ["--log-config-json", "log.json"], ["both.log", "out"]),
    "dict": (f"logconfig_dict = {DICT % False}", [], ["both.log", "out"]),
    "dict that disables": (f"logconfig_dict = {DICT % True}", FILES, ["both.log", "out"]),
    "dict with defaults": ("logconfig_dict = {'root': {'handlers': []}}", [], ["out", "err"]),
    "json that is not there": ("", ["--log-config-json", "none.json"], ["err"]),
    "formatter of atoms": (FORMATTER, [], ["both.log", "out"]),
    "subclass": (SUBCLASS, [], ["both.log", "out"]),
    "subclass with access": (OVERRIDDEN, [], ["err", "out"]),
    "idioms": (IDIOMS, [], ["both.log", "err"]),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_of_logging_has_the_same_effect(name: str, tmp_path: Path) -> None:
    conf, words, logs = CONFIGURATIONS[name]
    (tmp_path / "log.ini").write_text(LOGCONFIG)
    (tmp_path / "log.json").write_text((DICT % "false").replace("%%", "%"))
    given = [str(tmp_path / word) if word.startswith("log.") else word for word in words]
    asked = [*REQUESTS[:4], request("GET /log HTTP/1.1")]
    servers = run(tmp_path, given, conf.replace("%%", "%"), asked)
    for log in logs:
        theirs, ours = (
            [line for line in server.log(log) if not OURS_ALONE.search(line)] for server in servers
        )
        assert ours == theirs, log
    assert any(server.log(log) for server in servers for log in logs)


# -- syslog and metrics


class Catch:
    """A datagram socket, `at` its address. It is read at once: a unix one has room for ten packets."""

    def __init__(self, folder: Path, family: int) -> None:
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_UNIX:
            self.at = f"unix://{folder}/catch"
            self._socket.bind(str(folder / "catch"))
        else:
            self._socket.bind(("127.0.0.1", 0))
            self.at = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._packets: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while packet := self._socket.recv(65536):
            self._packets.append(packet.decode())

    def end(self) -> list[str]:
        """What has arrived."""
        with socket.socket(self._socket.family, socket.SOCK_DGRAM) as other:
            other.sendto(b"", self._socket.getsockname())
        self._thread.join(PATIENCE)
        self._socket.close()
        return self._packets


def caught(
    folder: Path,
    family: int,
    words: Sequence[str],
    requests: Sequence[bytes],
    conf: str = "",
) -> list[list[str]]:
    """The packets of both, who are told by CATCH in the words where to send them."""
    packets = []
    for name in ("gunicorn", "fastwsgi"):
        (folder / name).mkdir()
        catch = Catch(folder / name, family)
        given = [word.replace("CATCH", catch.at) for word in words]
        try:
            run_one(Server(name, folder / name, given, conf), requests)
        finally:
            packets.append(catch.end())
    return packets


ALL_KINDS = """
def on_starting(server):
    server.log.info("", extra={"metric": "mine.gauge", "value": 5, "mtype": "gauge"})
    server.log.info("", extra={"metric": "mine.counter", "value": 2, "mtype": "counter"})
    server.log.info("x", extra={"metric": "mine.histogram", "value": 0, "mtype": "histogram"})
    server.log.debug("x", extra={"metric": "mine.timer", "value": 1.5, "mtype": "timer"})
    server.log.info("", extra={"metric": "mine.none", "value": None, "mtype": "timer"})
    server.log.info("", extra={"metric": "mine.odd", "value": 1, "mtype": "odd"})
    server.log.warning("w")
    server.log.error("e")
    server.log.critical("c")
"""
# With those of the start and of two requests no more than wait at a unix socket whose reader gets no processor.
SOME_KINDS = "\n".join(ALL_KINDS.split("\n")[:4])


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (socket.AF_INET, ["--statsd-host", "CATCH"]),
        (socket.AF_INET, ["--statsd-host", "CATCH", "--statsd-prefix", "shop"]),
        (socket.AF_INET, ["--statsd-host", "CATCH", "--statsd-prefix", "shop.x..", *FILES]),
        (socket.AF_UNIX, ["--statsd-host", "CATCH", "--dogstatsd-tags", "env:test,shop"]),
        (socket.AF_INET, ["--statsd-host", "CATCH", "--log-level", "critical", "-w", "2"]),
    ],
    ids=["plain", "prefix", "dotted prefix", "tags", "quiet"],
)
def test_packets_of_metrics_are_the_same(family: int, words: Sequence[str], tmp_path: Path) -> None:
    conf, asked = ALL_KINDS, [*REQUESTS[:4], *REQUESTS[-3:], BOOM]
    if family == socket.AF_UNIX:
        conf, asked = SOME_KINDS, REQUESTS[:2]
    theirs, ours = caught(tmp_path, family, words, asked, conf)
    for packets in (theirs, ours):
        durations = [packet for packet in packets if "request.duration" in packet]
        assert len(durations) == len(asked)
        assert all(re.search(r"request\.duration:\d+\.\d+\|ms", packet) for packet in durations)
    for sender in (of_master, of_worker):
        assert sender(ours) == sender(theirs)


def of_master(packets: Sequence[str]) -> list[str]:
    """The number of workers, which is said while they boot or serve already."""
    return [packet for packet in packets if "gunicorn.workers" in packet]


def of_worker(packets: Sequence[str]) -> list[str]:
    """The others, with durations made equal."""
    others = [packet for packet in packets if "gunicorn.workers" not in packet]
    return [re.sub(r"(duration:)[\d.]+", r"\1N", packet) for packet in others]


def test_the_backlog_is_measured(tmp_path: Path) -> None:
    words = ["--statsd-host", "CATCH", "--enable-backlog-metric"]
    for packets in caught(tmp_path, socket.AF_INET, words, REQUESTS[:1]):
        assert any(re.fullmatch(r"gunicorn\.backlog:\d+\|h", packet) for packet in packets)


@pytest.mark.parametrize(
    "words",
    [
        ["--log-syslog-prefix", "shop", "--log-syslog-facility", "local3"],
        ["--disable-redirect-access-to-syslog", *FILES],
        ["-n", "a:b"],
    ],
    ids=["prefix and facility", "without access", "by the name"],
)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["udp", "unix"])
def test_packets_to_syslog_are_the_same(family: int, words: Sequence[str], tmp_path: Path) -> None:
    to = "CATCH" if family == socket.AF_UNIX else "udp://CATCH"
    given = ["--log-syslog", "--log-syslog-to", to, *words]
    theirs, ours = caught(tmp_path, family, given, [*REQUESTS, BOOM])
    assert theirs
    assert any("access" in packet for packet in theirs) is ("--disable" not in "".join(words))
    assert records(ours) == records(theirs)


def records(packets: Sequence[str]) -> list[str]:
    """What is in the packets, less tracebacks and what only we say."""
    lines = [equal(re.sub(r"\[\d+\]", "[PID]", packet.split("\n")[0])) for packet in packets]
    return [line for line in lines if not re.search(r"Ready: 1 workers|GET /boom", line)]
