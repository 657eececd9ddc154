"""-k gevent in real processes: what blocks an application blocks one request, and the life of a worker is as ever."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import PATIENCE, ServerProcess, environment, wait_gone

GEVENT = ("app:app", "-k", "gevent", "-b", "127.0.0.1:0")
GET = "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CROWD = 200

# Plain code that blocks, as in any application: nothing in it knows of gevent.
APP = """
import contextvars, os, select, socket, subprocess, sys, threading, time
from pathlib import Path

HERE = Path(__file__).parent
local, context = threading.local(), contextvars.ContextVar("context", default=None)
everybody = threading.Event()
inside, holding, closed, caught = [], [], [], []

class Closing:
    def __init__(self, blocks): self.blocks = iter(blocks)
    def __iter__(self): return self
    def __next__(self): return next(self.blocks)
    def close(self): closed.append(1)

def held():
    os.close(os.open(HERE / "started", os.O_WRONLY))
    fd = os.open(HERE / "hold", os.O_RDONLY | os.O_NONBLOCK)
    holding.append(fd)
    try:
        select.select([fd], [], [])
    finally:
        holding.remove(fd)
        os.close(fd)
    return "held"

def wait_event(size):
    if len(inside) == size:
        everybody.set()
    everybody.wait()

def wait_asleep(size):
    while len(inside) < size:
        time.sleep(0.001)

def wait_socket(size):
    ours, others = socket.socketpair()
    with ours, others:
        threading.Thread(target=lambda: (wait_asleep(size), others.send(b"."))).start()
        ours.recv(1)

WAYS = {"event": wait_event, "asleep": wait_asleep, "socket": wait_socket}

def crowd(query):
    way, size = query.split(",")
    mine = object()
    local.mine = mine
    context.set(mine)
    inside.append(mine)
    WAYS[way](int(size))
    assert local.mine is mine and context.get() is mine
    return str(len(inside))

def deaf():
    try:
        held()
    except Exception:
        caught.append("Exception")
    finally:
        caught.append("finally")
    return "never"

def stream():
    yield b"x" * 10
    held()

def tree():
    import gevent
    shared = gevent.getcurrent().spawn_tree_locals
    seen = dict(shared)
    shared["request"] = "mine"
    return f"{seen} {gevent.spawn(lambda: gevent.getcurrent().spawn_tree_locals).get()}"

def compute():
    while True:
        pass

def endless():
    while True:
        yield b"x" * 65536

ANSWERS = {
    "/crowd": crowd,
    "/hold": lambda query: held(),
    "/deaf": lambda query: deaf(),
    "/compute": lambda query: compute(),
    "/pid": lambda query: str(os.getpid()),
    "/closed": lambda query: f"{len(closed)} {caught}",
    "/child": lambda query: subprocess.run(["echo", "child"], capture_output=True).stdout.decode(),
    "/resolve": lambda query: socket.getaddrinfo("localhost", 80, socket.AF_INET)[0][4][0],
    "/patched": lambda query: str("gevent" in threading.local.__module__),
    "/holding": lambda query: str(len(holding)),
    "/tree": lambda query: tree(),
}
STREAMS = {"/stream": stream, "/endless": endless}

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path in STREAMS:
        start_response("200 OK", [])
        return Closing(STREAMS[path]())
    if path == "/environ":
        body = repr((environ["wsgi.multithread"], environ["wsgi.input"].read()))
    else:
        body = ANSWERS[path](environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def ask(server: ServerProcess, path: str) -> socket.socket:
    client = server.connect()
    client.sendall(GET.format(path).encode())
    return client


def answer(client: socket.socket) -> bytes:
    """The body of the only answer that comes."""
    with client, client.makefile("rb") as stream:
        return stream.read().partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("way", ["event", "asleep", "socket"])
def test_all_are_inside_before_any_leaves(
    way: str, preload: tuple[str, ...], serve: Serve, site: Path
) -> None:
    """So a thousand requests that sleep for a tenth of a second do so at the same time."""
    server = serve(*GEVENT, *preload, cwd=site)
    clients = [ask(server, f"/crowd?{way},{CROWD}") for _ in range(CROWD)]
    assert [answer(client) for client in clients] == [str(CROWD).encode()] * CROWD


def test_the_environ(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, cwd=site)
    with server.connect() as client:
        client.sendall(b"POST /environ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        client.sendall(b"lo")
        assert client.recv(65536).endswith(b"\r\n\r\n(True, b'hello')")


@pytest.mark.parametrize("before", ["", "gevent.getcurrent().spawn_tree_locals = {'site': 1}\n"])
def test_what_a_request_shares_with_its_own_greenlets_no_other_sees(
    before: str, serve: Serve, site: Path
) -> None:
    """But for what the application has made everybody's."""
    with (site / "app.py").open("a") as file:
        file.write("import gevent\n" + before)
    server = serve(*GEVENT, cwd=site)
    common = "'site': 1, " if before else ""
    assert server.get("/tree") == (200, f"{{{common[:-2]}}} {{{common}'request': 'mine'}}".encode())
    if not before:
        assert server.get("/tree") == (200, b"{} {'request': 'mine'}")


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_it_is_patched_before_the_application_is_imported(
    preload: tuple[str, ...], serve: Serve, site: Path
) -> None:
    """And what the import leaves behind, in the hub, its threads and SIGCHLD, harms nobody."""
    with (site / "app.py").open("a") as file:
        file.write(
            "threading.Thread(target=lambda: os.write(1, b'background\\n')).start()\n"
            "for path in ('/patched', '/child', '/resolve'):\n"
            # In one piece: the workers share the pipe.
            "    os.write(1, (path + ' ' + ANSWERS[path]('').strip() + '\\n').encode())\n"
        )
    server = serve(*GEVENT, *preload, "-w", "2", cwd=site)
    server.out.wait_for("^/resolve 127.0.0.1$", count=1 if preload else 2)
    assert server.out.count("^/patched True$") == server.out.count("^/child child$") > 0
    for _ in range(3):
        assert server.get("/patched") == (200, b"True")
        assert server.get("/child") == (200, b"child\n")
        assert server.get("/resolve") == (200, b"127.0.0.1")
    os.kill(int(server.get("/pid")[1]), signal.SIGKILL)
    server.wait_for("Booting worker", count=3)
    assert server.get("/child") == (200, b"child\n")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_background_greenlets_of_a_preloaded_application_run_in_the_workers(
    serve: Serve, site: Path
) -> None:
    with (site / "app.py").open("a") as file:
        # One write a line: the workers share the pipe, and print() may write a line in parts.
        file.write("import gevent\ngevent.spawn(lambda: os.write(1, b'in %d\\n' % os.getpid()))\n")
    server = serve(*GEVENT, "--preload", "-w", "2", cwd=site)
    server.wait_for("Ready: 2 workers")
    server.signal(signal.SIGTTIN)
    server.out.wait_for(r"^in \d+$", count=3)
    server.worker(2)  # its line of the log may come later than that of its greenlet
    assert sorted(server.out) == sorted(f"in {pid}" for pid in server.workers)


def test_eventlet_is_gevent(serve: Serve, site: Path) -> None:
    server = serve("app:app", "-k", "eventlet", "-b", "127.0.0.1:0", cwd=site)
    server.wait_for(
        r"\[WARNING\] worker_class = eventlet: there is no eventlet here, and gevent takes its place"
    )
    server.wait_for("Using worker: gevent")
    assert server.get("/patched") == (200, b"True")


@pytest.mark.parametrize("extra", [(), ("--preload",), ("--check-config",)])
def test_without_gevent_one_line_says_what_to_install(
    extra: tuple[str, ...], serve: Serve, site: Path
) -> None:
    (site / "gevent.py").write_text("raise ImportError(\"No module named 'gevent'\")")
    server = serve(*GEVENT, *extra, cwd=site, ready=False)
    assert server.wait() == 1
    (line,) = [line for line in server.log if "gevent" in line]
    assert "No module named 'gevent'" in line
    assert "pip install 'fastwsgi[gevent]'" in line
    assert server.log.count("Traceback|Booting") == 0


def test_a_reload_to_gevent_that_is_not_there_changes_nothing(serve: Serve, site: Path) -> None:
    (site / "gevent.py").write_text("raise ImportError(\"No module named 'gevent'\")")
    (site / "conf.py").write_text("bind = '127.0.0.1:0'\nworker_class = 'sync'\n")
    server = serve("app:app", "-c", "conf.py", cwd=site)
    (site / "conf.py").write_text("bind = '127.0.0.1:0'\nworker_class = 'gevent'\n")
    server.signal(signal.SIGHUP)
    server.wait_for(r"\[ERROR\] Not reloaded, going on as before: .*fastwsgi\[gevent\]")
    assert server.get("/patched") == (200, b"False")


@pytest.mark.parametrize("how", ["-k gevent", "-k sync", "the program"])
def test_an_application_may_have_patched_before(how: str, site: Path) -> None:
    """Whichever was imported first, the server has its epoll and its fork."""
    whole = (site / "app.py").read_text()
    first = "from gevent import monkey; monkey.patch_all()\n"
    (site / "app.py").write_text(first + whole)
    (site / "main.py").write_text(
        f"{first}import app, fastwsgi\n"
        "fastwsgi.run(app.app, bind='127.0.0.1:0', worker_class='gevent')\n"
    )
    arguments = ["app:app", *how.split(), "-b", "127.0.0.1:0"]
    command = [sys.executable, "-m", "fastwsgi"]
    if how == "the program":
        arguments, command = [], [sys.executable, "main.py"]
    with ServerProcess.start(arguments, site, command=command) as server:
        assert server.get("/patched") == (200, b"True")
        os.kill(int(server.get("/pid")[1]), signal.SIGKILL)
        server.wait_for("Booting worker", count=2)
        assert server.get("/child") == (200, b"child\n")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


# -- requests that take long -----------------------------------------------------------------------


def test_an_overdue_request_ends_alone(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--request-timeout", "1", cwd=site)
    held = HeldRequest(server, site, "/deaf")
    got = held.answer()
    assert got.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert b"\r\nConnection: close\r\n" in got
    server.wait_for(
        r"Request GET /deaf overran request_timeout: \d s in a greenlet, which is here:"
    )
    server.wait_for(r"app\.py.*in deaf$")
    server.wait_for(r"app\.py.*in held$")
    assert server.get("/closed") == (200, b"0 ['finally']")  # it never came to its iterable
    assert server.log.count("Booting worker") == 1
    assert server.log.count("Traceback|Error handling") == 0


def test_an_overdue_stream_breaks_off(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--request-timeout", "1", cwd=site)
    held = HeldRequest(server, site, "/stream")
    got = held.answer()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not got.endswith(b"0\r\n\r\n")
    server.wait_for("Request GET /stream overran")
    assert server.get("/closed") == (200, b"1 []")


def test_waiting_is_no_silence(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--timeout", "1", "--keep-alive", "1", cwd=site)
    held = HeldRequest(server, site)
    computing = ask(server, "/compute")  # silent from now on: the greenlet never lets go
    server.wait_for(r"\[CRITICAL\] WORKER TIMEOUT")
    assert held.answer() == b""
    assert answer(computing) == b""
    held = HeldRequest(server, site)
    for _ in range(2):  # the heart of a worker whose request waits goes on
        wait_a_second(server)
    held.release()
    assert held.answer().endswith(b"held")
    assert len(server.workers) == 2


def wait_a_second(server: ServerProcess) -> None:
    """Wait until a connection without a request is closed, with --keep-alive 1."""
    with server.connect() as client:
        client.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
        while client.recv(65536):
            pass


# -- clients ---------------------------------------------------------------------------------------


def test_a_slow_reader_suspends_its_own_greenlet(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--send-timeout", "1", "--keep-alive", "1", cwd=site)
    with ask(server, "/endless") as slow:
        slow.recv(1)
        for _ in range(3):
            assert server.get("/patched") == (200, b"True")
        # It reads no more, until the server gives up.
        while server.get("/closed")[1] == b"0 []":
            wait_a_second(server)
        assert server.get("/closed") == (200, b"1 []")
    assert server.log.count(r"\[(ERROR|WARNING)\]|Traceback") == 0


def test_a_client_that_leaves_is_no_error(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, cwd=site)
    held = HeldRequest(server, site, "/stream")
    held.client.close()
    held.release()
    while server.get("/closed")[1] != b"1 []":
        pass
    assert server.log.count(r"\[(ERROR|WARNING)\]|Traceback") == 0


def test_connections_are_bounded(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--worker-connections", "1", cwd=site)
    held = HeldRequest(server, site)
    second = ask(server, "/holding")  # waits in the kernel's queue until the first has left
    held.release()
    assert answer(second) == b"0"
    assert held.answer().endswith(b"held")


# -- the life of a worker --------------------------------------------------------------------------


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_term_waits_for_what_runs(preload: tuple[str, ...], serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, *preload, cwd=site)
    held = HeldRequest(server, site)
    idle = server.connect()
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    held.release()
    assert held.answer().endswith(b"held")
    assert server.wait() == 0
    idle.close()
    assert server.log.count(r"\[(ERROR|WARNING|CRITICAL)\]|Traceback") == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_waits_for_nothing(number: int, serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--graceful-timeout", "60", cwd=site)
    held = HeldRequest(server, site)
    server.signal(number)
    assert server.wait() == 0
    assert held.answer() == b""
    assert server.log.count("Worker exiting") == 1
    assert server.log.count("Traceback") == 0


def test_a_reload_finishes_what_runs(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, cwd=site)
    first = server.get("/pid")[1]
    held = HeldRequest(server, site)
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    while server.get("/pid")[1] == first:  # told to leave, and perhaps not yet heard
        pass
    held.release()
    assert held.answer().endswith(b"held")
    wait_gone(int(first))


def test_max_requests(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, "--max-requests", "5", cwd=site)
    first = server.get("/pid")[1]
    while server.get("/pid")[1] == first:
        pass
    server.wait_for("Worker exiting")
    assert server.log.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_it_leaves_when_the_master_dies(serve: Serve, site: Path) -> None:
    server = serve(*GEVENT, cwd=site)
    worker = int(server.get("/pid")[1])
    server.signal(signal.SIGKILL)
    wait_gone(worker)
    server.wait_for("Worker exiting")


def test_a_plain_master_imports_no_gevent() -> None:
    program = (
        "import fastwsgi.process.program, fastwsgi.wiring, sys; print('gevent' in sys.modules)"
    )
    found = subprocess.check_output(
        [sys.executable, "-c", program], text=True, env=environment(), timeout=PATIENCE
    )
    assert found == "False\n"
