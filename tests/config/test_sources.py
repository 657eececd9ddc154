"""The sources: their order, the configuration file in all its forms, and what is warned of."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastwsgi.config.cpus import usable_cpus
from fastwsgi.config.settings import Settings
from fastwsgi.config.sources import Sources
from fastwsgi.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test starts in an empty folder and leaves the import system as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def sources(*words: str, **environ: str) -> Sources:
    return Sources.of_command_line(words, environ, "fastwsgi")


def read(*words: str, **environ: str) -> Settings:
    return sources(*words, **environ).read()


def test_every_source_is_above_the_one_before(home: Path) -> None:
    words: list[str] = []
    environ: dict[str, str] = {}
    seen = []

    def look() -> None:
        settings = read(*words, **environ)
        seen.append((settings.workers, settings.source("workers")))

    look()
    environ["WEB_CONCURRENCY"] = "2"
    look()
    (home / "gunicorn.conf.py").write_text("workers = 3")
    look()
    environ["FASTWSGI_WORKERS"] = "4"
    look()
    environ["GUNICORN_CMD_ARGS"] = "-w 5"
    look()
    environ["FASTWSGI_CMD_ARGS"] = "-w 6"
    look()
    words += ["-w", "7"]
    look()
    assert seen == [
        (1, "default"),
        (2, "environment WEB_CONCURRENCY"),
        (3, "gunicorn.conf.py, line 1"),
        (4, "environment FASTWSGI_WORKERS"),
        (5, "GUNICORN_CMD_ARGS"),
        (6, "FASTWSGI_CMD_ARGS"),
        (7, "command line"),
    ]


def test_port_binds_all_interfaces_and_yields_to_bind() -> None:
    assert read(PORT="5000").bind == ("0.0.0.0:5000",)
    assert read("-b", ":1", PORT="5000").bind == (":1",)
    assert read(PORT="").bind == ("127.0.0.1:8000",)
    with pytest.raises(ConfigError, match=r"'x' is not a port.*environment PORT"):
        read(PORT="x")
    assert read("-b", ":1", PORT="tcp://10.0.0.1:80").bind == (":1",)


def test_what_an_application_says_is_between_the_environment_and_the_file(home: Path) -> None:
    (home / "gunicorn.conf.py").write_text("timeout = 9")
    said = [("the application", {"workers": 5, "timeout": 5, "loglevel": "debug"})]
    settings = Sources(
        [("above", {"loglevel": "error"})],
        {"WEB_CONCURRENCY": "2"},
        application=said,
        default_files=["gunicorn.conf.py"],
    ).read()
    assert (settings.workers, settings.timeout, settings.loglevel) == (5, 9, "error")
    assert settings.source("workers") == "the application"


def test_sendfile_of_the_environment_is_the_default() -> None:
    assert [read(SENDFILE=word).sendfile for word in ("yes", "1", "no", "0", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not read("--no-sendfile", SENDFILE="yes").sendfile
    assert read().sendfile


def test_workers_may_be_as_many_as_cpus(home: Path) -> None:
    assert read("-w", "auto").workers == usable_cpus()
    assert read(WEB_CONCURRENCY="auto").workers == usable_cpus()


def test_web_concurrency_may_be_empty_but_not_zero() -> None:
    assert read(WEB_CONCURRENCY="").workers == 1
    with pytest.raises(ConfigError, match=r"came to 0.*environment WEB_CONCURRENCY"):
        read(WEB_CONCURRENCY="0")


def test_a_variable_of_ours_may_be_empty() -> None:
    assert read(FASTWSGI_WORKERS="").workers == 1
    with pytest.raises(ConfigError, match=r"workers takes a whole.*environment FASTWSGI_WORKERS"):
        read(FASTWSGI_WORKERS="x")


def test_our_own_default_file_goes_before_gunicorns(home: Path) -> None:
    (home / "gunicorn.conf.py").write_text("workers = 2\ntimeout = 9")
    (home / "fastwsgi.conf.py").write_text("workers = 3")
    settings = read()
    assert (settings.workers, settings.timeout) == (3, 30)


@pytest.mark.parametrize("form", ["other.py", "file:other.py", "python:other", "./other.py"])
def test_a_named_file_replaces_the_default_one(form: str, home: Path) -> None:
    (home / "gunicorn.conf.py").write_text("timeout = 9")
    (home / "other.py").write_text("workers = 1 + 1")
    settings = read("-c", form)
    assert (settings.workers, settings.timeout) == (2, 30)
    assert settings.source("workers") == f"{form}, line 1"


def test_the_file_is_named_by_the_highest_source_that_names_one(home: Path) -> None:
    for number in range(1, 5):
        (home / f"{number}.py").write_text(f"workers = {number}")
    environ = {"FASTWSGI_CONFIG": "1.py"}
    assert read(**environ).workers == 1
    environ["GUNICORN_CMD_ARGS"] = "-c 2.py"
    assert read(**environ).workers == 2
    environ["FASTWSGI_CMD_ARGS"] = "--config=3.py"
    assert read(**environ).workers == 3
    assert read("-c", "4.py", **environ).workers == 4


def test_a_file_knows_itself_and_imports_its_neighbours(home: Path) -> None:
    (home / "neighbour.py").write_text("N = 6")
    (home / "gunicorn.conf.py").write_text(
        "import os, sys\nfrom neighbour import N\nworkers = N\n"
        "assert __name__ in sys.modules\nproc_name = os.path.basename(__file__)\n"
    )
    settings = read()
    assert (settings.workers, settings.proc_name) == (6, "gunicorn.conf.py")


def test_reading_a_file_writes_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (home / "gunicorn.conf.py").write_text("workers = 2")
    read()
    assert os.listdir(home) == ["gunicorn.conf.py"]


FORMS = pytest.mark.parametrize("form", ["bad.py", "file:bad.py", "python:bad"])


@pytest.mark.parametrize(
    ("text", "message", "last"),
    [
        ("x = 1\nworkers = ", "line 2: SyntaxError: ", "SyntaxError: "),
        ("x = 1\n\nworkers = nothing", "line 3: NameError: name 'nothing'", "NameError: name"),
        ("import sys\nsys.exit('no')", "line 2: SystemExit: no", "SystemExit: no"),
        ("open('gone')", "line 1: FileNotFoundError", "FileNotFoundError: "),
        ("import os\n\nos.fspath(5)", "line 3: TypeError: expected str", "TypeError: expected str"),
    ],
)
@FORMS
def test_a_file_that_raises_is_told_with_its_own_traceback(
    form: str, text: str, message: str, last: str, home: Path
) -> None:
    (home / "bad.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read("-c", form)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"the configuration file {form!r}, {message}")
    assert lines[-1].startswith(last)
    frames = [line for line in lines if line.startswith("  File ")]
    assert len(frames) == 1
    assert "bad.py" in frames[0]
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("workers = 'many'", "the setting workers takes a whole number, not 'many'", ", line 1"),
        ("x = 1\nworker_class = object", "no worker class 'builtins.object'", ", line 2"),
        ("bind: str = 'x:y'", "bind", ", line 1"),
        ("def workers(): pass", "workers", ", line 1"),
        ("workers = 1\nworkers -= 2", "workers", ", line 2"),
        ("if True:\n    workers = -1", "workers", ", line 2"),
        ("workers = 2\nif True:\n    workers = -1", "workers", ""),
        ("for workers in [-1]:\n    pass", "workers", ", line 1"),
        ("workers = 1\ntimeout, workers = 1, -1", "workers", ", line 2"),
        ("workers = 1\nfrom sad import workers", "workers", ", line 2"),
        ("workers = -1\nx = [workers for workers in [5]]", "workers", ", line 1"),
        ("workers = 1\nif True: from sad import *", "workers", ""),
        ("bind = [\n  'a:1',\n  'b:x',\n]", "'x' is not a port", ", line 1"),
        ("globals()['workers'] = -1", "workers", ""),
    ],
)
@FORMS
def test_a_bad_value_in_a_file_is_one_line_with_the_place_where_it_is_certain(
    form: str, text: str, message: str, place: str, home: Path
) -> None:
    (home / "bad.py").write_text(text)
    (home / "sad.py").write_text("workers = -1")
    with pytest.raises(ConfigError) as caught:
        read("-c", form)
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"({form}{place})")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("form", ["gone.py", "file:gone.py", "python:gone"])
def test_a_missing_file_is_one_line(form: str) -> None:
    with pytest.raises(ConfigError, match=r"No such file|No module named 'gone'") as caught:
        read("-c", form)
    assert "\n" not in str(caught.value)


def test_names_that_are_no_settings_are_left_alone(home: Path) -> None:
    (home / "gunicorn.conf.py").write_text(
        "import syslog\nfrom os import path as reload\n"
        "def worker(): pass\n_workers = 2\ndatabase = 'x'\nconfig = 'ignored.py'\n"
    )
    made = sources()
    made.read()
    assert made.warnings == []


def test_a_misspelt_setting_is_warned_of(home: Path) -> None:
    (home / "gunicorn.conf.py").write_text("worker = 2\n")
    made = sources()
    made.read()
    assert made.warnings == [
        "gunicorn.conf.py, line 1: 'worker' is no setting; did you mean 'workers'?"
    ]


def test_the_first_positional_word_is_the_application(home: Path) -> None:
    (home / "gunicorn.conf.py").write_text("wsgi_app = 'low:app'")
    assert read().wsgi_app == "low:app"
    made = sources("main:app", "--log-level debug")
    assert made.read().wsgi_app == "main:app"
    assert len(made.warnings) == 1
    assert "'--log-level debug'" in made.warnings[0]
    assert "two words" in made.warnings[0]


def test_options_in_the_environment_are_quoted_as_in_a_shell() -> None:
    settings = read(GUNICORN_CMD_ARGS="--access-logformat '%(h)s \"%(r)s\"' -e A=b\\ c")
    assert settings.access_log_format == '%(h)s "%(r)s"'
    assert settings.raw_env == ("A=b c",)


@pytest.mark.parametrize(
    ("text", "code"), [("--nope", 2), ("--bind", 2), ("-w x", 2), ("'unclosed", 1), ("-w -1", 1)]
)
def test_bad_options_in_the_environment_name_the_variable(text: str, code: int) -> None:
    with pytest.raises(ConfigError, match="GUNICORN_CMD_ARGS") as caught:
        read(GUNICORN_CMD_ARGS=text)
    assert caught.value.exit_code == code


def test_reading_again_sees_the_file_of_now_from_any_folder(home: Path) -> None:
    (home / "sub").mkdir()
    for form in ("conf.py", "python:conf"):
        (home / "conf.py").write_text("workers = 2")
        made = sources("-c", form)
        assert made.read().workers == 2
        os.chdir(home / "sub")
        (home / "conf.py").write_text("workers = 33")
        assert made.read().workers == 33
        assert os.getcwd() == str(home)


def test_what_is_done_otherwise_is_said_and_only_once() -> None:
    found = sources("-k", "eventlet")
    for _ in range(2):
        assert found.read().execution == "gevent"
        assert found.warnings == [
            "worker_class = eventlet: there is no eventlet here, and gevent takes its place"
        ]
