"""USR2: two masters on the same sockets, and whichever leaves, the other serves on."""

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import ServerProcess, wait_gone
from tests.support.visitor import Visitor

LOCAL = ("-b", "127.0.0.1:0")
TROUBLE = r"\[(ERROR|CRITICAL)\]"


def send_usr2(server: ServerProcess, count: int = 1) -> int:
    """The pid of the new master."""
    server.signal(signal.SIGUSR2)
    return int(server.wait_for(r"the new master has the pid (\d+)", count=count)[1])


def upgrade(server: ServerProcess, count: int = 1) -> int:
    """The pid of the new master, when its workers are ready."""
    pid = send_usr2(server, count)
    server.wait_for(rf"\[{pid}\] \[INFO\] Ready: ")
    return pid


def ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return client.makefile("rb").read()


@pytest.mark.parametrize("extra", [[], ["--reuse-port"], ["--threads", "4"]])
def test_the_new_master_takes_over_and_no_request_fails(
    extra: list[str], serve: Serve, site: Path
) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", "-p", "x.pid", *extra, cwd=site)
    server.wait_for("Ready: 2 workers")
    visitors = [Visitor(server) for _ in range(4)]
    old, new = server.pid, upgrade(server)
    assert (site / "x.pid").read_text() == f"{old}\n"
    assert (site / "x.pid.2").read_text() == f"{new}\n"
    server.signal(signal.SIGTERM)
    server.wait_for(rf"\[{new}\] \[INFO\] Master has been promoted")
    for visitor in visitors:
        visitor.wait_for(b"1")
        visitor.leave()
    assert [visitor.failures for visitor in visitors] == [[], [], [], []]
    assert (site / "x.pid").read_text() == f"{new}\n"
    assert not (site / "x.pid.2").exists()
    os.kill(new, signal.SIGTERM)
    assert server.wait() == 0
    assert not (site / "x.pid").exists()
    assert server.log.count(TROUBLE) == 0, server.log.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL])
def test_there_is_a_way_back(number: signal.Signals, serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-b", "unix:x.sock", "-p", "x.pid", cwd=site)
    new = upgrade(server)
    visitor = Visitor(server)
    if number != signal.SIGTERM:  # what comes now may be with the new one, and break off
        visitor.leave()
    os.kill(new, number)
    server.wait_for(rf"The new master \(pid: {new}\) ")
    visitor.leave()
    assert visitor.failures == []
    wait_gone(server.worker(1))
    assert server.get("/pid")[1] == str(server.worker(0)).encode()
    assert ask(site / "x.sock").endswith(b"hello")
    assert (site / "x.pid").read_text() == f"{server.pid}\n"
    again = upgrade(server, 2)
    assert again != new
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    os.kill(again, signal.SIGTERM)
    assert server.wait() == 0
    assert not (site / "x.sock").exists()


def test_two_masters_are_enough(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    new = upgrade(server)
    server.signal(signal.SIGUSR2)
    server.wait_for(rf"\[{server.pid}\] \[WARNING\] USR2 ignored: .* \(pid: {new}\)")
    os.kill(new, signal.SIGUSR2)
    server.wait_for(rf"\[{new}\] \[WARNING\] USR2 ignored: .* \(pid: {server.pid}\)")
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    os.kill(new, signal.SIGUSR2)
    third = int(server.wait_for(rf"\[{new}\] .* the new master has the pid (\d+)")[1])
    server.wait_for(rf"\[{third}\] \[INFO\] Ready: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_file_of_a_unix_socket_stays_while_a_master_lives(
    number: signal.Signals, serve: Serve, site: Path
) -> None:
    server = serve("app:app", "-b", "unix:x.sock", cwd=site)
    inode = (site / "x.sock").stat().st_ino
    new = upgrade(server)
    server.signal(number)
    server.wait_for("Master has been promoted")
    assert (site / "x.sock").stat().st_ino == inode
    assert ask(site / "x.sock").endswith(b"hello")
    os.kill(new, signal.SIGTERM)
    server.wait()
    assert not (site / "x.sock").exists()


def test_a_new_master_that_cannot_boot_changes_nothing(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-p", "x.pid", cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    server.wait_for("Ready: ")
    visitor = Visitor(server)
    whole = (site / "app.py").read_text()
    (site / "app.py").write_text("raise RuntimeError")
    new = send_usr2(server)
    server.wait_for(rf"\[WARNING\] The new master \(pid: {new}\) exited with code 4")
    (site / "app.py").write_text(whole.replace('"1"', '"22"'))
    assert not (site / "x.pid.2").exists()
    new = upgrade(server, 2)
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    visitor.wait_for(b"22")
    visitor.leave()
    assert visitor.failures == []


def test_the_new_master_reads_everything_anew(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text("bind = ['127.0.0.1:0', 'unix:one.sock']\nraw_env = ['A=1']\n")
    server = serve("app:app", cwd=site, env={"B": "given"})
    assert server.get("/env?A") == (200, b"1")
    conf.write_text("bind = ['unix:two.sock', '127.0.0.1:0']\nworkers = 2\n")
    new = upgrade(server)
    line = server.wait_for(rf"Listening at: (\S+) \({new}\)")
    assert line[1] == f"unix:two.sock,http://127.0.0.1:{server.port}"
    assert ask(site / "one.sock").endswith(b"hello")  # the old master's still
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    assert ask(site / "two.sock").endswith(b"hello")
    assert server.get("/env?A") == (200, b"unset")
    assert server.get("/env?B") == (200, b"given")
    for name in ("GUNICORN_PID", "GUNICORN_FD", "LISTEN_FDS"):
        assert server.get(f"/env?{name}") == (200, b"unset")


def test_what_runs_in_the_old_master_is_finished(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--drain-delay", "60", "--health-path", "/up", cwd=site)
    held = HeldRequest(server, site)
    new = upgrade(server)
    server.signal(signal.SIGTERM)
    # Somebody serves on: there is nothing to delay, and nobody hears that the server would end.
    assert server.get("/up")[0] == 200
    held.release()
    assert held.answer().endswith(b"held")
    server.wait_for(rf"\[{new}\] \[INFO\] Master has been promoted")
    assert server.log.count("Listening for") == 0


def test_hup_works_in_both(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-p", "x.pid", cwd=site)
    new = upgrade(server)
    for pid in (server.pid, new):
        os.kill(pid, signal.SIGHUP)
        server.wait_for(rf"\[{pid}\] \[INFO\] Reloaded")
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    os.kill(new, signal.SIGHUP)
    server.wait_for(rf"\[{new}\] \[INFO\] Reloaded", count=2)
    assert (site / "x.pid").read_text() == f"{new}\n"
    assert server.get("/") == (200, b"hello")
    assert server.log.count(TROUBLE) == 0, server.log.text()


def test_more_and_fewer_workers_with_a_socket_each(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text("workers = 2\nreuse_port = True\n")
    server = serve("app:app", *LOCAL, cwd=site)
    visitors = [Visitor(server) for _ in range(3)]
    master = server.pid
    for count in (3, 1):
        server.wait_for(rf"\[{master}\] \[INFO\] Ready: ")
        conf.write_text(f"workers = {count}\nreuse_port = True\n")
        os.kill(master, signal.SIGUSR2)
        heir = int(server.wait_for(rf"\[{master}\] .* the new master has the pid (\d+)")[1])
        server.wait_for(rf"\[{heir}\] \[INFO\] Ready: {count} workers")
        # With fewer, what arrives at a socket in the moment it is closed is reset by the kernel, unless
        # net.ipv4.tcp_migrate_req is set.
        for visitor in visitors if count == 1 else ():
            visitor.leave()
        os.kill(master, signal.SIGTERM)
        server.wait_for(rf"\[{heir}\] \[INFO\] Master has been promoted")
        master = heir
    assert [visitor.failures for visitor in visitors] == [[], [], []]
    assert {server.get("/")[0] for _ in range(40)} == {200}


def test_a_socket_that_was_passed_on_is_passed_on(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        with ServerProcess.start(["app:app", "-b", f"fd://{fd}"], site, pass_fds=[fd]) as server:
            server.signal(signal.SIGHUP)
            server.wait_for("Reloaded")
            assert server.get("/") == (200, b"hello")
            new = upgrade(server)
            server.signal(signal.SIGTERM)
            server.wait_for("Master has been promoted")
            assert server.get("/pid")[1] == str(server.workers[-1]).encode()
            os.kill(new, signal.SIGTERM)
            wait_gone(new)


def test_a_program_is_upgraded_as_a_command_is(site: Path) -> None:
    (site / "serve.py").write_text(
        "import fastwsgi, sys\n"
        "print(sys.argv, flush=True)\n"
        "fastwsgi.run('app:app', host='127.0.0.1', port=0)\n"
    )
    with ServerProcess.start(["a b"], site, command=(sys.executable, "serve.py")) as server:
        upgrade(server)
        server.signal(signal.SIGTERM)
        server.wait_for("Master has been promoted")
        assert server.get("/") == (200, b"hello")
        assert server.out.lines == ["['serve.py', 'a b']"] * 2


@pytest.mark.parametrize(
    ("value", "said"),
    [("x", "is no list of descriptors; unset it"), ("99", "cannot listen on fd://99: bad file")],
)
def test_variables_that_make_no_sense_end_the_start(
    value: str, said: str, serve: Serve, site: Path
) -> None:
    env = {"GUNICORN_PID": "1", "GUNICORN_FD": value}
    server = serve("app:app", *LOCAL, cwd=site, env=env, ready=False)
    assert server.wait() == 1
    assert re.search(rf"fastwsgi: error: .*{said}", server.log.lines[-1])


def test_the_names_say_which_is_which(serve: Serve, site: Path) -> None:
    (site / "setproctitle.py").write_text(
        "import os\ndef setproctitle(title): os.write(1, f'{os.getpid()} {title}\\n'.encode())\n"
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    server = serve("app:app", *LOCAL, cwd=site, env={"PYTHONPATH": path})
    new = upgrade(server)
    server.out.wait_for(rf"^{new} fastwsgi: master \[app:app\.2\]$")
    server.signal(signal.SIGTERM)
    server.out.wait_for(rf"^{new} fastwsgi: master \[app:app\]$")


def test_the_hook_before_the_new_master(serve: Serve, site: Path) -> None:
    conf = site / "gunicorn.conf.py"
    conf.write_text(
        "import os\n"
        "def pre_exec(server):\n"
        "    server.log.info('pre_exec of %s in %s', server.pid, os.getpid())\n"
        "    if os.path.exists('broken'):\n"
        "        raise RuntimeError('not today')\n"
    )
    server = serve("app:app", *LOCAL, cwd=site)
    new = upgrade(server)
    server.wait_for(rf"pre_exec of {server.pid} in {new}")
    os.kill(new, signal.SIGTERM)
    server.wait_for("The new master")
    (site / "broken").touch()
    new = send_usr2(server, 2)
    server.wait_for(rf"The new master \(pid: {new}\) exited with code 1")
    assert server.log.count("RuntimeError: not today") == 1
    assert server.get("/") == (200, b"hello")
