"""`fastwsgi.run`: the server inside a program."""

import os
import signal
import sys
from pathlib import Path

import pytest

import fastwsgi
from fastwsgi.config.settings import Settings
from fastwsgi.config.sources import Sources
from fastwsgi.errors import ConfigError
from fastwsgi.process.arbiter import Arbiter
from fastwsgi.process.program import run_application
from tests.support.server import ServerProcess, environment

PROGRAM = """
import signal, sys
import fastwsgi
from app import app

handler = signal.getsignal(signal.SIGTERM)
try:
    fastwsgi.run({arguments})
finally:
    # Of the program alone: a worker must not come through here.
    print("finally", signal.getsignal(signal.SIGTERM) == handler, flush=True)
"""


def start(site: Path, arguments: str, **env: str) -> ServerProcess:
    (site / "program.py").write_text(PROGRAM.format(arguments=arguments))
    return ServerProcess.start(
        ["program.py"], cwd=site, env=env, command=[sys.executable, "-W", "error"]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        'app, "127.0.0.1", 0',
        'wsgi_app=app, host="127.0.0.1", port=0, loglevel=6, workers=1',
        'app, bind="127.0.0.1:0"',
        '"app:app", bind=["127.0.0.1:0"], timeout=5',
    ],
)
def test_it_serves_until_told_to_stop_and_returns(arguments: str, site: Path) -> None:
    with start(site, arguments) as server:
        assert server.get("/") == (200, b"hello")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.out.lines == ["finally True"]


def test_several_workers_and_a_reload_in_a_program(site: Path) -> None:
    with start(site, 'app, "127.0.0.1", 0, workers=2') as server:
        server.wait_for("Booting worker", count=2)
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: 2 new workers are ready")
        assert server.get("/") == (200, b"hello")
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert server.out.lines == ["finally True"]


def test_what_a_program_printed_is_printed_once(site: Path) -> None:
    (site / "program.py").write_text(
        "import fastwsgi\nfrom app import app\nprint('begin')\n"
        "fastwsgi.run(app, '127.0.0.1', 0, workers=2)\nprint('end')\n"
    )
    buffered = {"PYTHONUNBUFFERED": ""}
    command = [sys.executable, "program.py"]
    with ServerProcess.start(cwd=site, env=buffered, command=command) as server:
        server.wait_for("Booting worker", count=2)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.out.lines == ["begin", "end"]


def test_the_command_line_of_the_program_is_its_own(site: Path) -> None:
    (site / "program.py").write_text(PROGRAM.format(arguments='app, "127.0.0.1", 0'))
    command = [sys.executable, "program.py", "--workers", "none"]
    with ServerProcess.start(cwd=site, command=command) as server:
        assert server.get("/") == (200, b"hello")


def test_a_configuration_file_is_read_where_it_is_named(site: Path) -> None:
    (site / "gunicorn.conf.py").write_text("assert False")
    (site / "c.py").write_text("bind = '127.0.0.1:0'\nraw_env = ['A=c']\nloglevel = 'debug'")
    with start(site, 'app, config="c.py"') as server:
        assert server.get("/env?A") == (200, b"c")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every server that would have been started."""
    seen: list[Settings] = []
    monkeypatch.setattr(Arbiter, "run", lambda arbiter: seen.append(arbiter.settings))
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    return seen


def app(environ: object, start_response: object) -> list[bytes]:
    return []


@pytest.mark.parametrize(
    ("words", "bind"),
    [
        ({}, "0.0.0.0:5000"),
        ({"port": 80}, "0.0.0.0:80"),
        ({"port": 0}, "0.0.0.0:0"),
        ({"host": "127.0.0.1"}, "127.0.0.1:5000"),
        ({"host": "::1", "port": 1}, "[::1]:1"),
        ({"bind": "unix:/x"}, "unix:/x"),
    ],
)
def test_where_it_listens(words: dict[str, object], bind: str, started: list[Settings]) -> None:
    fastwsgi.run(app, **words)  # type: ignore[arg-type]
    assert [settings.bind for settings in started] == [(bind,)]


def test_port_of_the_environment_replaces_the_default_only(
    started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "77")
    fastwsgi.run(app)
    fastwsgi.run(app, port=88)
    assert [settings.bind for settings in started] == [("0.0.0.0:77",), ("0.0.0.0:88",)]


@pytest.mark.parametrize(("number", "level"), [(0, "critical"), (3, "error"), (8, "debug")])
def test_levels_by_number(number: int, level: str, started: list[Settings]) -> None:
    fastwsgi.run(app, loglevel=number)
    assert started[0].loglevel == level


@pytest.mark.parametrize(
    ("served", "words", "message"),
    [
        (None, {}, "serves a WSGI application, not None"),
        (app, {"worker": 2}, "no setting 'worker'; did you mean 'workers'?"),
        (app, {"workers": 0}, r"workers takes 1 or more.*\(fastwsgi.run\)"),
        (app, {"port": "x"}, "'x' is not a port"),
    ],
)
def test_what_cannot_be_is_an_error_of_one_line(
    served: object, words: dict[str, object], message: str, started: list[Settings]
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_application(served, words)
    assert started == []


def test_a_start_that_fails_raises_in_the_program(site: Path) -> None:
    text = PROGRAM.format(arguments='"gone:app", "127.0.0.1", 0')
    (site / "program.py").write_text(text.replace("\nfinally:", "\nexcept Exception as e:\n"
        "    print(type(e).__name__, e.exit_code, flush=True)\nfinally:"))  # fmt: skip
    command = [sys.executable, "program.py"]
    with ServerProcess(cwd=site, command=command) as server:
        assert server.wait() == 0
        assert server.out.lines == ["AppLoadError 4", "finally True"]


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = (
        "import sys; before = set(sys.modules); import fastwsgi;"
        "print(sorted(set(sys.modules) - before - {'__future__'}))"
    )
    with ServerProcess(command=[sys.executable, "-c", code]) as process:
        assert process.wait() == 0
        assert process.out.lines == ["['fastwsgi']"]


def test_sources_of_a_program_look_for_no_default_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gunicorn.conf.py").write_text("workers = 9")
    assert Sources([], {}).read().workers == 1
