"""Metrics for Prometheus, as Prometheus gets them: from a running server, by HTTP."""

from __future__ import annotations

import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import PATIENCE, ServerProcess

LOCAL = ("-b", "127.0.0.1:0", "--metrics-bind", "127.0.0.2:0")
MODES = [[], ["--reuse-port"], ["--threads", "4"], ["-k", "gevent"]]
COUNT = "fastwsgi_request_duration_seconds_count"
ANSWERED = 'requests_total{code="2xx"}'
KINDS = {"counter": "{0}_total", "gauge": "{0}", "histogram": "{0}", "summary": "{0}"}

APP = """
import os

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/status/"):
        start_response(path[8:] + " X", [])
        return [b"12345"]
    if path == "/kill":
        os.kill(os.getpid(), 9)
    while path == "/spin":
        pass
    start_response("200 OK", [])
    return [b"hello"]
"""

SAMPLE = re.compile(r'(\w+)(\{\w+="([^"\\\n]*)"\})? (\d+(?:\.\d+)?(?:e-?\d+)?)')


class Page:
    """A page of metrics, read strictly: AssertionError where Prometheus would not like it."""

    def __init__(self, text: str) -> None:
        self.values: dict[str, float] = {}
        assert text.endswith("\n")
        name = kind = ""
        self.names: list[str] = []
        lines = iter(text.splitlines())
        for line in lines:
            if line.startswith("# HELP "):
                name = line.split(" ")[2]
                assert name not in self.names
                self.names.append(name)
                typed = re.fullmatch(rf"# TYPE {name} (\w+)", next(lines))
                assert typed is not None, line
                kind = typed[1]
                assert kind in KINDS
                assert name.endswith("_total") == (kind == "counter")
                continue
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            parts = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
            assert sample[1] in [name + part for part in parts.get(kind, ("",))], line
            key = sample[1] + (sample[2] or "")
            assert key not in self.values
            self.values[key] = float(sample[4])
        self.check_histogram("fastwsgi_request_duration_seconds")

    def check_histogram(self, name: str) -> None:
        buckets = {
            float(re.sub(r'.*le="(.*)".*', r"\1", key)): value
            for key, value in self.values.items()
            if key.startswith(f"{name}_bucket")
        }
        assert list(buckets) == sorted(buckets)
        assert list(buckets.values()) == sorted(buckets.values())
        assert buckets[float("inf")] == self.values[f"{name}_count"]

    def __getitem__(self, name: str) -> float:
        return self.values[f"fastwsgi_{name}"]

    def answers(self, digit: int) -> float:
        return self[f'requests_total{{code="{digit}xx"}}']


@contextmanager
def metrics_client(server: ServerProcess) -> Iterator[http.client.HTTPConnection]:
    host, _, port = server.addresses[-1].removeprefix("http://").rpartition(":")
    client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        yield client
    finally:
        client.close()


def ask(
    server: ServerProcess, path: str = "/metrics", method: str = "GET"
) -> tuple[int, str, http.client.HTTPMessage]:
    with metrics_client(server) as client:
        client.request(method, path, headers={"Connection": "close"})
        response = client.getresponse()
        return response.status, response.read().decode(), response.headers


def scrape(server: ServerProcess) -> Page:
    status, text, headers = ask(server)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(text)


def scrape_until(server: ServerProcess, name: str, value: float) -> Page:
    """The page that has this value; a worker counts a request after its answer is out."""
    end = time.monotonic() + PATIENCE
    while (page := scrape(server))[name] != value:
        assert time.monotonic() < end, f"{name} is {page[name]} and not {value}"
    return page


def send(server: ServerProcess, path: str, times: int) -> None:
    """Requests on one connection."""
    client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    for _ in range(times):
        client.request("GET", path)
        client.getresponse().read()
    client.close()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_counts_are_exact(mode: list[str], serve: Serve, shop: Path) -> None:
    """Over workers and their threads; asking for metrics is not counted, however often."""
    if "gevent" in mode:
        pytest.importorskip("gevent")
    server = serve("shop:app", *LOCAL, "-w", "2", *mode, cwd=shop)
    server.wait_for("Ready: 2 workers")
    clients = [
        threading.Thread(target=send, args=(server, f"/status/{code}", 100))
        for code in (200, 201, 302, 404, 500, 503, 599, 200)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    page = scrape_until(server, "request_duration_seconds_count", 800)
    assert [page.answers(digit) for digit in range(1, 6)] == [0, 300, 100, 100, 300]
    assert page["queue_seconds_count"] == 800
    assert page["response_bytes_total"] == 4000
    assert page["refused_requests_total"] == 0
    assert 0 < page["request_duration_seconds_sum"] < 8 * PATIENCE
    assert (page["busy"], page["busy_workers"]) == (0, 0)
    assert (page["workers_wanted"], page["workers_started_total"]) == (2, 2)
    assert page['workers{state="ready"}'] == 2
    assert scrape(server)["request_duration_seconds_count"] == 800


def test_counts_outlive_workers(serve: Serve, shop: Path) -> None:
    """Whether they are replaced, reloaded or killed."""
    server = serve("shop:app", *LOCAL, "--max-requests", "10", cwd=shop)
    server.wait_for("Ready: ")
    send(server, "/", 10)
    server.wait_for("Worker exiting")
    assert scrape(server).answers(2) == 10
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    send(server, "/", 3)
    with pytest.raises(http.client.RemoteDisconnected):
        server.get("/kill")
    server.wait_for("Booting worker", count=4)
    send(server, "/", 2)
    page = scrape_until(server, ANSWERED, 15)
    assert page["workers_started_total"] == 4
    assert page["busy"] == 0  # of whoever was killed nothing is under way


def test_what_was_refused(serve: Serve, shop: Path) -> None:
    server = serve("shop:app", *LOCAL, cwd=shop)
    for _ in range(3):
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400")
    page = scrape_until(server, "refused_requests_total", 3)
    assert page.answers(4) == 3
    assert page["request_duration_seconds_count"] == 0


def test_odd_classes_of_status_are_shown_when_there_are_some(serve: Serve, shop: Path) -> None:
    server = serve("shop:app", *LOCAL, cwd=shop)
    assert 'code="9xx"' not in ask(server)[1]
    send(server, "/status/999", 1)
    assert scrape(server).answers(9) == 1


def test_what_is_found_where(serve: Serve, shop: Path) -> None:
    server = serve("shop:app", *LOCAL, cwd=shop, env={"SCRIPT_NAME": "/mounted"})
    assert server.get("/mounted/metrics") == (200, b"hello")  # the application's own
    for path in ("/", "/metrics/", "/other"):
        assert ask(server, path)[0] == 404
    assert ask(server, "/metrics?name=x")[0] == 200
    status, text, headers = ask(server, method="HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000
    status, _, headers = ask(server, method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_without_an_address_there_are_none(serve: Serve, shop: Path) -> None:
    server = serve("shop:app", "-b", "127.0.0.1:0", cwd=shop)
    assert len(server.addresses) == 1
    assert server.get("/metrics") == (200, b"hello")


@pytest.mark.parametrize("mode", [["--threads", "2"], ["-w", "3"]], ids=" ".join)
def test_what_is_under_way(mode: list[str], serve: Serve, site: Path) -> None:
    """Threads that are all busy keep nobody from answering, nor does a worker that is."""
    server = serve("app:app", *LOCAL, *mode, cwd=site)
    server.wait_for("Ready: ")
    held = [HeldRequest(server, site, name=name) for name in "ab"]
    page = scrape(server)
    assert (page["busy"], page["busy_workers"]) == (2, 1 if "--threads" in mode else 2)
    for request in held:
        request.release()
        assert request.answer().endswith(b"held")
    assert scrape_until(server, "busy", 0)["busy_workers"] == 0


def test_who_waits_for_metrics_is_not_in_the_backlog(serve: Serve, site: Path) -> None:
    server = serve(
        *("app:app", *LOCAL, "--enable-backlog-metric", "--log-level", "debug"), cwd=site
    )
    server.wait_for("Ready: ")
    held = HeldRequest(server, site)
    with ExitStack() as waiting:
        for client in (metrics_client(server), metrics_client(server), metrics_client(server)):
            waiting.enter_context(client).connect()
        for _ in range(2):
            waiting.enter_context(server.connect())
        assert server.wait_for(r"socket backlog: ([2-9])$")[1] == "2"
    held.release()
    assert held.answer().endswith(b"held")


def test_a_request_that_takes_too_long_is_ended_all_the_same(serve: Serve, shop: Path) -> None:
    server = serve("shop:app", *LOCAL, "--timeout", "1", cwd=shop)
    assert server.get("/spin")[0] == 504
    server.wait_for("Worker exiting")
    page = scrape(server)
    assert page.answers(5) == 1
    assert page["busy"] == 0
    assert page['request_duration_seconds_bucket{le="0.5"}'] == 0


def test_hooks_and_lines_are_beside_it(serve: Serve, shop: Path) -> None:
    (shop / "conf.py").write_text(
        "def post_request(worker, request, environ, response):\n"
        "    worker.log.info('after %s %s', request.path, response.status_code)\n"
    )
    server = serve("shop:app", *LOCAL, "-c", "conf.py", "--access-logfile", "-", cwd=shop)
    send(server, "/status/201", 2)
    server.wait_for(r"after /status/201 201", count=2)
    server.out.wait_for(r'"GET /status/201 HTTP/1.1" 201 5', count=2)
    page = scrape(server)
    assert page.answers(2) == 2
    assert page["busy"] == 0
    assert server.out.count("/metrics") == 0


def test_a_reload_brings_the_address_and_takes_it(serve: Serve, shop: Path) -> None:
    config = shop / "conf.py"
    config.write_text("metrics_bind = []\n")
    server = serve("shop:app", "-b", "127.0.0.1:0", "-c", config, cwd=shop)
    send(server, "/", 1)
    config.write_text("metrics_bind = ['127.0.0.2:0']\n")
    server.signal(signal.SIGHUP)
    line = server.wait_for(r"Listening at: (\S+),(\S+) ")
    server.wait_for("Worker exiting")  # the one that counts nothing
    server.addresses.append(line[2])
    send(server, "/", 2)
    assert scrape(server).answers(2) == 2
    config.write_text("metrics_bind = []\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded", count=2)
    server.wait_for("Worker exiting", count=2)
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    assert server.get("/") == (200, b"hello")


def test_an_upgrade_keeps_the_address(serve: Serve, shop: Path) -> None:
    server = serve("shop:app", *LOCAL, cwd=shop)
    server.signal(signal.SIGUSR2)
    new = int(server.wait_for(r"the new master has the pid (\d+)")[1])
    server.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    send(server, "/", 1)
    scrape_until(server, ANSWERED, 1)
    os.kill(new, signal.SIGTERM)
    assert server.wait() == 0


def test_whoever_asks_keeps_no_worker_from_leaving(serve: Serve, shop: Path) -> None:
    """An idle connection for metrics is closed when the server drains, as any other."""
    server = serve("shop:app", *LOCAL, cwd=shop)
    with metrics_client(server) as client:
        client.request("GET", "/metrics")
        assert client.getresponse().read()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert client.sock.recv(1) == b""
