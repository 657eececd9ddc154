"""As the first process of a container, and in the time before the server is one."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.server import COMMAND, PATIENCE, ServerProcess

LOCAL = ("-b", "127.0.0.1:0")
UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")


def may_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


FIRST = pytest.mark.skipif(not may_unshare(), reason="needs unshare and the permission to use it")

# A configuration that takes as long as the test wants.
SLOW = """
import os
os.close(os.open("started", os.O_WRONLY))
os.close(os.open("hold", os.O_RDONLY))
bind = "127.0.0.1:0"
"""


@pytest.fixture
def slow(site: Path) -> Path:
    (site / "slow.py").write_text(SLOW)
    for fifo in ("started", "hold"):
        os.mkfifo(site / fifo)
    return site


def await_start(folder: Path) -> None:
    os.close(os.open(folder / "started", os.O_RDONLY))


def child_of(server: ServerProcess) -> int:
    """The first process of the namespace, by the number it has outside."""
    return int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_before_the_start_ends_it(
    number: signal.Signals, serve: Serve, slow: Path
) -> None:
    server = serve("app:app", "-c", "slow.py", cwd=slow, ready=False)
    await_start(slow)
    server.signal(number)
    assert server.wait() == -number
    assert server.log.lines == []


def test_what_means_nothing_yet_does_not_end_it(serve: Serve, slow: Path) -> None:
    server = serve("app:app", "-c", "slow.py", cwd=slow, ready=False)
    await_start(slow)
    for name in ("HUP", "USR1", "USR2", "TTIN", "TTOU", "WINCH", "CHLD"):
        server.signal(signal.Signals[f"SIG{name}"])
    os.close(os.open(slow / "hold", os.O_WRONLY))
    assert server.ready().get("/") == (200, b"hello")


@FIRST
def test_the_first_process_can_be_ended_before_it_has_started(slow: Path) -> None:
    with ServerProcess(["app:app", "-c", "slow.py"], slow, command=(*UNSHARE, *COMMAND)) as server:
        await_start(slow)
        os.kill(child_of(server), signal.SIGTERM)
        assert server.wait() == 128 + signal.SIGTERM


@FIRST
def test_the_first_process_serves_and_ends(site: Path) -> None:
    with ServerProcess(["app:app", *LOCAL], site, command=(*UNSHARE, *COMMAND)) as server:
        line = server.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+) \((\d+)\)")
        assert line[2] == "1"
        server.host, server.port = "127.0.0.1", int(line[1])
        server.wait_for("Ready: ")
        os.kill(child_of(server), signal.SIGHUP)
        server.wait_for("Reloaded")
        assert server.get("/") == (200, b"hello")
        os.kill(child_of(server), signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
