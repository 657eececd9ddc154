"""The delay before the end: after TERM the server goes on listening and says that it will leave."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import ServerProcess

LOCAL = ("-b", "127.0.0.1:0")
LONG = ("--drain-delay", "60")
GET = b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(server: ServerProcess) -> bytes:
    """The head of the answer to a request that lets the connection live, on a connection of its own."""
    with server.connect() as client:
        client.sendall(GET)
        return client.recv(65536)


def wait_for_announcement(server: ServerProcess) -> None:
    """Until an answer says that its connection ends: the worker knows."""
    while b"\r\nConnection: close\r\n" not in ask(server):
        pass


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:{}/app.sock"])
def test_it_listens_until_the_delay_is_over(bind: str, serve: Serve, site: Path) -> None:
    server = serve("app:app", "-b", bind.format(site), "--drain-delay", "1.5", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGTERM)
    server.wait_for("Listening for 1.5 seconds more")
    held.release()
    assert held.answer().endswith(b"held")
    wait_for_announcement(server)
    assert ask(server).startswith(b"HTTP/1.1 200 OK\r\n")
    # Every connection is answered, up to one that comes between the emptying of the queue and its end.
    with contextlib.suppress(ConnectionResetError, ConnectionRefusedError, FileNotFoundError):
        while True:
            assert ask(server).startswith(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        server.connect()
    assert server.wait() == 0
    assert server.log.count("Booting worker") == 1
    assert server.log.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_a_request_has_the_delay_and_the_graceful_timeout(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--drain-delay", "1", "--graceful-timeout", "1", cwd=site)
    first, second = HeldRequest(server, site), None
    server.signal(signal.SIGTERM)
    server.wait_for("Listening for 1 seconds more")
    first.release()
    first.answer()
    second = HeldRequest(server, site)
    assert server.wait() == 0
    assert second.answer() == b""
    server.wait_for(r"\[WARNING\] Worker \(pid:\d+\) did not leave in time")


def test_int_ends_the_delay(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, *LONG, "-w", "2", cwd=site)
    server.wait_for("Ready: 2 workers")
    server.signal(signal.SIGTERM)
    wait_for_announcement(server)
    server.signal(signal.SIGTERM)  # says nothing new
    server.wait_for("Handling signal: term", count=2)
    assert ask(server).startswith(b"HTTP/1.1 200 OK\r\n")
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def test_who_has_a_successor_leaves_without_delay(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, *LONG, cwd=site)
    server.wait_for("Ready: 1 workers")
    server.signal(signal.SIGHUP)
    server.wait_for("Worker exiting")
    server.signal(signal.SIGTTIN)
    server.wait_for("Booting worker", count=3)
    server.signal(signal.SIGTTOU)
    server.wait_for("Worker exiting", count=2)
    assert server.get("/")[0] == 200


def test_term_from_elsewhere_waits_for_the_successor(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, *LONG, cwd=site)
    pid = int(server.get("/pid")[1])
    os.kill(pid, signal.SIGTERM)
    server.wait_for(rf"\[{pid}\] \[INFO\] Worker exiting")
    assert server.get("/pid")[1] == str(server.worker(1)).encode()
    assert server.log.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_a_supervisor_may_send_term_to_all_processes(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, *LONG, "-w", "2", cwd=site)
    server.wait_for("Ready: 2 workers")
    os.killpg(server.pid, signal.SIGTERM)
    wait_for_announcement(server)
    assert ask(server).startswith(b"HTTP/1.1 200 OK\r\n")
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def test_nobody_waits_for_a_master_that_died(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, *LONG, cwd=site)
    server.signal(signal.SIGTERM)
    wait_for_announcement(server)
    server.signal(signal.SIGKILL)
    server.wait_for("Worker exiting")
    assert server.wait() == -signal.SIGKILL
