"""-D: the command returns when the server listens, or says why it does not."""

import os
import pty
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.background import BackgroundServer
from tests.support.server import COMMAND, PATIENCE, environment, status, wait_gone

LOCAL = ("app:app", "-b", "127.0.0.1:0")
NULL = "/dev/null"


def streams(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]


def get(port: int, path: str = "/") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return bytes(answer.read())


def test_the_command_returns_when_the_server_listens(site: Path) -> None:
    with BackgroundServer([*LOCAL, "-p", "x.pid"], site) as server:
        assert (server.code, server.output) == (0, b"")
        assert (site / "x.pid").read_text() == f"{server.pid}\n"
        assert get(server.port) == b"hello"
        worker = int(get(server.port, "/pid"))
        for pid in (server.pid, worker):
            assert streams(pid) == [NULL] * 3
            session, terminal = status(pid)[3:5]
            # It leads no session, so it gets no terminal either.
            assert int(session) not in (server.pid, os.getsid(0))
            assert terminal == "0"
        assert int(status(server.pid)[1]) != os.getpid()
        assert "Umask:\t0022" in Path(f"/proc/{server.pid}/status").read_text()
        server.signal(signal.SIGTERM)
        wait_gone(server.pid)
        assert not (site / "x.pid").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["app:app", "-b", "unix:/gone/x.sock"], 1, b"cannot listen on unix:/gone/x.sock"),
        (["app:app", "-b", "127.0.0.1:0", "-p", "/gone/x"], 1, b"the pidfile '/gone/x'"),
        (["app:app", "-b", "127.0.0.1:0", "--error-logfile", "/gone/x"], 1, b"the log file"),
        (["gone:app", "-b", "127.0.0.1:0", "--preload"], 4, b"there is no module 'gone'"),
        (["killed:app", "-b", "127.0.0.1:0", "--preload"], 1, b""),
    ],
)
def test_what_goes_wrong_before_is_seen_on_the_terminal(
    words: list[str], code: int, said: bytes, site: Path
) -> None:
    (site / "killed.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    done = subprocess.run(
        [*COMMAND, *words, "-D"], cwd=site, env=environment(), stdin=subprocess.DEVNULL,
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("inherit", [True, False])
def test_streams_are_let_go_of_unless_inherited(inherit: bool, site: Path) -> None:
    """enable_stdio_inheritance keeps what was redirected, and no terminal."""
    primary, terminal = pty.openpty()
    conf = site / "gunicorn.conf.py"
    conf.write_text(
        f"enable_stdio_inheritance = {inherit}\nerrorlog = 'error.log'\npidfile = 'x.pid'\n"
    )
    with (site / "out.txt").open("wb") as out:
        done = subprocess.run(
            [*COMMAND, *LOCAL, "-D"], cwd=site, env=environment(), stdin=terminal, stdout=out,
            stderr=terminal, timeout=PATIENCE, check=False,
        )  # fmt: skip
    os.close(terminal)
    os.close(primary)
    assert done.returncode == 0
    pid = int((site / "x.pid").read_text())
    try:
        assert streams(pid) == [NULL, str(site / "out.txt") if inherit else NULL, NULL]
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_gone(pid)


def test_a_server_in_the_background_is_upgraded_there(site: Path) -> None:
    with BackgroundServer([*LOCAL, "-p", "x.pid"], site) as server:
        server.signal(signal.SIGUSR2)
        new = int(server.log.wait_for(r"the new master has the pid (\d+)")[1])
        server.log.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
        # The way an upgrade is watched: the old workers rest while the old master stays, then come back.
        server.signal(signal.SIGWINCH)
        server.log.wait_for(rf"\[(?!{new}).*Worker exiting")
        assert int(get(server.port, "/pid")) == int(
            server.log.wait_for(r"Booting worker with pid: (\d+)", count=2)[1]
        )
        server.signal(signal.SIGHUP)
        server.log.wait_for(rf"\[{server.pid}\] \[INFO\] Reloaded: 1 new workers")
        server.signal(signal.SIGTERM)
        server.log.wait_for("Master has been promoted")
        wait_gone(server.pid)
        server.pid = new
        assert get(server.port) == b"hello"
