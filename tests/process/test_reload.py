"""HUP: the new generation is there before the old one goes, or does not come at all."""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import wait_gone
from tests.support.visitor import Visitor

LOCAL = ("-b", "127.0.0.1:0")


def write_version(site: Path, version: str) -> None:
    text = (site / "app.py").read_text()
    before = text.partition('VERSION = "')[2].partition('"')[0]
    (site / "app.py").write_text(text.replace(f'VERSION = "{before}"', f'VERSION = "{version}"'))


def test_new_code_is_served_and_no_request_fails(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    server.wait_for("Ready: 2 workers")  # and so both have read the first version
    visitors = [Visitor(server) for _ in range(4)]
    for round_number in range(2, 8):
        version = str(round_number) * round_number
        write_version(site, version)
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: 2 new workers are ready", count=round_number - 1)
        for visitor in visitors:
            visitor.wait_for(version.encode())
    for visitor in visitors:
        visitor.leave()
    assert [visitor.failures for visitor in visitors] == [[], [], [], []]
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log.count(r"\[(ERROR|CRITICAL|WARNING)\]") == 0, server.log.text()


def test_the_old_generation_leaves_only_when_the_new_is_ready(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    old = server.get("/pid")[1]
    held = HeldRequest(server, site)  # makes the FIFOs, and shows that the old one serves
    held.release()
    held.answer()
    with (site / "app.py").open("a") as file:
        file.write(
            "os.close(os.open(HERE / 'started', os.O_WRONLY))\n"
            "os.close(os.open(HERE / 'hold', os.O_RDONLY))\n"
        )
    server.signal(signal.SIGHUP)
    with (site / "started").open():  # the new one is importing the application
        pass
    assert server.get("/pid")[1] == old
    held.release()
    server.wait_for("Reloaded: 1 new workers are ready")
    server.wait_for(rf"\[{old.decode()}\] \[INFO\] Worker exiting")
    assert server.get("/pid")[1] == str(server.workers[-1]).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 +", "SyntaxError: invalid syntax"),
        ("import os; os._exit(3)", "exited with code 3 before it was ready"),
        ("import os; os.kill(os.getpid(), 11)", "was sent SIGSEGV! before it was ready"),
        ("import sys; sys.exit()", "its code called sys.exit"),
        ("", "has no attribute 'app'"),
    ],
)
def test_a_broken_application_leaves_the_old_generation(
    text: str, said: str, serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    server.wait_for("Ready: 2 workers")
    visitor = Visitor(server)
    whole = (site / "app.py").read_text()
    (site / "app.py").write_text(text)
    server.signal(signal.SIGHUP)
    server.wait_for(r"\[ERROR\] Not reloaded, going on as before: ")
    server.wait_for(said)
    visitor.wait_for(b"1")
    (site / "app.py").write_text(whole.replace('"1"', '"22"'))
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: 2 new workers are ready")
    visitor.wait_for(b"22")
    visitor.leave()
    assert visitor.failures == []
    assert server.log.count(r"\[ERROR\]") == 1, server.log.text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers = ", "SyntaxError"),
        ("workers = 'x'", "the setting workers takes a whole number"),
        ("chdir = '/gone'", "the setting chdir takes a folder"),
        ("errorlog = '/gone/x'", "the log file '/gone/x'"),
        ("pidfile = '/gone/x'", "the pidfile '/gone/x'"),
        ("bind = '192.0.2.1:1'", "cannot listen on 192.0.2.1:1"),
    ],
)
def test_a_broken_configuration_changes_nothing(
    text: str, said: str, serve: Serve, site: Path
) -> None:
    (site / "gunicorn.conf.py").write_text("bind = '127.0.0.1:0'\n")
    server = serve("app:app", cwd=site)
    pid = server.get("/pid")
    (site / "gunicorn.conf.py").write_text(text)
    server.signal(signal.SIGHUP)
    server.wait_for(rf"\[ERROR\] Not reloaded, going on as before: .*{said}")
    assert server.get("/pid") == pid
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert len(server.workers) == 1


def test_new_settings_take_effect(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    (site / "sub").mkdir()
    (site / "sub" / "app.py").write_text((site / "app.py").read_text().replace('"1"', '"sub"'))
    conf.write_text("bind = '127.0.0.1:0'\nraw_env = ['A=1', 'B=1']\npidfile = 'one.pid'\n")
    server = serve("app:app", cwd=site)
    assert (server.get("/env?A")[1], server.get("/env?B")[1]) == (b"1", b"1")
    former = int(server.wait_for(r"Booting worker with pid: (\d+)")[1])
    conf.write_text(
        "bind = '127.0.0.1:0'\nraw_env = ['A=2']\npidfile = 'two.pid'\nchdir = 'sub'\n"
        "workers = 3\nerrorlog = 'error.log'\n"
    )
    server.signal(signal.SIGHUP)
    server.wait_for("Hang up: Master")
    visitor = Visitor(server)
    visitor.wait_for(b"sub")
    visitor.leave()
    wait_gone(former)
    assert (server.get("/env?A")[1], server.get("/env?B")[1]) == (b"2", b"unset")
    assert not (site / "one.pid").exists()
    assert (site / "sub" / "two.pid").read_text() == f"{server.pid}\n"
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    log = (site / "sub" / "error.log").read_text()
    assert log.count("Booting worker") == 3
    assert "Reloaded: 3 new workers are ready" in log


def test_only_changed_addresses_are_bound_anew(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text("bind = ['127.0.0.1:0', 'unix:old.sock']\n")
    server = serve("app:app", cwd=site)
    assert server.get("/") == (200, b"hello")
    conf.write_text("bind = ['127.0.0.1:0', 'unix:new.sock']\n")
    server.signal(signal.SIGHUP)
    line = server.wait_for(r"Listening at: (\S+) ", count=2)
    assert line[1] == f"http://127.0.0.1:{server.port},unix:new.sock"
    server.wait_for("Reloaded")
    assert not (site / "old.sock").exists()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site / "new.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"hello")


def test_a_failed_reload_keeps_the_old_addresses(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text("bind = ['127.0.0.1:0', 'unix:old.sock']\n")
    server = serve("app:app", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert server.get("/") == (200, b"hello")
    conf.write_text("bind = ['unix:new.sock']\n")
    whole = (site / "app.py").read_text()
    (site / "app.py").write_text("raise RuntimeError")
    server.signal(signal.SIGHUP)
    server.wait_for("Not reloaded")
    (site / "app.py").write_text(whole)
    assert (site / "old.sock").exists()
    assert not (site / "new.sock").exists()
    assert server.get("/") == (200, b"hello")


def test_a_failed_reload_keeps_the_old_files(serve: Serve, site: Path) -> None:
    conf, whole = site / "gunicorn.conf.py", (site / "app.py").read_text()
    conf.write_text("bind = '127.0.0.1:0'\npidfile = 'one.pid'\nerrorlog = '-'\n")
    server = serve("app:app", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert server.get("/") == (200, b"hello")
    conf.write_text("bind = '127.0.0.1:0'\npidfile = 'two.pid'\nerrorlog = 'error.log'\n")
    (site / "app.py").write_text("raise RuntimeError")
    server.signal(signal.SIGHUP)
    server.wait_for("Not reloaded")
    assert (site / "one.pid").read_text() == f"{server.pid}\n"
    assert not (site / "two.pid").exists()
    (site / "app.py").write_text(whole)
    server.signal(signal.SIGHUP)
    server.wait_for("Worker exiting")  # the old one, which writes where it always did
    assert (site / "two.pid").read_text() == f"{server.pid}\n"
    assert not (site / "one.pid").exists()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Reloaded: 1 new workers are ready" in (site / "error.log").read_text()


def test_another_hup_takes_the_place_of_one_that_hangs(serve: Serve, site: Path) -> None:
    server = serve(
        "app:app", *LOCAL, "-t", "0", "--graceful-timeout", "1",
        cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    server.wait_for("Ready: 1 workers")
    for fifo in ("started", "hold"):
        os.mkfifo(site / fifo)
    whole = (site / "app.py").read_text()
    (site / "app.py").write_text(
        f"{whole}\nos.close(os.open(HERE / 'started', os.O_WRONLY))\n"
        "os.close(os.open(HERE / 'hold', os.O_RDONLY))\n"
    )
    server.signal(signal.SIGHUP)
    with (site / "started").open():  # the new worker hangs in its import
        pass
    (site / "app.py").write_text(whole.replace('"1"', '"22"'))
    for count in (2, 3):  # of a burst, not each begins a generation
        server.signal(signal.SIGHUP)
        server.wait_for("Handling signal: hup", count=count)
    server.wait_for("Not reloaded, going on as before: another HUP came")
    server.wait_for("Reloaded: 1 new workers are ready")
    visitor = Visitor(server)
    visitor.wait_for(b"22")
    visitor.leave()
    hanging = server.worker(1)
    server.wait_for(rf"Worker \(pid:{hanging}\) did not leave in time")
    assert len(server.workers) == 3


def test_a_deployment_that_moves_a_link_is_followed(serve: Serve, site: Path) -> None:
    for release in ("one", "two"):
        (site / release).mkdir()
        (site / release / "app.py").write_text((site / "app.py").read_text())
        write_version(site / release, release)
    (site / "current").symlink_to("one")
    server = serve("app:app", *LOCAL, cwd=site / "current", env={"PWD": str(site / "current")})
    assert server.get("/version") == (200, b"one")
    (site / "next").symlink_to("two")
    (site / "next").rename(site / "current")
    shutil.rmtree(site / "one")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    visitor = Visitor(server)
    visitor.wait_for(b"two")
    visitor.leave()


def test_a_folder_that_is_gone_changes_nothing(serve: Serve, site: Path) -> None:
    (site / "gone").mkdir()
    (site / "app.py").rename(site / "gone" / "app.py")
    server = serve("app:app", *LOCAL, cwd=site / "gone", env={"PWD": ""})
    pid = server.get("/pid")
    shutil.rmtree(site / "gone")
    server.signal(signal.SIGHUP)
    server.wait_for(r"\[ERROR\] Not reloaded, going on as before: cannot change to")
    assert server.get("/pid") == pid


def test_a_preloaded_application_stays(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--preload", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert server.get("/version") == (200, b"1")
    write_version(site, "2")
    server.signal(signal.SIGHUP)
    server.wait_for(r"\[WARNING\] The application is preloaded")
    server.wait_for("Reloaded")
    assert server.get("/version") == (200, b"1")


def test_reuse_port_survives_a_reload(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--reuse-port", "-w", "3", cwd=site)
    visitors = [Visitor(server) for _ in range(3)]
    for count in (1, 2):
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: 3 new workers are ready", count=count)
    for visitor in visitors:
        visitor.wait_for(b"1")
        visitor.leave()
    assert [visitor.failures for visitor in visitors] == [[], [], []]
