"""The logger by itself: its names, its settings, its configurations of logging, its destinations."""

import logging
import socket
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.observe.destinations import parse_statsd_address, parse_syslog_address
from fastwsgi.observe.logger import Logger, SafeAtoms
from fastwsgi.observe.logs import ACCESS, ALIASES, ERROR
from fastwsgi.observe.statsd import Statsd

from .conftest import Make

INI = """
[loggers]
keys = root, x
[handlers]
keys = file
[formatters]
keys = x
[logger_root]
handlers =
[logger_x]
handlers = file
qualname = {name}
[handler_file]
class = FileHandler
args = ("%(here)s/x.log",)
formatter = x
[formatter_x]
format = %(name)s %(message)s
"""


@pytest.mark.parametrize("alias", ALIASES)
def test_what_is_logged_by_our_names_goes_to_gunicorns(
    alias: str, make: Make, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    make(**{"errorlog" if "error" in alias else "accesslog": str(path), "loglevel": "info"})
    log = logging.getLogger(alias)
    assert not log.isEnabledFor(logging.DEBUG)
    log.info("said")
    assert path.read_text().endswith("said\n")


@pytest.mark.parametrize("name", [ERROR, "fastwsgi.error"])
@pytest.mark.parametrize("form", ["ini", "json", "dict"])
def test_a_configuration_may_name_the_loggers_either_way(
    form: str, name: str, make: Make, tmp_path: Path
) -> None:
    ini, json = tmp_path / "x.ini", tmp_path / "x.json"
    ini.write_text(INI.format(name=name))
    handler = (
        f'{{"class": "logging.FileHandler", "formatter": "x", "filename": "{tmp_path}/x.log"}}'
    )
    text = (
        f'{{"root": {{"handlers": []}}, "loggers": {{"{name}": {{"handlers": ["x"]}}}},'
        f' "handlers": {{"x": {handler}}}, "formatters": {{"x": {{"format": "%(name)s %(message)s"}}}}}}'
    )
    json.write_text(text)
    given: dict[str, dict[str, object]] = {
        "ini": {"logconfig": str(ini)},
        "json": {"logconfig_json": str(json), "logconfig": "not.read"},
        "dict": {"logconfig_dict": eval(text), "logconfig_json": "not.read"},
    }
    make(**given[form], errorlog=str(tmp_path / "error.log")).warning("said")
    assert (tmp_path / "x.log").read_text() == f"{ERROR} said\n"
    assert (tmp_path / "error.log").read_text() == ""


def test_setting_up_again_leaves_nothing_behind(make: Make, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    log = make(errorlog=str(first), loglevel="debug")
    stream = StringIO()
    own = logging.StreamHandler(stream)
    log.error_log.addHandler(own)
    log.debug("one")
    log.setup(Settings([("test", {"errorlog": str(second), "syslog": True})]))
    log.info("two")
    log.debug("unheard")
    log.setup(Settings([("test", {"errorlog": None})]))
    log.info("three")
    assert [first.read_text()[-4:], second.read_text()[-4:]] == ["one\n", "two\n"]
    assert stream.getvalue().split() == ["one", "two", "three"]
    assert log.error_log.handlers == [own]


@pytest.mark.parametrize(
    ("name", "value"),
    [("h", "a"), ("{host}i", "x"), ("{HOST}i", "x"), ("Z", "-"), ("{none}e", "-"), ("n", 5)],
)
def test_atoms_are_found_as_gunicorn_finds_them(name: str, value: object) -> None:
    assert SafeAtoms({"h": "a", "{host}i": "x", "n": 5})[name] == value


def test_atoms_are_escaped() -> None:
    assert SafeAtoms({"a": 'x"\n\u2028\\'})["a"] == r"x\"\x0a\u2028\\"


def test_a_subclass_may_change_the_forms_and_the_handlers(make: Make, tmp_path: Path) -> None:
    class Mine(Logger):
        error_fmt = "first %(message)s"

        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self._set_handler(
                self.access_log, str(tmp_path / "access"), logging.Formatter("A %(message)s")
            )
            logging.getLogger(ACCESS).info("x")

    log = make(Mine, errorlog=str(tmp_path / "error"))
    log.log("warning", "%s", "said")
    log.log(logging.INFO, "too")
    assert (tmp_path / "error").read_text() == "first said\nfirst too\n"
    assert (tmp_path / "access").read_text() == "A x\n"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("udp://localhost:514", (socket.SOCK_DGRAM, ("localhost", 514))),
        ("udp://", (socket.SOCK_DGRAM, ("localhost", 514))),
        ("tcp://LOG:1", (socket.SOCK_STREAM, ("log", 1))),
        ("udp://[::1]:7", (socket.SOCK_DGRAM, ("::1", 7))),
        ("udp://[::1]", (socket.SOCK_DGRAM, ("::1", 514))),
        ("unix:///dev/log", (None, "/dev/log")),
        ("unix:///dev/log#dgram", (socket.SOCK_DGRAM, "/dev/log")),
        ("unix:///dev/log#stream", (None, "/dev/log")),
    ],
)
def test_addresses_of_syslog(given: str, found: object) -> None:
    assert parse_syslog_address(given) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("localhost:1", ("localhost", 1)),
        ("STATSD", ("statsd", 8125)),
        (":9", ("0.0.0.0", 9)),
        ("[::1]:2", ("::1", 2)),
        ("unix:///run/s", "/run/s"),
        ("unix:s", "s"),
        ("unix:5", ("unix", 5)),
    ],
)
def test_addresses_of_statsd(given: str, found: object) -> None:
    assert parse_statsd_address(given) == found


@pytest.mark.parametrize(
    "given", ["", "localhost", "udp://a:b", "udp://a:70000", "unix://", "unix:///x#y"]
)
def test_what_is_no_address_of_syslog(given: str) -> None:
    with pytest.raises(ConfigError, match="syslog address"):
        parse_syslog_address(given)


@pytest.mark.parametrize("given", ["a:b", "a:1:2", "a:70000", "unix://", "x y"])
def test_what_is_no_address_of_statsd(given: str) -> None:
    with pytest.raises(ConfigError, match="statsd address"):
        parse_statsd_address(given)


def test_what_is_measured_has_the_prefix(make: Make, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as catch:
        catch.bind(str(tmp_path / "s"))
        log = make(Statsd, statsd_host=f"unix://{tmp_path}/s", statsd_prefix="pp", errorlog=None)
        log.decrement("n", 3)
        log.warning("w")
        assert [catch.recv(99), catch.recv(99)] == [
            b"pp.n:-3|c|@1.0",
            b"pp.gunicorn.log.warning:1|c|@1.0",
        ]


def test_metrics_are_dropped_where_they_would_have_to_wait(make: Make, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as catch:
        catch.bind(str(tmp_path / "s"))
        log = make(Statsd, statsd_host=f"unix://{tmp_path}/s", errorlog=None)
        sending = threading.Thread(
            # More than a queue of the kernel's takes.
            target=lambda: [log.gauge("n", number) for number in range(10_000)],
            daemon=True,
        )
        sending.start()
        sending.join(10)
        assert not sending.is_alive()
        assert catch.recv(99) == b"n:0|g"
