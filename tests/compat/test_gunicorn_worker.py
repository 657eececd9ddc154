"""gunicorn's own master with our worker class."""

import http.client
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import gunicorn.config
import gunicorn.glogging
import pytest
import trustme

from fastwsgi.observe.finished import listener
from tests.support.server import PATIENCE, ServerProcess, wait_gone

COMMAND = (
    *(sys.executable, "-m", "gunicorn", "--no-control-socket"),
    *("-k", "fastwsgi.gunicorn.Worker", "-b", "127.0.0.1:0"),
)

APP = """
import os, threading
from pathlib import Path

HERE = Path(__file__).parent

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = {"/pid": str(os.getpid()), "/threaded": str(environ["wsgi.multithread"]),
        "/scheme": environ["wsgi.url_scheme"]}.get(path, "hello")
    if path == "/hold":
        # Blocks until the test opens the other end: an event, not a time.
        os.close(os.open(HERE / "started", os.O_WRONLY))
        os.close(os.open(HERE / "hold", os.O_RDONLY))
        body = "held"
    elif path == "/stuck":
        threading.Event().wait()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""

Run = Callable[..., ServerProcess]


@pytest.fixture
def site(site: Path) -> Path:
    (site / "app.py").write_text(APP)
    for name in ("started", "hold"):
        os.mkfifo(site / name)
    return site


@pytest.fixture
def run(site: Path) -> Iterator[Run]:
    """`run("-w", "2")`: gunicorn with our worker, when all its workers have booted."""
    with ExitStack() as running:

        def start(*words: str, workers: int = 1, **env: str) -> ServerProcess:
            server = ServerProcess.start(
                ["-w", str(workers), *words, "app:app"], site, env, command=COMMAND
            )
            running.enter_context(server)
            server.wait_for("Booting worker", count=workers)
            return server

        yield start


def wait_for_start(site: Path) -> None:
    os.close(os.open(site / "started", os.O_RDONLY))


def let_go(site: Path) -> None:
    os.close(os.open(site / "hold", os.O_WRONLY))


def held(server: ServerProcess, site: Path) -> http.client.HTTPConnection:
    """A request that runs until `let_go`."""
    client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    client.request("GET", "/hold")
    wait_for_start(site)
    return client


def answer(client: http.client.HTTPConnection) -> tuple[int, bytes]:
    response = client.getresponse()
    body = response.read()
    client.close()
    return response.status, body


def test_our_core_answers_on_a_kept_connection(run: Run) -> None:
    server = run()
    client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    client.request("GET", "/pid")
    first = client.getresponse()
    pid = int(first.read())
    assert first.getheader("Server") == "fastwsgi"
    assert pid == server.worker(0)
    own = client.sock
    client.request("GET", "/threaded")
    assert client.getresponse().read() == b"False"
    assert client.sock is own
    client.close()


def test_several_threads(run: Run, site: Path) -> None:
    server = run("--threads", "2")
    client = held(server, site)
    assert server.get("/threaded") == (200, b"True")
    let_go(site)
    assert answer(client) == (200, b"held")


def test_term_finishes_what_runs_and_what_is_queued(run: Run, site: Path) -> None:
    server = run()
    client = held(server, site)
    queued = server.connect()
    queued.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    os.kill(server.worker(0), signal.SIGTERM)
    let_go(site)
    assert answer(client) == (200, b"held")
    with queued:
        assert queued.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    server.wait_for("Booting worker", count=2)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log.count("exited with code") == 0


def test_a_worker_that_does_not_finish_leaves_after_graceful_timeout(run: Run, site: Path) -> None:
    server = run("--threads", "2", "--graceful-timeout", "1")
    client = held(server, site)
    os.kill(server.worker(0), signal.SIGTERM)
    wait_gone(server.worker(0))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        answer(client)
    client.close()


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_quick_end_does_not_wait_for_the_application(run: Run, site: Path, number: int) -> None:
    server = run("--graceful-timeout", "60")
    client = held(server, site)
    server.signal(number)
    assert server.wait() == 0
    client.close()


def test_a_hup_under_load_loses_nothing(run: Run) -> None:
    server = run(workers=2)
    enough = threading.Event()
    wrong: list[object] = []

    def load() -> None:
        while not enough.is_set():
            try:
                status, _ = server.get("/")
            except OSError as error:
                wrong.append(error)
            else:
                if status != 200:
                    wrong.append(status)

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    for turn in (1, 2):
        server.signal(signal.SIGHUP)
        server.wait_for("Worker exiting", count=2 * turn)
    enough.set()
    for client in clients:
        client.join()
    assert wrong == []
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_a_stuck_application_is_ended_with_its_stacks(run: Run) -> None:
    server = run("--timeout", "1")
    stuck = server.worker(0)
    assert server.get("/stuck")[0] == 504
    server.wait_for(r"WORKER TIMEOUT")
    server.wait_for(r"threading\.Event\(\)\.wait\(\)")
    server.wait_for(rf"Worker \(pid:{stuck}\) exited with code 1")
    server.wait_for("Booting worker", count=2)
    assert server.get("/") == (200, b"hello")


def test_many_slow_requests_are_no_silence(run: Run, site: Path) -> None:
    (site / "app.py").write_text(
        "import time\ndef app(environ, start_response):\n"
        "    time.sleep(0.4)\n    start_response('200 OK', [])\n    return [b'x']\n"
    )
    server = run("--timeout", "2")
    clients = [server.connect() for _ in range(8)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for client in clients:
        with client:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.log.count("WORKER TIMEOUT") == 0


def test_a_worker_is_replaced_after_max_requests(run: Run) -> None:
    server = run("--max-requests", "3")
    assert len({server.get("/pid") for _ in range(3)}) == 1
    server.wait_for("Autorestarting worker after current request.")
    server.wait_for("Worker exiting")  # until then it takes what is queued
    assert server.get("/pid")[1] != b"%d" % server.worker(0)


def test_workers_leave_when_their_master_is_gone(run: Run) -> None:
    server = run()
    (worker,) = server.workers
    os.kill(server.pid, signal.SIGKILL)
    server.wait_for("Parent changed, shutting down")
    wait_gone(worker)


def test_gunicorns_limits_and_our_own_settings_hold(run: Run) -> None:
    server = run("--limit-request-line", "60", FASTWSGI_HEALTH_PATH="/healthz")
    assert server.get("/" + "x" * 60)[0] == 414
    assert server.get("/healthz")[0] == 200
    server.wait_for("Invalid request from ip=127.0.0.1: the request line is too long")


def test_what_cannot_be_is_said_before_anything_is_forked(site: Path) -> None:
    env = {"FASTWSGI_HEADER_TIMEOUT": "soon"}
    with ServerProcess(["app:app"], site, env, command=COMMAND) as server:
        assert server.wait() == 1
        server.wait_for(r"Error: the setting header_timeout takes a whole number, not 'soon'")
        assert server.workers == []


def test_hooks_around_requests(run: Run, site: Path) -> None:
    (site / "gunicorn.conf.py").write_text(
        "def pre_request(worker, req):\n    req.seen = worker.pid\n"
        "def post_request(worker, req, environ, resp):\n"
        "    worker.log.info('%s %s %s', req.path, resp.status, req.seen == worker.pid)\n"
    )
    server = run()
    assert server.get("/somewhere?a") == (200, b"hello")
    server.wait_for("/somewhere 200 OK True")


FORMAT = '%(h)s %(u)s "%(r)s" %(s)s %(b)s %(a)s %({x-seen}i)s %({content-length}o)s %({raw_uri}e)s'


@pytest.mark.parametrize("kind", ["sync", "fastwsgi.gunicorn.Worker"])
def test_gunicorns_logger_writes_the_same_line_for_us(kind: str, site: Path) -> None:
    command = (*COMMAND[:4], "-b", "127.0.0.1:0", "-k", kind)
    words = ["--access-logfile", "-", "--access-logformat", FORMAT, "app:app"]
    with ServerProcess.start(words, site, command=command) as server:
        server.get("/a%20b?c=d", {"User-Agent": "x", "X-Seen": "yes"})
        line = server.out.wait_for("GET").string
    assert line == '127.0.0.1 - "GET /a%20b?c=d HTTP/1.1" 200 5 x yes 5 /a%20b?c=d'


def test_a_logger_class_made_of_gunicorns(run: Run, site: Path) -> None:
    (site / "quiet.py").write_text(
        "from gunicorn.glogging import Logger\nclass Quiet(Logger):\n"
        "    def access(self, resp, req, environ, request_time):\n"
        "        self.info('%s %s', req.path, resp.status_code)\n"
    )
    server = run("--logger-class", "quiet.Quiet")
    server.get("/seen")
    server.wait_for("INFO. /seen 200")


@pytest.fixture
def same_logs() -> Iterator[None]:
    """gunicorn's loggers are left as they were found."""
    logs = [logging.getLogger(name) for name in ("gunicorn.error", "gunicorn.access")]
    before = [(log.handlers[:], log.propagate, log.level) for log in logs]
    yield
    for log, (handlers, propagate, level) in zip(logs, before, strict=True):
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)


@pytest.mark.usefixtures("same_logs")
def test_nobody_is_asked_for_lines_that_nobody_wants() -> None:
    cfg = gunicorn.config.Config()
    log = gunicorn.glogging.Logger(cfg)
    assert listener(log, format="", as_json=False, excluded=()) is None  # type: ignore[arg-type]
    cfg.set("accesslog", "-")
    log = gunicorn.glogging.Logger(cfg)
    assert listener(log, format="", as_json=False, excluded=()) is not None  # type: ignore[arg-type]


def test_tls(run: Run, site: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(site / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(site / "cert.pem")
    server = run("--certfile", "cert.pem", "--keyfile", "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client = http.client.HTTPSConnection("localhost", server.port, context=context)
    client.request("GET", "/scheme")
    assert answer(client) == (200, b"https")


def test_a_unix_socket(run: Run, site: Path) -> None:
    server = run("-b", "unix:served.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site / "served.sock"))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.addresses
