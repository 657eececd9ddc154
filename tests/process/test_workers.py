"""Workers: replaced when they die, ended when they are stuck, renewed when they are worn."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import ServerProcess, wait_gone

LOCAL = ("-b", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/kill", "was sent SIGKILL! Perhaps out of memory?"),
        ("/exit?3", "exited with code 3"),
        ("/exit?4", "exited with code 4"),
        ("/exit?0", "exited with code 0"),
    ],
)
def test_a_dead_worker_is_replaced_and_the_master_lives(
    path: str, end: str, serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    for round_number in (1, 2, 3):
        with server.connect() as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.makefile("rb").read() == b""
        server.wait_for(re.escape(end), count=round_number)
        server.wait_for("Booting worker", count=round_number + 1)
    assert server.get("/") == (200, b"hello")


def test_boots_that_keep_failing_are_tried_at_growing_intervals(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    whole = (site / "app.py").read_text()
    pid = int(server.get("/pid")[1])
    (site / "app.py").write_text("raise RuntimeError('broken for now')")
    os.kill(pid, signal.SIGKILL)
    times = []
    for count in (2, 3, 4):  # at once, after half a second, after a second
        server.wait_for("Booting worker", count=count)
        times.append(time.monotonic())
        if count == 3:  # a traceback has its lines from the file, as that is when it is printed
            wait_gone(server.worker(2))
            (site / "whole.py").write_text(whole)
            (site / "whole.py").replace(site / "app.py")
    assert times[1] - times[0] > 0.4
    assert times[2] - times[1] > 0.9
    assert server.get("/") == (200, b"hello")
    assert server.log.count("RuntimeError: broken for now") == 1


def test_a_worker_outlives_no_master(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site)
    server.wait_for("Booting worker", count=2)
    server.signal(signal.SIGKILL)
    for pid in server.workers:
        wait_gone(pid)
    assert server.wait(2) == -signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_the_pipe_alone_tells_of_the_masters_end(serve: Serve, site: Path) -> None:
    with (site / "app.py").open("a") as file:
        file.write("import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG\n")
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site)
    server.wait_for("Ready: 2 workers")
    server.signal(signal.SIGKILL)
    server.wait_for("The master is gone; worker leaving", count=2)
    assert server.wait(2) == -signal.SIGKILL


def test_a_busy_worker_finishes_without_its_master(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGKILL)
    held.release()
    assert held.answer().endswith(b"held")
    assert server.wait() == -signal.SIGKILL


def test_a_stuck_worker_does_not_outlive_its_master_for_long(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--graceful-timeout", "1", cwd=site)
    held = HeldRequest(server, site)
    server.signal(signal.SIGKILL)
    assert server.wait(10) == -signal.SIGKILL
    assert held.answer() == b""


def test_a_stopped_worker_goes_on_answers_and_is_replaced(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-t", "1", cwd=site)
    pid = int(server.get("/pid")[1])
    os.kill(pid, signal.SIGSTOP)
    assert server.get("/pid") == (200, str(pid).encode())
    server.wait_for(rf"WORKER TIMEOUT \(pid:{pid}\)")
    server.wait_for(r"reactor\.py.* in ")
    server.wait_for(rf"\[{pid}\] \[INFO\] Worker exiting")
    assert server.get("/pid") == (200, str(server.worker(1)).encode())


def test_an_idle_worker_is_not_stuck_and_timeout_0_never_ends_one(serve: Serve, site: Path) -> None:
    first = serve("app:app", *LOCAL, "-t", "1", cwd=site)
    second = serve("app:app", *LOCAL, "-t", "0", cwd=site)
    held = HeldRequest(second, site)
    # Longer than any allowance on top of the timeout: another server's, which is stuck.
    third = serve("app:app", *LOCAL, "-t", "3", cwd=site)
    HeldRequest(third, site).client.close()
    third.wait_for("WORKER TIMEOUT")
    assert first.get("/pid")[1] == str(first.worker(0)).encode()
    held.release()
    assert held.answer().endswith(b"held")
    assert (first.log.count("TIMEOUT"), second.log.count("TIMEOUT")) == (0, 0)


def test_a_server_that_was_paused_as_a_whole_goes_on(serve: Serve, site: Path) -> None:
    paused = serve("app:app", *LOCAL, "-t", "1", cwd=site)
    other = serve("app:app", *LOCAL, "-t", "4", cwd=site)
    pid = int(paused.get("/pid")[1])
    HeldRequest(other, site).client.close()
    for stopped in (paused.pid, pid):
        os.kill(stopped, signal.SIGSTOP)
    other.wait_for("WORKER TIMEOUT")  # seconds have passed
    for stopped in (paused.pid, pid):
        os.kill(stopped, signal.SIGCONT)
    paused.signal(signal.SIGUSR1)
    paused.wait_for("Handling signal: usr1")
    assert paused.get("/pid") == (200, str(pid).encode())
    paused.signal(signal.SIGTERM)
    assert paused.wait() == 0
    assert paused.log.count("TIMEOUT") == 0


def test_a_worn_worker_is_replaced_and_no_request_fails(serve: Serve, site: Path) -> None:
    server = serve(
        "app:app", *LOCAL, "--max-requests", "20", "--max-requests-jitter", "5", cwd=site
    )
    pids: dict[bytes, int] = {}
    # A worker serves on until its successor has booted, so there is no fixed number.
    while len(pids) < 4 and sum(pids.values()) < 50_000:
        pid = server.get("/pid")[1]
        pids[pid] = pids.get(pid, 0) + 1
    assert len(pids) == 4
    assert all(count >= 20 for count in list(pids.values())[:-1])
    server.wait_for("Worker exiting", count=2)
    assert server.log.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_a_worn_worker_serves_on_where_its_successor_cannot_boot(serve: Serve, site: Path) -> None:
    server = serve(
        "app:app", *LOCAL, "--max-requests", "3", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"}
    )
    first = server.get("/pid")
    (site / "app.py").write_text("raise RuntimeError")
    assert [server.get("/pid") for _ in range(9)] == [first] * 9
    server.wait_for(r"\[ERROR\] the application 'app:app' failed")
    assert server.get("/pid") == first


def test_a_worker_worn_before_the_master_saw_it_ready_was_ready(serve: Serve, site: Path) -> None:
    os.mkfifo(site / "hold")
    whole = (site / "app.py").read_text()
    (site / "app.py").write_text(f"{whole}os.close(os.open(HERE / 'hold', os.O_RDONLY))\n")
    server = serve("app:app", *LOCAL, "--max-requests", "1", cwd=site)
    server.wait_for("Booting worker")
    server.signal(signal.SIGSTOP)
    os.close(os.open(site / "hold", os.O_WRONLY))
    first = server.get("/pid")
    (site / "app.py").write_text("raise RuntimeError")
    server.signal(signal.SIGCONT)
    server.wait_for(r"\[ERROR\] the application 'app:app' failed")
    assert server.get("/pid") == first


def test_orphans_that_the_master_inherits_are_reaped_silently(site: Path) -> None:
    # The attribute survives the exec: the master adopts orphans as PID 1 of a container does.
    adopt = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "
    start = "os.execv(sys.executable, [sys.executable, '-m', 'fastwsgi', *sys.argv[1:]])"
    command = [sys.executable, "-c", adopt + start]
    os.mkfifo(site / "hold")
    with ServerProcess.start(["app:app", *LOCAL], cwd=site, command=command) as server:
        for count in range(2, 5):
            orphan = int(server.get("/orphan")[1])
            os.close(os.open(site / "hold", os.O_WRONLY))
            wait_gone(orphan)
            server.signal(signal.SIGTTIN)
            # The end of the orphan came first, so this worker was forked after the reaping.
            server.wait_for("Booting worker", count=count)
            assert not Path(f"/proc/{orphan}").exists()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.log.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_what_an_application_registers_for_the_end_is_called(serve: Serve, site: Path) -> None:
    with (site / "app.py").open("a") as file:
        file.write(
            "import atexit, threading\n"
            "atexit.register(print, 'atexit ran')\n"
            "done = threading.Event()\n"
            "def finish():\n    done.wait()\n    print('thread ran')\n"
            "threading.Thread(target=finish).start()\n"
            "threading._register_atexit(done.set)\n"
        )
    server = serve("app:app", *LOCAL, cwd=site)
    assert server.get("/")[0] == 200
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.out.lines == ["thread ran", "atexit ran"]


def test_the_master_sleeps(serve: Serve, site: Path) -> None:
    """It spends no time while nothing happens: measured over the life of a stuck worker."""
    server = serve("app:app", *LOCAL, "-w", "2", "-t", "3", cwd=site)
    server.wait_for("Booting worker", count=2)
    assert server.get("/")[0] == 200
    before = switches(server.pid)
    HeldRequest(server, site).client.close()
    server.wait_for("WORKER TIMEOUT")
    # A wake-up for each of a few deadlines and ends, not one for every tenth of a second.
    assert switches(server.pid) - before < 15


def switches(pid: int) -> int:
    """How often a process has gone to sleep."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]


@pytest.mark.parametrize("extra", [(), ("--preload",)], ids=["", "preload"])
def test_the_collector_passes_over_what_was_loaded(
    extra: tuple[str, ...], serve: Serve, site: Path
) -> None:
    (site / "loaded.py").write_text("""import gc, weakref
class Thing: pass
KEPT = [[] for _ in range(10_000)]
circle = Thing()
circle.itself = circle
gone = weakref.ref(circle)
del circle
def app(environ, start_response):
    watched = gc.get_objects()
    kept = {id(thing) for thing in KEPT} & {id(thing) for thing in watched}
    body = f"{len(kept)} {len(watched) < 10_000} {gone()} {gc.isenabled()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
""")
    server = serve("loaded:app", *LOCAL, *extra, cwd=site)
    assert server.get("/") == (200, b"0 True None True")
