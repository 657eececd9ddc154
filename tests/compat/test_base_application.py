"""The server in a program, by gunicorn's classes."""

import signal
from pathlib import Path

import pytest

from fastwsgi.app.config import Config
from fastwsgi.errors import ConfigError

from .conftest import Program

# As gunicorn's documentation has it, but for the import.
DOCUMENTED = """
from fastwsgi.app.base import BaseApplication
from app import app

class StandaloneApplication(BaseApplication):
    def __init__(self, app, options=None):
        self.options = options or {}
        self.application = app
        super().__init__()

    def load_config(self):
        config = {
            key: value
            for key, value in self.options.items()
            if key in self.cfg.settings and value is not None
        }
        for key, value in config.items():
            self.cfg.set(key.lower(), value)

    def load(self):
        return self.application

if __name__ == "__main__":
    StandaloneApplication(app, OPTIONS).run()
    print("beyond run")
"""

APPLICATION = """
from pathlib import Path
from fastwsgi.app.base import Application
from app import app

class Site(Application):
    def init(self, parser, opts, args):
        print(opts.workers, opts.bind, args, flush=True)
        return eval(Path("said").read_text())

    def load(self):
        return app

Site().run()
"""


def documented(**options: object) -> str:
    return DOCUMENTED.replace("OPTIONS", repr({"bind": "127.0.0.1:0", **options}))


def test_the_documented_application_serves_and_ends_its_program(program: Program) -> None:
    with program(documented(workers=2, no_such=1, loglevel=None)) as server:
        server.wait_for("Booting worker", count=2)
        assert server.get("/") == (200, b"hello")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.out.lines == []


def test_what_the_program_says_goes_above_the_environment(program: Program) -> None:
    environ = {"PORT": "1", "WEB_CONCURRENCY": "3", "FASTWSGI_PROC_NAME": "x"}
    with program(documented(workers=1), **environ) as server:
        server.wait_for("Ready: 1 workers")


def test_a_reload_asks_the_program_again(program: Program, site: Path) -> None:
    source = documented().replace(
        "config = {", "self.cfg.set('workers', int(open('count').read()))\n        config = {"
    )
    (site / "count").write_text("1")
    with program(source) as server:
        server.wait_for("Ready: 1 workers")
        (site / "count").write_text("3")
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: 3 new workers are ready")
        (site / "count").write_text("many")
        server.signal(signal.SIGHUP)
        server.wait_for("Not reloaded, going on as before: the program failed")
        server.wait_for("ValueError: invalid literal")
        assert server.get("/") == (200, b"hello")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": "many"}, r"Error: the setting workers takes a whole number.*\(the program\)"),
        ({"bind": "127.0.0.1:x"}, "Error: bind address .* is not a port"),
    ],
)
def test_what_is_wrong_ends_the_program(
    program: Program, options: dict[str, object], message: str
) -> None:
    server = program(documented(**options), ready=False)
    assert server.wait() == 1
    server.wait_for(message)


def test_an_application_that_does_not_load_fails_to_boot(program: Program) -> None:
    server = program(documented().replace("return self.application", "return {}['x']"), ready=False)
    assert server.wait() == 3
    server.wait_for("KeyError: 'x'")


def test_init_stands_below_the_file_and_the_command_line(program: Program, site: Path) -> None:
    (site / "said").write_text("{'workers': 3, 'BIND': '127.0.0.1:0', 'proc_name': 'init'}")
    (site / "gunicorn.conf.py").write_text("proc_name = 'file'\nworkers = 2\n")
    with program(APPLICATION, "-w", "1", "word") as server:
        server.wait_for("Ready: 1 workers")
        assert server.out.wait_for("None").string == "1 None ['word']"
    server = program(APPLICATION, "--print-config", ready=False)
    assert server.wait() == 0
    assert server.out.wait_for("^proc_name").string.endswith("# gunicorn.conf.py, line 1")
    assert server.out.wait_for("^bind").string.endswith("# the program")


def test_a_wrong_command_line_ends_with_2(program: Program, site: Path) -> None:
    (site / "said").write_text("None")
    server = program(APPLICATION, "--wrokers", "1", ready=False)
    assert server.wait() == 2
    server.wait_for("Error: there is no option --wrokers, did you mean --workers?")


WSGI = """
import sys
from fastwsgi.app import wsgiapp

class Named(wsgiapp.WSGIApplication):
    def __init__(self, uri):
        self.app_uri = uri
        super().__init__()

    def load_config(self):
        self.cfg.set("bind", "127.0.0.1:0")

Named("app:app").run() if len(sys.argv) == 1 else wsgiapp.run()
"""


@pytest.mark.parametrize("words", [(), ("app:app", "-b", "127.0.0.1:0")])
def test_an_application_by_its_name(program: Program, words: tuple[str, ...]) -> None:
    with program(WSGI, *words) as server:
        assert server.get("/") == (200, b"hello")


def test_no_application_at_all(program: Program) -> None:
    server = program(WSGI, "-w", "1", ready=False)
    assert server.wait() == 1
    server.wait_for("Error: no application is named")


def test_the_settings_in_the_making(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "WEB_CONCURRENCY", "FASTWSGI_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--name 'a b'")
    cfg = Config(prog="p")
    assert cfg.workers == 1
    cfg.set("workers", "4")
    assert cfg.workers == 4
    assert cfg.execution == "inline"
    assert cfg.get_cmd_args_from_env() == ["--name", "a b"]
    assert "workers" in cfg.settings
    assert "= 4" in next(line for line in str(cfg).splitlines() if line.startswith("workers"))
    with pytest.raises(ConfigError, match="takes 1 or more"):
        cfg.set("workers", 0)
    with pytest.raises(AttributeError, match="no setting 'wrokers'"):
        cfg.set("wrokers", 1)
    with pytest.raises(AttributeError, match="wrokers"):
        _ = cfg.wrokers
