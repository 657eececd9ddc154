"""--health-path: answered by the reactor itself, whatever the application does."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.observe.logger import Logger
from tests.support.loop import SteppedServer
from tests.support.models import MODELS, Model

PATIENCE = 10.0


def request(path: str, method: str = "GET", fields: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode()


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("202 Accepted", [("Content-Length", "3")])
    return [b"app"]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/healthz"), 200),
        (request("/healthz?full=1"), 200),
        (request("/healthz", "HEAD"), 200),
        (request("http://h/healthz"), 200),
        (request("/healthz/"), 202),
        (request("/health"), 202),
        (request("/healthz", "DELETE"), 202),
        (request("/healthz", "GET", "Content-Length: 2\r\n") + b"ab", 202),
    ],
    ids=range(8),
)
def test_what_asks_for_health(model: Model, data: bytes, status: int, tmp_path: Path) -> None:
    method = data.split(b" ")[0].decode()
    with (
        SteppedServer(app, tmp_path, **model.settings, health_path="/healthz") as server,
        server.connection(method, method) as client,
    ):
        client.put(data)
        (answer,) = client.await_responses(1)
        assert answer.status == status
        if status == 200:
            assert answer.body == (b"" if method == "HEAD" else b"ok\n")
            assert answer.get("Cache-Control") == "no-store"
            assert answer.get("Connection") is None
        client.put(data)
        assert [answer.status for answer in client.await_responses(2)] == [status, status]


def test_health_is_answered_while_every_thread_is_busy(tmp_path: Path) -> None:
    release, inside = threading.Event(), threading.Semaphore(0)

    def busy(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        inside.release()
        release.wait(PATIENCE)
        return app(environ, start_response)

    options: dict[str, Any] = {"execution": "threads", "threads": 2, "health_path": "/healthz"}
    with SteppedServer(busy, tmp_path, **options) as server:
        clients = [server.connect() for _ in range(4)]
        for client in clients:
            client.put(request("/"))
        server.until(lambda: inside.acquire(blocking=False), "the first thread")
        server.until(lambda: inside.acquire(blocking=False), "the second thread")
        with server.connection() as client:
            client.put(request("/healthz"))
            assert client.await_responses(1)[0].status == 200
            release.set()
            for busy_client in clients:
                assert busy_client.await_responses(1)[0].status == 202
                busy_client.close()


def test_health_is_503_once_the_server_leaves(tmp_path: Path) -> None:
    with (
        SteppedServer(app, tmp_path, health_path="/healthz") as server,
        server.connection() as client,
    ):
        assert client.exchange(request("/healthz")).status == 200
        server.server.announce()
        answer = client.exchange(request("/healthz"))
        assert (answer.status, answer.body) == (503, b"leaving\n")
        assert answer.get("Connection") == "close"


@pytest.mark.parametrize("logged", [False, True])
def test_health_is_logged_and_counted_by_choice(logged: bool, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = Logger(Settings([("test", {"accesslog": str(path)})]))
    options: dict[str, Any] = {"health_path": "/healthz", "health_log": logged, "log": log}
    with SteppedServer(app, tmp_path, **options) as server, server.connection() as client:
        client.exchange(request("/healthz"))
        client.exchange(request("/"))
        assert server.server.requests == 1 + logged
    log.close()
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + logged
    assert sum('"GET /healthz HTTP/1.1" 200 3' in line for line in lines) == logged
