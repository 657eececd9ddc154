"""--reload: a saved file, a broken file, a mended file, and no request that is lost meanwhile."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.process import reloader
from fastwsgi.process.reloader import Files, Inotify, Look
from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.models import MODELS, Model
from tests.support.server import ServerProcess

LOCAL = ("-b", "127.0.0.1:0")

APP = """
import os
from pathlib import Path
from version import VERSION

HERE = Path(__file__).parent

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        os.close(os.open(HERE / "started", os.O_WRONLY))
        os.close(os.open(HERE / "hold", os.O_RDONLY))
    if environ["PATH_INFO"] == "/late":
        import late
    start_response("200 OK", [])
    return [VERSION.encode()]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    save(tmp_path, "version.py", "VERSION = 'one'")
    return tmp_path


def save(folder: Path, name: str, text: str, moment: int | None = None) -> None:
    """As editors do it: all or nothing. `moment` is the file's date, in nanoseconds."""
    (folder / "saved").write_text(text)
    if moment is not None:
        os.utime(folder / "saved", ns=(moment, moment))
    (folder / "saved").rename(folder / name)


def reloaded(server: ServerProcess, path: Path, count: int = 1) -> None:
    """Wait until the only worker has gone, for the `count`-th time, because of `path`."""
    pid = server.workers[count - 1]
    server.wait_for(rf"\[{pid}\] \[INFO\] Worker reloading: {path} modified")
    server.wait_for(rf"\[{pid}\] \[INFO\] Worker exiting")


@pytest.mark.parametrize("engine", ["auto", "poll", "inotify"])
def test_what_is_saved_is_served(engine: str, serve: Serve, site: Path) -> None:
    words = ("app:app", *LOCAL, "--reload", "--reload-engine", engine)
    server = serve(*words, cwd=site, env={"PYTHONDONTWRITEBYTECODE": ""})
    server.wait_for(r"\[WARNING\] reload = True: for development only")
    assert server.get("/") == (200, b"one")
    # Of the same size, and in the same second: the compiled file would pass for that of both.
    moment = (site / "version.py").stat().st_mtime_ns
    save(site, "version.py", "VERSION = 'two'", moment)
    reloaded(server, site / "version.py")
    assert server.get("/") == (200, b"two")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("VERSION = (", b"SyntaxError: "),
        ("import missing", b"ModuleNotFoundError: No module named 'missing'"),
        ("1 / 0", b"ZeroDivisionError: division by zero"),
        ("raise SystemExit(5)", b"sys.exit(5)"),
        ("", b"ImportError: cannot import name 'VERSION'"),
    ],
)
def test_what_is_broken_says_so_until_it_is_mended(
    text: str, said: bytes, serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, "--reload", cwd=site)
    assert server.get("/") == (200, b"one")
    save(site, "version.py", text)
    reloaded(server, site / "version.py")
    status, body = server.get("/")
    assert status == 500
    assert said in body
    assert server.get("/") == (status, body)
    save(site, "version.py", "VERSION = 'two'")
    reloaded(server, site / "version.py", 2)
    assert server.get("/") == (200, b"two")
    assert len(server.workers) == 3


def test_a_start_with_a_broken_application_waits_for_it_to_be_mended(
    serve: Serve, site: Path
) -> None:
    (site / "app.py").unlink()
    server = serve("app:app", *LOCAL, "--reload", cwd=site)
    status, body = server.get("/")
    assert (status, b"there is no module 'app'" in body) == (500, True)
    save(site, "app.py", APP)
    reloaded(server, site / "app.py")
    assert server.get("/") == (200, b"one")


def test_what_runs_is_finished(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--reload", "--threads", "2", cwd=site)
    held = HeldRequest(server, site)
    save(site, "version.py", "VERSION = 'two'")
    server.wait_for("Booting worker", count=2)
    assert any(server.get("/") == (200, b"two") for _ in range(100))
    held.release()
    assert held.answer().endswith(b"one")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_no_request_is_lost(model: Model, serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, *model.options, "--reload", cwd=site)
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            statuses.append(server.get("/")[0])

    client = threading.Thread(target=ask)
    client.start()
    for count in range(1, 4):
        server.wait_for("Booting worker", count=count)
        served = b"one" if count == 1 else b"%d" % (count - 1)
        # Who answers so has loaded the file, and sees it change.
        while server.get("/")[1] != served or len(statuses) < 50 * count:
            assert client.is_alive()
        save(site, "version.py", f"VERSION = '{count}'")
        reloaded(server, site / "version.py", count)
    over.set()
    client.join()
    assert set(statuses) == {200}


def test_all_workers_are_replaced_by_hooks_of_their_own(serve: Serve, site: Path) -> None:
    (site / "gunicorn.conf.py").write_text(
        "workers = 3\ndef worker_int(worker): worker.log.info('interrupted %s', worker.age)"
    )
    server = serve("app:app", *LOCAL, "--reload", cwd=site)
    server.wait_for("Ready: 3 workers")
    save(site, "version.py", "VERSION = 'two'")
    for age in (1, 2, 3):
        server.wait_for(f"interrupted {age}$")
    server.wait_for("Booting worker", count=6)
    server.wait_for("Worker exiting", count=3)
    assert server.get("/") == (200, b"two")


@pytest.mark.parametrize("engine", ["poll", "inotify"])
def test_more_files_are_watched(engine: str, serve: Serve, site: Path) -> None:
    for name in ("late.py", "named.txt", "one.html"):
        (site / name).write_text("")
    server = serve(
        *("app:app", *LOCAL, "--reload", "--reload-engine", engine),
        *("--reload-extra-file", "named.txt", "--reload-extra-file", "*.html"),
        cwd=site,
    )
    for count, name in enumerate(("named.txt", "one.html"), 1):
        assert server.get("/")[0] == 200
        save(site, name, "new")
        reloaded(server, site / name, count)


def test_preloading_is_warned_of(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--reload", "--preload", cwd=site)
    server.wait_for(r"\[WARNING\] The application is preloaded: reload does not bring its changes")


def test_a_worker_that_watches_nothing_has_loaded_nothing(serve: Serve, site: Path) -> None:
    (site / "app.py").write_text(
        "import sys\ndef app(e, s):\n"
        "    s('200 OK', [])\n"
        "    return [str('fastwsgi.process.reloader' in sys.modules).encode()]\n"
    )
    assert serve("app:app", *LOCAL, cwd=site).get("/")[1] == b"False"
    assert serve("app:app", *LOCAL, "--reload", cwd=site).get("/")[1] == b"True"


# -- the parts


class Changes(list[str]):
    def __call__(self, path: str) -> None:
        self.append(path)


def test_a_file_that_is_gone_may_come_back(tmp_path: Path) -> None:
    path, changes = tmp_path / "file", Changes()
    path.write_text("a")
    look = Look([str(path), str(tmp_path / "none")], changes, since=time.time())
    path.unlink()
    look()
    assert changes == []
    path.write_text("ab")
    look()
    look()
    assert changes == [str(path)]


def test_a_file_written_while_the_application_was_loaded_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, changes = tmp_path / "written.py", Changes()
    path.write_text("a = 1")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("written")
    try:
        written = path.stat().st_mtime
        for since, found in ((written + 1, []), (written - 1, [str(path)])):
            changes.clear()
            Look(Files((), ()), changes, since)()
            assert changes == found
        # From a machine whose clock is ahead: it would have changed for ever.
        os.utime(path, (written + 1000, written + 1000))
        changes.clear()
        Look(Files((), ()), changes, since=written - 1)()
        assert changes == []
    finally:
        del sys.modules["written"]


def test_a_pattern_finds_what_is_new(tmp_path: Path) -> None:
    files, changes = Files((f"{tmp_path}/**/*.txt",), ()), Changes()
    look = Look(files, changes, since=time.time())
    (tmp_path / "sub").mkdir()
    new = tmp_path / "sub" / "new.txt"
    new.write_text("a")
    look()  # gunicorn's rule: seen from now on
    assert changes == []
    new.write_text("abc")
    look()
    assert changes == [str(new)]


@contextmanager
def hearing(files: Any, changes: Changes) -> Iterator[Inotify]:
    inotify = Inotify(files, changes)
    try:
        yield inotify
    finally:
        os.close(inotify.fd)


def test_inotify_hears_of_the_files_and_of_nothing_else(tmp_path: Path) -> None:
    for name in ("file", "other", "target"):
        (tmp_path / name).write_text("a")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link"
    link.symlink_to(tmp_path / "target")
    changes, files = Changes(), [str(tmp_path / "file"), str(link)]
    with hearing(files, changes) as inotify:
        for name, found in (("other", []), ("file", ["file"]), ("target", ["target"])):
            changes.clear()
            (tmp_path / name).write_text("ab")
            inotify.on_event(0)
            assert changes == [str(tmp_path / path) for path in found]
        changes.clear()
        files.append(str(tmp_path / "other"))
        inotify.keep_up()
        (tmp_path / "other").write_text("abc")
        inotify.on_event(0)
        assert changes == [str(tmp_path / "other")]


def test_where_inotify_is_not_to_be_had_files_are_polled(
    serve: Serve, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "app.py").write_text(f"import sys\nsys.modules['ctypes'] = None\n{APP}")
    server = serve("app:app", *LOCAL, "--reload", "--reload-engine", "inotify", cwd=site)
    server.wait_for(r"\[WARNING\] Polling, as there is no inotify: ")
    save(site, "version.py", "VERSION = 'two'")
    reloaded(server, site / "version.py")


def test_files_of_an_error_are_where_it_was_and_where_nothing_was_found() -> None:
    try:
        try:
            __import__("no_such.module")
        except ImportError:
            compile("(", "/there/broken.py", "exec")
    except SyntaxError as error:
        found = reloader.files_of(error, ["/one", "/two"])
    assert found == {
        __file__,
        "/there/broken.py",
        "/one/no_such.py",
        "/one/no_such/__init__.py",
        "/two/no_such.py",
        "/two/no_such/__init__.py",
    }


def test_extra_files_are_there_or_are_patterns(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    there, pattern = str(tmp_path / "there"), str(tmp_path / "none*")
    settings = Settings([("file", {"reload_extra_files": [there, pattern]})])
    assert settings.reload_extra_files == (there, pattern)
    with pytest.raises(ConfigError, match=r"there is no '.*/none' \(file\)$"):
        Settings([("file", {"reload_extra_files": [str(tmp_path / "none")]})])
