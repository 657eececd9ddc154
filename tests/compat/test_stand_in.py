"""gunicorn's names where gunicorn is not installed."""

import subprocess
import sys
from pathlib import Path

from fastwsgi.gunicorn import stand_in

from .conftest import Program

Lonely = tuple[tuple[str, ...], dict[str, str]]

ALIASES = """
import gunicorn
from gunicorn.app.base import Application, BaseApplication
from gunicorn.app.wsgiapp import WSGIApplication, run
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.errors import AppImportError, ConfigError, HaltServer
from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response
from gunicorn.util import import_app
from gunicorn.workers import SUPPORTED_WORKERS
from gunicorn.workers.base import Worker
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker
import gunicorn.glogging
import fastwsgi.app.base
import fastwsgi.process.worker

assert BaseApplication is fastwsgi.app.base.BaseApplication
assert Worker is SyncWorker is ThreadWorker is GeventWorker is fastwsgi.process.worker.Worker
assert gunicorn.version_info >= (20, 0, 0)
"""


def run(lonely: Lonely, site: Path, source: str) -> "subprocess.CompletedProcess[str]":
    command, environ = lonely
    return subprocess.run(
        [*command, "-c", source], cwd=site, env=environ, text=True, capture_output=True, check=False
    )


def test_a_configuration_file_and_an_application_find_them(program: Program, site: Path) -> None:
    (site / "gunicorn.conf.py").write_text(ALIASES + "bind = '127.0.0.1:0'\n")
    (site / "other.py").write_text(ALIASES + "from app import app\n")
    start = "from fastwsgi.__main__ import main; main()"
    with program(start, "other:app") as server:
        assert server.get("/") == (200, b"hello")


def test_a_hook_that_is_named_finds_them(program: Program, site: Path) -> None:
    (site / "hooks.py").write_text(ALIASES + "def ready(server):\n    server.log.info('hooked')\n")
    (site / "gunicorn.conf.py").write_text("bind = '127.0.0.1:0'\nwhen_ready = 'hooks.ready'\n")
    with program("from fastwsgi.__main__ import main; main()", "app:app") as server:
        server.wait_for("hooked")


def test_they_are_there_only_while_something_is_loaded(lonely: Lonely, site: Path) -> None:
    (site / "plain.py").write_text("app = print")
    source = (
        "import sys\nbefore = list(sys.meta_path)\n"
        "from fastwsgi.config.application import load\n"
        "load('plain:app')\n"
        "assert sys.meta_path == before\n"
        "assert 'gunicorn' not in sys.modules\n"
        "import gunicorn\n"
    )
    result = run(lonely, site, source)
    assert "No module named 'gunicorn'" in result.stderr.splitlines()[-1]


def test_what_was_found_finds_the_rest_later(lonely: Lonely, site: Path) -> None:
    (site / "asking.py").write_text("import gunicorn\ndef app():\n    import gunicorn.errors\n")
    source = "from fastwsgi.config.application import load\nload('asking:app')()\n"
    assert run(lonely, site, source).stderr == ""


def test_what_is_missing_says_so(lonely: Lonely, site: Path) -> None:
    (site / "asking.py").write_text("import gunicorn.dirty\n")
    source = "from fastwsgi.config.application import load\nload('asking:app')\n"
    assert "No module named 'gunicorn.dirty'" in run(lonely, site, source).stderr


def test_an_installed_gunicorn_is_left_alone() -> None:
    with stand_in.standing_in():
        import gunicorn.workers.sync  # noqa: PLC0415
    assert "site-packages" in (gunicorn.__file__ or "")
    assert Path(gunicorn.__file__ or "").parent != Path(stand_in.__file__).parent
    assert sys.modules["gunicorn"] is gunicorn
