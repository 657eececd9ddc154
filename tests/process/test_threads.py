"""Workers whose threads run requests while a signal comes, and workers whose threads are stuck."""

import signal
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.builds import FREE_THREADED
from tests.support.holding import HeldRequest
from tests.support.server import ServerProcess

BINDS = ["127.0.0.1:0", "unix:{}/app.sock"]
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def ask(server: ServerProcess) -> bytes:
    with server.connect() as client:
        client.sendall(LAST)
        return client.makefile("rb").read()


@pytest.fixture(params=BINDS, ids=["tcp", "unix"])
def bind(request: pytest.FixtureRequest, site: Path) -> str:
    address: str = request.param
    return address.format(site)


def test_threads_serve_while_others_are_held(serve: Serve, site: Path, bind: str) -> None:
    server = serve("app:app", "-b", bind, "--threads", "3", cwd=site)
    held = [HeldRequest(server, site, name=name) for name in "ab"]
    assert ask(server).endswith(b"hello")
    for request in held:
        request.release()
    assert [request.answer()[-4:] for request in held] == [b"held"] * 2


def test_term_loses_no_request(serve: Serve, site: Path, bind: str) -> None:
    server = serve("app:app", "-b", bind, "--threads", "2", cwd=site)
    held = [HeldRequest(server, site, name=name) for name in "ab"]
    queued = [server.connect() for _ in range(30)]  # no thread is free for them
    for client in queued:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    for request in held:
        request.release()
    assert [request.answer()[-4:] for request in held] == [b"held"] * 2
    for client in queued:
        with client:
            answer = client.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"hello")
    assert server.wait() == 0
    assert server.log.count(r"\[(ERROR|CRITICAL|WARNING)\]") == 0, server.log.text()


def test_a_reload_loses_no_request(serve: Serve, site: Path, bind: str) -> None:
    server = serve("app:app", "-b", bind, "--threads", "3", cwd=site)
    held = [HeldRequest(server, site, name=name) for name in "ab"]
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: 1 new workers are ready")
    assert ask(server).endswith(b"hello")
    for request in held:
        request.release()
    assert [request.answer()[-4:] for request in held] == [b"held"] * 2
    server.wait_for("Worker exiting")
    assert server.log.count(r"\[(ERROR|CRITICAL|WARNING)\]") == 0, server.log.text()


def test_a_worker_with_half_its_threads_stuck_is_replaced(
    serve: Serve, site: Path, bind: str
) -> None:
    server = serve("app:app", "-b", bind, "--threads", "4", "--request-timeout", "1", cwd=site)
    first = HeldRequest(server, site, name="a")
    assert first.answer().startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    server.wait_for(r"Request GET /hold\?a overran request_timeout: \d s in fastwsgi-\d")
    server.wait_for(r"a place that is" if FREE_THREADED else r"os.open\(HERE / .*, os.O_RDONLY\)")
    assert ask(server).endswith(b"hello")
    assert len(server.workers) == 1
    second = HeldRequest(server, site, name="b")
    assert second.answer().startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    server.wait_for("2 of 4 threads are stuck; the worker is replaced")
    server.wait_for("Worker exiting")
    assert len(server.workers) == 2
    assert ask(server).endswith(b"hello")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_an_end_in_time_though_a_thread_never_returns(serve: Serve, site: Path) -> None:
    server = serve("app:app", "-b", BINDS[0], "--threads", "2", "--graceful-timeout", "1", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert held.answer() == b""


def test_int_does_not_wait_for_threads(serve: Serve, site: Path) -> None:
    server = serve("app:app", "-b", BINDS[0], "--threads", "2", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert held.answer() == b""
