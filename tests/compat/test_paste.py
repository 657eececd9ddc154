"""PasteDeploy files: an application from one, and the server as its [server:main]."""

import signal
import sys
from pathlib import Path

import pytest

from fastwsgi.app.pasterapp import as_settings, serve
from fastwsgi.config import paste
from fastwsgi.errors import AppLoadError, ConfigError
from tests.conftest import Serve
from tests.support.server import ServerProcess

from .conftest import Program

FACTORY = """
def factory(global_conf, **local_conf):
    text = global_conf.get("greeting", "none") + local_conf.get("mark", "")

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text.encode()]

    return app
"""

INI = """
[app:main]
paste.app_factory = pasted:factory
mark = !

[app:other]
paste.app_factory = pasted:factory
mark = ?

[server:main]
paste.server_runner = fastwsgi.app.pasterapp:serve
host = 127.0.0.1
port = 0
proc_name = section
workers = 2
"""

LOADING = """
from paste.deploy import loadapp, loadserver

loadserver("config:site.ini", relative_to=".")(loadapp("config:site.ini", relative_to="."))
print("beyond serve")
"""


@pytest.fixture
def site(site: Path) -> Path:
    (site / "pasted.py").write_text(FACTORY)
    (site / "site.ini").write_text(INI)
    return site


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("--paste", "site.ini"), b"none!"),
        (("--paster", "site.ini#other"), b"none?"),
        (("--paste", "site.ini", "--paste-global", "greeting=a\\=b"), b"a=b!"),
        (("--paste", "site.ini", "--chdir", "/"), b"none!"),
    ],
)
def test_an_application_of_a_file(
    words: tuple[str, ...], body: bytes, serve: Serve, site: Path
) -> None:
    env = {"PYTHONPATH": f"{site}:{Path(paste.__file__).parents[2]}"}
    assert serve(*words, "-b", "127.0.0.1:0", cwd=site, env=env).get("/") == (200, body)


def test_a_file_without_the_application_it_is_asked_for(serve: Serve, site: Path) -> None:
    server = serve("--paste", "site.ini#third", cwd=site, ready=False)
    assert server.wait() == 4
    server.wait_for(r"cannot load the application '.*/site.ini#third': No section 'third'")


def test_a_file_that_is_not_there(serve: Serve, site: Path) -> None:
    server = serve("--paste", "other.ini", cwd=site, ready=False)
    assert server.wait() == 1
    server.wait_for("--paster takes a file, or FILE#NAME, and there is no file 'other.ini'")


def test_a_failing_factory_shows_its_own_error(serve: Serve, site: Path) -> None:
    (site / "pasted.py").write_text("def factory(global_conf, **local_conf):\n    {}['key']\n")
    server = serve("--paste", "site.ini", cwd=site, ready=False)
    assert server.wait() == 3
    server.wait_for("KeyError: 'key'")


def test_the_extra_is_named_where_it_is_missing(program: Program, site: Path) -> None:
    start = "from fastwsgi.__main__ import main; main()"
    server = program(start, "--paste", "site.ini", ready=False)
    assert server.wait() == 4
    server.wait_for(r"PasteDeploy is not installed; pip install 'fastwsgi\[paste\]'")


def test_pairs_for_the_file() -> None:
    assert paste.as_mapping(["a=b=c", "d\\=e=f"]) == {"a": "b=c", "d=e": "f"}
    with pytest.raises(ConfigError, match="takes KEY=VALUE, not 'a'"):
        paste.as_mapping(["a"])


def test_the_section_of_a_server(site: Path) -> None:
    (site / "gunicorn.conf.py").write_text("workers = 1\nraw_env = ['A=B']\nproc_name = 'file'\n")
    command = (sys.executable, "-c", LOADING)
    with ServerProcess.start(cwd=site, command=command) as server:
        server.wait_for("Ready: 2 workers")
        assert server.get("/") == (200, b"none!")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.out.lines == []


def test_an_unknown_name_in_a_section_ends_the_program(site: Path) -> None:
    (site / "site.ini").write_text(INI + "wrokers = 2\n")
    with ServerProcess(cwd=site, command=(sys.executable, "-c", LOADING)) as server:
        assert server.wait() == 1
        server.wait_for("Error: there is no setting 'wrokers'")


@pytest.mark.parametrize(
    ("section", "bind"),
    [
        ({"host": "h", "port": "1"}, "h:1"),
        ({"host": "::1", "port": "1"}, "[::1]:1"),
        ({"host": "unix:/a,b:1"}, "unix:/a,b:1"),
        ({"bind": "c:2", "port": "1"}, "c:2"),
    ],
)
def test_where_a_section_listens(section: dict[str, str], bind: str) -> None:
    assert as_settings(section) == {"bind": bind}


def test_pserve_finds_the_server() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    section = project.partition('[project.entry-points."paste.server_runner"]\n')[2]
    assert section.startswith(f'main = "{serve.__module__}:{serve.__name__}"\n')


def test_a_file_with_loggers_is_the_logs_configuration(site: Path) -> None:
    file = site / "site.ini"
    assert paste.defaults(f"{file}#other") == {"default_proc_name": str(file)}
    file.write_text(INI + "\n[loggers]\nkeys = root\n")
    assert paste.defaults(str(file)) == {"default_proc_name": str(file), "logconfig": str(file)}


def test_loading_by_hand_says_what_is_missing(site: Path) -> None:
    with pytest.raises(AppLoadError, match="No section 'x'"):
        paste.load(f"{site / 'site.ini'}#x", [])
