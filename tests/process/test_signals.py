"""What each signal does to a running server."""

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest

LOCAL = ("-b", "127.0.0.1:0")


def test_term_lets_a_request_finish_and_refuses_new_ones(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    held.release()
    assert held.answer().endswith(b"held")
    assert server.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_term_refuses_new_connections_while_a_response_goes_out(serve: Serve, site: Path) -> None:
    (site / "big.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '50000000')])\n"
        "    return [b'x' * 50_000_000]\n"
    )
    server = serve("big:app", *LOCAL, cwd=site)
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4) == b"HTTP"
        server.signal(signal.SIGTERM)
        server.wait_for("Handling signal: term")
        refused = False
        while not refused:  # a connection that came too early is reset, and then none comes
            try:
                with server.connect() as late:
                    assert late.recv(1) == b""
            except ConnectionResetError:
                pass
            except ConnectionRefusedError:
                refused = True
        assert len(client.makefile("rb").read()) > 50_000_000
    assert server.wait() == 0


def test_term_serves_what_is_queued_already(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    held = HeldRequest(server, site)
    queued = [server.connect() for _ in range(20)]
    for client in queued:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    held.release()
    assert held.answer().endswith(b"held")
    for client in queued:
        with client:
            answer = client.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"hello")
    assert server.wait() == 0


def test_term_kills_what_does_not_finish_in_time(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--graceful-timeout", "1", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert held.answer() == b""
    server.wait_for(rf"\[WARNING\] Worker \(pid:{server.worker(0)}\) did not leave in time")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_do_not_wait(number: signal.Signals, serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site)
    held = HeldRequest(server, site)
    server.signal(number)
    assert server.wait() == 0
    assert held.answer() == b""


def test_int_hurries_a_graceful_stop(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--graceful-timeout", "60", "-t", "0", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert held.answer() == b""


def test_ttin_adds_a_worker_and_ttou_takes_one_down_to_one(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Booting worker", count=1)
    server.signal(signal.SIGTTIN)
    server.wait_for("Booting worker", count=2)
    server.signal(signal.SIGTTOU)
    server.wait_for("Worker exiting", count=1)
    server.signal(signal.SIGTTOU)
    server.wait_for("Handling signal: ttou", count=2)
    assert server.get("/") == (200, b"hello")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log.count("Worker exiting") == 2  # by the first TTOU and by TERM


def test_ttou_with_reuse_port_leaves_no_queue_behind(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--reuse-port", "-w", "4", cwd=site)
    server.wait_for("Ready: 4 workers")
    for count in (1, 2, 3):
        server.signal(signal.SIGTTOU)
        server.wait_for("Worker exiting", count=count)
    assert {server.get("/")[0] for _ in range(60)} == {200}


def test_usr1_reopens_the_logs_of_master_and_workers(serve: Serve, site: Path) -> None:
    # A FIFO in the place of the error log: it says when a line is there.
    os.mkfifo(site / "begun")
    server = serve(
        "app:app", *LOCAL, "--error-logfile", "begun", "--access-logfile", "access.log",
        cwd=site, ready=False,
    )  # fmt: skip
    with (site / "begun").open("rb") as log:
        lines = iter(log.readline, b"")
        line = next(line for line in lines if b"Listening at" in line)
        server.port = int(line.split(b":")[-1].split()[0])
        server.host = "127.0.0.1"
        assert server.get("/one")[0] == 200
        (site / "access.log").rename(site / "access.log.1")
        assert server.get("/two")[0] == 200
        (site / "begun").rename(site / "begun.1")
        (site / "begun").write_text("")
        server.signal(signal.SIGUSR1)
        # At EOF when the last of them has let go of the FIFO.
        assert b"Handling signal: usr1" in b"".join(lines)
    assert server.get("/three")[0] == 200
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Shutting down: Master" in (site / "begun").read_text()
    old, new = ((site / name).read_text() for name in ("access.log.1", "access.log"))
    assert [name for name in ("/one", "/two", "/three") if name in old] == ["/one", "/two"]
    assert [name for name in ("/one", "/two", "/three") if name in new] == ["/three"]


def test_a_worker_ignores_what_is_meant_for_the_master(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    pid = int(server.get("/pid")[1])
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH):
        os.kill(pid, number)
    assert server.get("/pid") == (200, str(pid).encode())


def test_term_to_a_worker_replaces_it(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    pid = int(server.get("/pid")[1])
    os.kill(pid, signal.SIGTERM)
    server.wait_for("Booting worker", count=2)
    server.wait_for(rf"\[{pid}\] \[INFO\] Worker exiting")
    assert server.get("/") == (200, b"hello")
    assert server.log.count(r"\[ERROR\]") == 0


def test_no_signal_of_a_burst_is_lost(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Booting worker")
    for count in range(1, 6):
        server.signal(signal.SIGTTIN)
        # The kernel keeps one of a kind, so each is waited for; what comes between is the burst.
        for _ in range(200):
            server.signal(signal.SIGCHLD)
            server.signal(signal.SIGUSR1)
        server.wait_for("Handling signal: ttin", count=count)
    server.wait_for("Booting worker", count=6)
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1) * 50:
        server.signal(number)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
