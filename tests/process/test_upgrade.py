"""USR2: two masters on the same sockets, and whichever leaves, the other serves on."""

import os
import signal
from pathlib import Path

from tests.conftest import Serve
from tests.support.server import ServerProcess, wait_gone
from tests.support.visitor import Visitor

LOCAL = ("-b", "127.0.0.1:0")


def upgrade(server: ServerProcess, count: int = 1) -> int:
    """The pid of the new master, when its workers are ready."""
    server.signal(signal.SIGUSR2)
    pid = int(server.wait_for(r"the new master has the pid (\d+)", count=count)[1])
    server.wait_for(rf"\[{pid}\] \[INFO\] Ready: ")
    return pid


def test_the_new_master_takes_over_and_no_request_fails(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", "-p", "x.pid", cwd=site)
    server.wait_for("Ready: 2 workers")
    visitors = [Visitor(server) for _ in range(4)]
    old, new = server.pid, upgrade(server)
    assert (site / "x.pid").read_text() == f"{old}\n"
    assert (site / "x.pid.2").read_text() == f"{new}\n"
    os.kill(old, signal.SIGTERM)
    server.wait_for(rf"\[{new}\] \[INFO\] Master has been promoted")
    for visitor in visitors:
        visitor.wait_for(b"1")
        visitor.leave()
    assert [visitor.failures for visitor in visitors] == [[], [], [], []]
    assert (site / "x.pid").read_text() == f"{new}\n"
    assert not (site / "x.pid.2").exists()
    os.kill(new, signal.SIGTERM)
    assert server.wait() == 0
    wait_gone(new)
    assert not (site / "x.pid").exists()
    assert server.log.count(r"\[(ERROR|CRITICAL|WARNING)\]") == 0, server.log.text()
