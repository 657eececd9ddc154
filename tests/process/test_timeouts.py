"""A request that takes too long: 504 for its client, the stacks for the log, a successor for the worker."""

import os
import signal
from pathlib import Path

import pytest

from fastwsgi.process.signals import TIMEOUT
from tests.conftest import Serve
from tests.support.holding import HeldRequest

LOCAL = ("-b", "127.0.0.1:0")
LIMITS = [("--timeout", "1"), ("--request-timeout", "0.5")]

# What an application does that never ends, at its path.
APP = """
import collections, itertools, os, threading
from pathlib import Path

HERE = Path(__file__).parent

def wait_in_background(): threading.Event().wait()

def hold():
    os.close(os.open(HERE / "started", os.O_WRONLY))
    os.close(os.open(HERE / "hold", os.O_RDONLY))

def stream():
    yield b"x" * 10
    hold()

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [])
        return stream()
    if path == "/deaf":
        try:
            hold()
        except BaseException:
            hold()
    if path == "/c":
        os.close(os.open(HERE / "started", os.O_WRONLY))
        collections.deque(itertools.repeat(0), maxlen=0)  # in C for good, with the GIL held
    if path == "/thread":
        threading.Thread(target=wait_in_background, daemon=True).start()
    if path in ("/hold", "/thread"):
        hold()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize("limit", LIMITS)
def test_the_client_gets_504_and_the_others_their_answers(
    limit: tuple[str, str], serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, *limit, cwd=site)
    held = HeldRequest(server, site)
    with server.connect() as other:
        other.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = held.answer()
        assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        stuck = str(server.worker(0)).encode()
        assert other.makefile("rb").read().endswith(b"\r\n\r\n" + stuck)
    server.wait_for(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{stuck.decode()}\)")
    server.wait_for(rf"RequestTimeout: it took longer than {limit[1]} seconds")
    server.wait_for(rf"\[{stuck.decode()}\] \[INFO\] Worker exiting")
    assert server.get("/pid") == (200, str(server.worker(1)).encode())
    assert server.log.count("WORKER TIMEOUT") == 1
    assert len(server.workers) == 2


@pytest.mark.parametrize("limit", LIMITS)
def test_the_stacks_of_all_threads_are_logged(
    limit: tuple[str, str], serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, *limit, cwd=site)
    assert HeldRequest(server, site, "/thread").answer().startswith(b"HTTP/1.1 504 ")
    server.wait_for(r'File ".*app\.py", line \d+ in wait_in_background')
    server.wait_for(r'File ".*app\.py", line \d+ in hold')


@pytest.mark.parametrize("limit", LIMITS)
def test_a_response_that_has_begun_breaks_off(
    limit: tuple[str, str], serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, *limit, cwd=site)
    answer = HeldRequest(server, site, "/stream").answer()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"a\r\n" + b"x" * 10 + b"\r\n")
    server.wait_for("Worker exiting")


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("path", ["/deaf", "/c"])
def test_what_cannot_be_ended_is_killed(
    path: str, limit: tuple[str, str], serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, *limit, cwd=site)
    held = HeldRequest(server, site, path)
    server.wait_for(r'File ".*app\.py", line \d+ in app')
    assert held.answer() == b""
    server.wait_for(rf"\[ERROR\] Worker \(pid:{server.worker(0)}\) was sent SIGKILL!$")
    assert server.get("/pid") == (200, str(server.worker(1)).encode())


def test_a_signal_that_comes_too_late_ends_no_other_request(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-t", "60", cwd=site)
    server.wait_for("Ready: 1 workers")  # the stacks come in pieces, between which it could stand
    held = HeldRequest(server, site)
    os.kill(server.worker(0), TIMEOUT)
    server.wait_for(r'File ".*app\.py", line \d+ in hold')
    held.release()
    assert held.answer().startswith(b"HTTP/1.1 200 OK\r\n")


def test_one_that_times_out_amid_the_drain_costs_only_itself(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-t", "1", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGTERM)
    assert held.answer().startswith(b"HTTP/1.1 504 ")
    assert server.wait() == 0
    assert server.log.count("did not leave in time") == 0


def test_a_worn_worker_has_time_limits_as_well(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-t", "1", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert server.get("/pid")[0] == 200
    (site / "app.py").write_text("raise RuntimeError")
    for _ in range(2):  # after the first it waits for a successor, which cannot boot
        assert HeldRequest(server, site).answer().startswith(b"HTTP/1.1 504 ")
    assert server.get("/pid") == (200, str(server.worker(0)).encode())


def test_neither_idling_nor_booting_is_a_request(serve: Serve, site: Path) -> None:
    (site / "slow.py").write_text("from app import *\nhold()\n")
    idle = serve("app:app", *LOCAL, "--request-timeout", "0.1", cwd=site)
    pid = idle.get("/pid")
    for name in ("started", "hold"):
        os.mkfifo(site / name)
    booting = serve("slow:app", *LOCAL, "--request-timeout", "0.1", cwd=site)
    with (site / "started").open():
        pass
    # The time that passes is another server's, in whose log it shows.
    third = serve("app:app", *LOCAL, "-t", "3", cwd=site)
    HeldRequest(third, site).answer()
    assert idle.get("/pid") == pid
    os.close(os.open(site / "hold", os.O_WRONLY))
    assert booting.get("/pid") == (200, str(booting.worker(0)).encode())
    assert (idle.log.count("TIMEOUT"), booting.log.count("TIMEOUT")) == (0, 0)
