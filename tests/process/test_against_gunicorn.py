"""Signals and exit codes, live, of this server and of gunicorn, which is the reference.

Every test runs against both. Where this server means to do otherwise, `DIFFERENCES` or the row of the
exit code says what and why. A server is shared by the tests that leave it as they found it, in whatever order they run.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.process.conftest import APP
from tests.support.background import BackgroundServer
from tests.support.server import COMMAND, PATIENCE, ServerProcess, environment, wait_gone

LOCAL = ("-b", "127.0.0.1:0")
SCRIPT = Path(sys.executable).with_name("gunicorn")
QUIET = {"PYTHONDONTWRITEBYTECODE": "1"}
PLAIN = "control_socket_disable = True\n"  # gunicorn would open one in the home folder

# What happens → (gunicorn, this server).
DIFFERENCES = {
    "HUP with a broken application": ("ends with 3", "serves on"),
    "an application that calls os._exit(3)": ("ends with 3", "serves on"),
}


class Kind(NamedTuple):
    """A server under comparison; `column` is its place in the tables."""

    column: int
    command: tuple[str, ...]


GUNICORN = Kind(0, (sys.executable, str(SCRIPT)))
OURS = Kind(1, COMMAND)

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="gunicorn is not installed")


@pytest.fixture(scope="module", params=[GUNICORN, OURS], ids=["gunicorn", "fastwsgi"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def furnish(folder: Path) -> Path:
    """Put into `folder` what the servers of these tests are started with."""
    (folder / "app.py").write_text(APP)
    (folder / "bad.py").write_text("raise RuntimeError('no')\n")
    (folder / "ends.py").write_text("import os\nos._exit(3)\n")
    (folder / "conf.py").write_text("raw_env = ['A=1']\n" + PLAIN)
    (folder / "live.pid").write_text(f"{os.getpid()}\n")
    (folder / "stale.pid").write_text("999999999\n")
    (folder / "gunicorn.conf.py").write_text(PLAIN)
    return folder


@contextmanager
def started(kind: Kind, folder: Path) -> Iterator[ServerProcess]:
    """A server with one worker that has answered once."""
    words = [
        "app:app",
        *LOCAL,
        "-c",
        "conf.py",
        "-p",
        "stale.pid",
        "--access-logfile",
        "access.log",
    ]
    with ServerProcess.start(words, folder, QUIET, command=kind.command) as server:
        server.wait_for("Booting worker")
        server.get("/")
        yield server


@pytest.fixture(scope="module")
def folder(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def shared(kind: Kind, folder: Path) -> Iterator[ServerProcess]:
    with started(kind, folder) as server:
        yield server


@contextmanager
def says(server: ServerProcess, *patterns: str) -> Iterator[None]:
    """What is done inside has each of the lines written once more."""
    before = [server.log.count(pattern) for pattern in patterns]
    yield
    for pattern, count in zip(patterns, before, strict=True):
        server.wait_for(pattern, count=count + 1)


def eventually(server: ServerProcess, path: str, body: bytes) -> None:
    """Ask until the answer is `body`, as between two generations both answer."""
    deadline = time.monotonic() + PATIENCE
    while server.get(path) != (200, body):
        assert time.monotonic() < deadline, f"{path} never became {body!r}"


def worker_of(server: ServerProcess) -> int:
    return int(server.get("/pid")[1])


def test_the_pidfile_is_there(shared: ServerProcess, folder: Path) -> None:
    assert (folder / "stale.pid").read_text() == f"{shared.pid}\n"


def test_ttin_adds_and_ttou_takes_away_down_to_one(shared: ServerProcess) -> None:
    with says(shared, "Handling signal: ttin", "Booting worker"):
        shared.signal(signal.SIGTTIN)
    with says(shared, "Handling signal: ttou", "Worker exiting"):
        shared.signal(signal.SIGTTOU)
    left = shared.log.count("Worker exiting")
    with says(shared, "Handling signal: ttou"):
        shared.signal(signal.SIGTTOU)
    worker = worker_of(shared)
    with says(shared, "Handling signal: usr1"):  # handled after the other one
        shared.signal(signal.SIGUSR1)
    assert worker_of(shared) == worker
    assert shared.log.count("Worker exiting") == left


def test_usr1_reopens_the_logs(shared: ServerProcess, folder: Path) -> None:
    log = folder / "access.log"
    shared.get("/before")
    deadline = time.monotonic() + PATIENCE
    while "/before" not in log.read_text():  # it is answered first
        assert time.monotonic() < deadline
    log.rename(folder / "access.log.1")
    with says(shared, "Handling signal: usr1"):
        shared.signal(signal.SIGUSR1)
    deadline = time.monotonic() + PATIENCE
    text = ""
    while "/after" not in text:
        assert time.monotonic() < deadline
        shared.get("/after")
        with suppress(FileNotFoundError):
            text = log.read_text()
    assert "/before" in (folder / "access.log.1").read_text()
    assert "/before" not in text


def test_hup_reads_everything_anew(shared: ServerProcess, folder: Path) -> None:
    eventually(shared, "/env?A", b"1")
    (folder / "conf.py").write_text("raw_env = ['A=2']\n" + PLAIN)
    (folder / "app.py").write_text(APP.replace('"1"', '"22"'))
    with says(
        shared, "Handling signal: hup", "Hang up: Master", "Booting worker", "Worker exiting"
    ):
        shared.signal(signal.SIGHUP)
    eventually(shared, "/version", b"22")
    eventually(shared, "/env?A", b"2")


def test_winch_means_nothing_in_the_foreground(shared: ServerProcess) -> None:
    worker = worker_of(shared)
    with says(shared, "Handling signal: winch", "Handling signal: usr1"):
        shared.signal(signal.SIGWINCH)
        shared.wait_for("Handling signal: winch")
        shared.signal(signal.SIGUSR1)
    assert worker_of(shared) == worker


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT])
def test_a_worker_that_goes_is_replaced(number: signal.Signals, shared: ServerProcess) -> None:
    worker = worker_of(shared)
    said = ["was sent SIGKILL! Perhaps out of memory"] if number == signal.SIGKILL else []
    with says(shared, "Booting worker", *said):
        os.kill(worker, number)
    assert worker_of(shared) != worker


def upgrade(server: ServerProcess, folder: Path) -> int:
    """The pid of the new master, when it has a worker."""
    with says(server, "Handling signal: usr2", "Starting ", "Listening at: ", "Booting worker"):
        server.signal(signal.SIGUSR2)
    return int((folder / "stale.pid.2").read_text())


def test_usr2_and_back(shared: ServerProcess, folder: Path) -> None:
    new = upgrade(shared, folder)
    assert new != shared.pid
    assert (folder / "stale.pid").read_text() == f"{shared.pid}\n"
    with says(shared, r"\[WARNING\].*USR2"):
        shared.signal(signal.SIGUSR2)
    with says(shared, rf"\[{new}\] \[WARNING\].*USR2"):
        os.kill(new, signal.SIGUSR2)
    with says(shared, r"Shutting down: Master\.2"):
        os.kill(new, signal.SIGTERM)
    wait_gone(new)
    assert not (folder / "stale.pid.2").exists()
    assert shared.get("/") == (200, b"hello")
    assert (folder / "stale.pid").read_text() == f"{shared.pid}\n"


def test_usr2_and_on(kind: Kind, tmp_path: Path) -> None:
    with started(kind, furnish(tmp_path)) as server:
        new = upgrade(server, tmp_path)
        with says(server, "Shutting down: Master", "Master has been promoted"):
            server.signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        assert server.get("/") == (200, b"hello")
        deadline = time.monotonic() + PATIENCE
        while (tmp_path / "stale.pid.2").exists():  # gunicorn says it first
            assert time.monotonic() < deadline
        assert (tmp_path / "stale.pid").read_text() == f"{new}\n"
        os.kill(new, signal.SIGTERM)
        server.wait()
        assert not (tmp_path / "stale.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_ends_with_0(number: signal.Signals, kind: Kind, folder: Path) -> None:
    with ServerProcess.start(["app:app", *LOCAL], folder, QUIET, command=kind.command) as server:
        server.wait_for("Booting worker")
        server.get("/")
        server.signal(number)
        assert server.wait() == 0
        server.wait_for("Shutting down: Master")


def test_winch_in_the_background_and_ttin(kind: Kind, folder: Path) -> None:
    with BackgroundServer(["app:app", *LOCAL], folder, command=kind.command) as server:
        assert server.code == 0
        server.log.wait_for("Booting worker")
        server.signal(signal.SIGWINCH)
        server.log.wait_for("graceful stop of workers")
        server.log.wait_for("Worker exiting")
        assert server.log.count("Booting worker") == 1
        server.signal(signal.SIGTTIN)
        server.log.wait_for("Booting worker", count=2)
        server.signal(signal.SIGTERM)
        server.log.wait_for("Shutting down: Master")
        wait_gone(server.pid)


def expect(server: ServerProcess, kind: Kind, what: str) -> None:
    """What `DIFFERENCES` says of this server has come true."""
    if DIFFERENCES[what][kind.column] == "serves on":
        assert server.get("/") == (200, b"hello")
        assert server.process.poll() is None
    else:
        assert server.wait() == 3


def test_a_broken_reload(kind: Kind, folder: Path) -> None:
    (folder / "turn.py").write_text(APP)
    with ServerProcess.start(["turn:app", *LOCAL], folder, QUIET, command=kind.command) as server:
        server.wait_for("Booting worker")
        server.get("/")
        (folder / "turn.py").write_text("raise RuntimeError\n")
        server.signal(signal.SIGHUP)
        server.wait_for("RuntimeError")
        expect(server, kind, "HUP with a broken application")


def test_an_application_that_exits_like_a_failed_boot(kind: Kind, folder: Path) -> None:
    with ServerProcess.start(["app:app", *LOCAL], folder, QUIET, command=kind.command) as server:
        server.wait_for("Booting worker")
        with suppress(OSError):
            server.get("/exit?3")
        server.wait_for(r"exited with code 3")
        expect(server, kind, "an application that calls os._exit(3)")


# Words → the exit codes of gunicorn and of this server.
EXIT_CODES = {
    "app:gone": (4, 4),
    "ends:app": (3, 3),
    # An application that cannot be loaded is one error here, whatever the reason.
    "gone:app": (3, 4),
    "bad:app": (3, 4),
    "--check-config app:app": (0, 0),
    "--check-config gone:app": (1, 1),
    "app:app --nope": (2, 2),
    "app:app -w x": (2, 2),
    "": (1, 1),
    "app:app -k nosuch": (1, 1),
    "app:app -c gone.py": (1, 1),
    "app:app -c bad.py": (1, 1),
    "app:app -u nosuchuser": (1, 1),
    "app:app -g nosuchgroup": (1, 1),
    "app:app -p live.pid": (1, 1),
}


@pytest.fixture(scope="module")
def exit_codes(kind: Kind, folder: Path) -> Iterator[dict[str, int]]:
    """All of them, run side by side."""
    (folder / "app.py").write_text(APP)
    running = {
        words: subprocess.Popen(
            [*kind.command, *words.split(), *LOCAL],
            cwd=folder,
            env=environment(QUIET),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for words in EXIT_CODES
    }
    try:
        yield {words: process.wait(3 * PATIENCE) for words, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("words", EXIT_CODES)
def test_exit_codes(words: str, kind: Kind, exit_codes: dict[str, int]) -> None:
    assert exit_codes[words] == EXIT_CODES[words][kind.column]
