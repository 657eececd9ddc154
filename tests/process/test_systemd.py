"""Sockets that systemd opens, what it is told, and its watchdog; by its own protocols, without it."""

import fcntl
import http.client
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fastwsgi.process.systemd import Notifier, take_sockets, watchdog_pause
from fastwsgi.process.upgrade import heirs_environment
from tests.conftest import Serve
from tests.support.server import COMMAND, PATIENCE, ServerProcess

# Becomes the command with the descriptors $FDS as 3, 4 ..., as systemd starts a service.
ACTIVATE = (
    "/bin/bash",
    "-c",
    'n=3; for fd in $FDS; do eval "exec $n<&$fd"; n=$((n + 1)); done;'
    ' LISTEN_PID=$$ LISTEN_FDS=$((n - 3)) LISTEN_FDNAMES=web exec "$@"',
    "bash",
    *COMMAND,
)

Activate = Callable[..., ServerProcess]


class Systemd:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(PATIENCE)

    def hear(self) -> dict[str, str]:
        """The next message, by the names of its variables."""
        lines = self._socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hears_within(self, seconds: float) -> bool:
        """Whether a message comes in this time, which is one that the test has to wait for."""
        return bool(select.select([self._socket], [], [], seconds)[0]) and bool(self.hear())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    notified = Systemd(str(tmp_path / "notify"))
    yield notified
    notified.close()


@pytest.fixture
def activate(site: Path) -> Iterator[Activate]:
    """A factory of servers with the sockets they are given."""
    with ExitStack() as running:

        def start(*args: str, sockets: list[socket.socket]) -> ServerProcess:
            # High numbers, so that none is overwritten before its turn.
            fds = [fcntl.fcntl(sock, fcntl.F_DUPFD, 100) for sock in sockets]
            for fd in fds:
                running.callback(os.close, fd)
            env = {"FDS": " ".join(map(str, fds))}
            return running.enter_context(
                ServerProcess.start(args, site, env, command=ACTIVATE, pass_fds=fds)
            )

        yield start


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[list[socket.socket]]:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "x.sock"))
    unix.listen()
    with socket.create_server(("127.0.0.1", 0)) as tcp, unix:
        yield [tcp, unix]


def test_sockets_of_systemd_take_the_place_of_bind(
    activate: Activate, listening: list[socket.socket], site: Path
) -> None:
    server = activate("app:app", "-b", "192.0.2.1:1", sockets=listening)
    port = listening[0].getsockname()[1]
    assert server.addresses == [f"http://127.0.0.1:{port}", f"unix:{site}/x.sock"]
    assert server.get("/") == (200, b"hello")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        assert server.get(f"/env?{name}") == (200, b"unset")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    assert server.get("/") == (200, b"hello")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    # Systemd listens on, and so does the file of its socket.
    assert (site / "x.sock").exists()
    socket.create_connection(listening[0].getsockname()).close()


def test_an_upgrade_passes_them_on_as_systemd_does(
    activate: Activate, listening: list[socket.socket], site: Path
) -> None:
    server = activate("app:app", sockets=listening)
    server.signal(signal.SIGUSR2)
    new = int(server.wait_for(r"the new master has the pid (\d+)")[1])
    server.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    assert server.get("/pid")[1] == str(server.workers[-1]).encode()
    os.kill(new, signal.SIGTERM)
    server.wait()
    assert (site / "x.sock").exists()


def test_metrics_have_an_address_besides(
    activate: Activate, listening: list[socket.socket], site: Path
) -> None:
    """Through an upgrade, too, although nobody but the master knows of it."""
    server = activate("app:app", "--metrics-bind", "127.0.0.2:0", sockets=listening)
    assert server.addresses[1] == f"unix:{site}/x.sock"
    metrics = server.addresses[2].removeprefix("http://").split(":")

    def ask() -> tuple[int, bytes]:
        client = http.client.HTTPConnection(metrics[0], int(metrics[1]), timeout=PATIENCE)
        client.request("GET", "/metrics", headers={"Connection": "close"})
        response = client.getresponse()
        return response.status, response.read()

    assert server.get("/metrics") == (200, b"hello")
    assert ask()[1].startswith(b"# HELP fastwsgi_")
    server.signal(signal.SIGUSR2)
    new = int(server.wait_for(r"the new master has the pid (\d+)")[1])
    server.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    assert ask()[1].startswith(b"# HELP fastwsgi_")
    assert server.get("/metrics") == (200, b"hello")
    os.kill(new, signal.SIGTERM)
    server.wait()


def test_one_of_its_sockets_may_be_for_metrics(
    activate: Activate, listening: list[socket.socket], site: Path
) -> None:
    server = activate("app:app", "--metrics-bind", "fd://3", sockets=listening)
    assert server.addresses[0] == f"unix:{site}/x.sock"
    assert server.get("/metrics")[1].startswith(b"# HELP fastwsgi_")  # the first TCP address
    assert server.get("/")[0] == 404


def test_what_an_heir_gets() -> None:
    pid = str(os.getpid())
    environ = {"A": "1", "GUNICORN_PID": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}
    own = heirs_environment(environ, 7, [3, 9], [])
    assert own == {"A": "1", "GUNICORN_PID": "7", "GUNICORN_FD": "3,9"}
    watched = {"WATCHDOG_PID": "7", "WATCHDOG_USEC": "5", "GUNICORN_FD": "3"}
    given = heirs_environment(watched, 7, [3, 4, 9], [3, 4])
    assert given == {
        "GUNICORN_PID": "7",
        "GUNICORN_FD": "9",
        "LISTEN_PID": pid,
        "LISTEN_FDS": "2",
        "WATCHDOG_PID": pid,
        "WATCHDOG_USEC": "5",
    }


def test_sockets_for_another_process_are_left_to_it(serve: Serve, site: Path) -> None:
    env = {"LISTEN_PID": "1", "LISTEN_FDS": "3"}
    server = serve("app:app", "-b", "127.0.0.1:0", cwd=site, env=env)
    assert server.get("/") == (200, b"hello")


def test_what_is_taken_is_taken_once() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "A": ""}
    assert take_sockets(environ) == (3, 4)
    assert environ == {"A": ""}
    assert take_sockets(environ) == ()


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing"
)
def test_the_tool_of_systemd_itself(site: Path) -> None:
    path = site / "x.sock"
    command = (
        "systemd-socket-activate",
        "-l",
        str(path),
        "-E",
        "PYTHONPATH",
        "-E",
        "PATH",
        *COMMAND,
    )
    with ServerProcess(["app:app"], site, command=command) as server:
        server.wait_for(r"Listening on")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").read().endswith(b"hello")
        server.ready().signal(signal.SIGTERM)
        assert server.wait() == 0


def test_it_is_told_of_start_reload_and_end(systemd: Systemd, serve: Serve, site: Path) -> None:
    env = {"NOTIFY_SOCKET": str(site / "notify"), "PYTHONDONTWRITEBYTECODE": "1"}
    server = serve("app:app", "-b", "127.0.0.1:0", cwd=site, env=env)
    assert systemd.hear()["READY"] == "1"
    server.wait_for("Ready: ")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    server.signal(signal.SIGHUP)
    message = systemd.hear()
    assert message["RELOADING"] == "1"
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(message["MONOTONIC_USEC"]) <= after
    assert systemd.hear() == {"READY": "1", "STATUS": "Reloaded"}
    (site / "app.py").write_text("raise RuntimeError")
    server.signal(signal.SIGHUP)
    assert systemd.hear()["RELOADING"] == "1"
    assert systemd.hear() == {"READY": "1", "STATUS": "Not reloaded"}
    server.signal(signal.SIGTERM)
    assert systemd.hear()["STOPPING"] == "1"
    assert server.wait() == 0
    assert not systemd.hears_within(0)


def test_a_reload_that_cannot_begin_is_over(systemd: Systemd, serve: Serve, site: Path) -> None:
    (site / "gunicorn.conf.py").write_text("bind = '127.0.0.1:0'\n")
    server = serve("app:app", cwd=site, env={"NOTIFY_SOCKET": str(site / "notify")})
    assert systemd.hear()["READY"] == "1"
    (site / "gunicorn.conf.py").write_text("workers = 'x'\n")
    server.signal(signal.SIGHUP)
    assert systemd.hear()["RELOADING"] == "1"
    assert systemd.hear() == {"READY": "1", "STATUS": "Not reloaded"}


def test_after_an_upgrade_the_new_master_is_the_service(
    systemd: Systemd, serve: Serve, site: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(site / "notify")}
    server = serve("app:app", "-b", "127.0.0.1:0", cwd=site, env=env)
    assert systemd.hear()["READY"] == "1"
    server.signal(signal.SIGUSR2)
    new = int(server.wait_for(r"the new master has the pid (\d+)")[1])
    assert systemd.hear()["READY"] == "1"
    server.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
    server.signal(signal.SIGTERM)
    # The old one says so, as systemd by default believes nobody else; then the new one.
    assert systemd.hear() == {"MAINPID": str(new)}
    assert systemd.hear() == {"MAINPID": str(new)}
    os.kill(new, signal.SIGTERM)
    assert systemd.hear()["STOPPING"] == "1"


def test_a_new_master_that_leaves_is_not_the_end(
    systemd: Systemd, serve: Serve, site: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(site / "notify")}
    server = serve("app:app", "-b", "127.0.0.1:0", cwd=site, env=env)
    server.signal(signal.SIGUSR2)
    new = int(server.wait_for(r"the new master has the pid (\d+)")[1])
    server.wait_for(rf"\[{new}\] \[INFO\] Ready: ")
    assert [systemd.hear()["READY"] for _ in range(2)] == ["1", "1"]
    os.kill(new, signal.SIGTERM)
    server.wait_for("The new master")
    assert not systemd.hears_within(0)


def test_the_watchdog_is_fed_by_a_loop_that_runs(
    systemd: Systemd, serve: Serve, site: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(site / "notify"), "WATCHDOG_USEC": "100000"}
    server = serve("app:app", "-b", "127.0.0.1:0", cwd=site, env=env)
    assert systemd.hear()["READY"] == "1"
    start = time.monotonic()
    for _ in range(5):
        assert systemd.hear() == {"WATCHDOG": "1"}
    assert time.monotonic() - start >= 0.2  # not more often than asked for
    server.signal(signal.SIGSTOP)
    # A master that is stopped, or stuck, says nothing; one more may be on its way.
    while systemd.hears_within(0.2):
        pass
    server.signal(signal.SIGCONT)
    assert systemd.hear() == {"WATCHDOG": "1"}


@pytest.mark.parametrize(
    ("environ", "pause"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, float("inf")),
        ({"WATCHDOG_USEC": "0"}, float("inf")),
        ({"WATCHDOG_USEC": "x"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_whether_there_is_a_watchdog(environ: dict[str, str], pause: float) -> None:
    assert watchdog_pause(environ) == pause


def test_an_abstract_address_and_nobody_there() -> None:
    name = f"fastwsgi-test-{os.getpid()}"
    notified = Systemd(f"\0{name}")
    notifier = Notifier({"NOTIFY_SOCKET": f"@{name}"})
    notifier.ready("Listening")
    assert notified.hear() == {"READY": "1", "STATUS": "Listening"}
    assert notifier.ping_at == float("inf")
    notified.close()
    notifier.stopping()
    Notifier({}).stopping()
