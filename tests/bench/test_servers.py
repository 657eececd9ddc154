from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import servers, workloads
from bench.probe import Finding, probe
from bench.programs import Programs
from bench.running import Running, free_port, pinned
from bench.servers import Server, ServerError
from tests.support.server import status

# Accepts on the port, with a child that burns CPU time and ignores SIGTERM.
STUBBORN = """
import os, signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    while True:
        pass
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pause()
"""


def stubborn(port: int) -> Running:
    return Running("stubborn", [sys.executable, "-c", STUBBORN, str(port)], port)


def test_cpu_time_of_all_processes_counts_and_all_are_ended(unused_port: int) -> None:
    with stubborn(unused_port) as server:
        deadline = time.monotonic() + 30
        while server.cpu_seconds() < 0.3:
            assert time.monotonic() < deadline
        pids = [pid for pid, _ in server.processes()]
        assert len(pids) == 2
    for pid in pids:
        assert not alive(pid)


def alive(pid: int) -> bool:
    """Whether the process runs: an orphan that was killed may wait to be reaped."""
    try:
        return status(pid)[0] != "Z"
    except OSError:
        return False


def test_settings_in_the_environment_do_not_reach_the_server(
    unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers 9")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("KEPT", "kept")
    code = (
        "import os, sys; sys.exit(f\"{os.getenv('GUNICORN_CMD_ARGS')} {os.getenv('KEPT')}"
        ' {sys.dont_write_bytecode}")'
    )
    with pytest.raises(ServerError, match="None kept False"):
        Running("telling", [sys.executable, "-c", code], unused_port)


def test_server_that_ends_tells_its_last_line(unused_port: int) -> None:
    code = "import sys; sys.exit('first line\\nno such application')"
    with pytest.raises(ServerError, match="ended with 1: no such application"):
        Running("failing", [sys.executable, "-c", code], unused_port)


def test_a_port_in_use_is_said_and_not_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is in use by another process"):
            Running("late", [sys.executable, "-c", "input()"], port)


def test_server_that_cannot_be_executed(unused_port: int, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="does not start: No such file"):
        Running("absent", [str(tmp_path / "absent")], unused_port)


def test_server_that_never_accepts(unused_port: int) -> None:
    code = "import signal; signal.pause()"
    with pytest.raises(ServerError, match="accepts nothing"):
        Running("deaf", [sys.executable, "-c", code], unused_port, patience=0.1)


def test_pinning_is_inherited_and_undone(unused_port: int) -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    code = "import os, sys; sys.exit(str(os.sched_getaffinity(0)))"
    with pytest.raises(ServerError, match=rf"\{{{core}\}}"):
        Running("pinned", [sys.executable, "-c", code], unused_port, [core])
    assert os.sched_getaffinity(0) == before
    with pinned(()):
        assert os.sched_getaffinity(0) == before


def test_missing_peer(programs: Programs) -> None:
    with pytest.raises(ServerError, match="make bench-peers"):
        programs.version(servers.find("bjoern"))


def test_version_comes_from_the_peers_environment(programs: Programs) -> None:
    here = replace(programs, peers=Path(sys.executable))
    assert here.version(Server("pytest", (), packages=("pytest",))) == pytest.__version__
    with pytest.raises(ServerError, match="not installed"):
        here.version(Server("absent", (), packages=("no-such-distribution",)))


def test_a_missing_part_of_a_server(programs: Programs) -> None:
    assert programs.version(Server("limit", (), module="json")) == ""
    with pytest.raises(ServerError, match=r"not available: no json\.absent"):
        programs.version(Server("limit", (), module="json.absent"))


def test_a_missing_program(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="nginx is not installed"):
        programs.ready(servers.find("nginx"))


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_knows_the_hello_answer_and_ends(programs: Programs, unused_port: int) -> None:
    nginx = servers.find("nginx")
    assert programs.ready(nginx)[0].isdigit()
    with Running("nginx", programs.command(nginx, unused_port), unused_port) as running:
        assert probe(unused_port, workloads.find("hello")) == Finding(keeps_alive=True)
        assert len(running.workers()) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", unused_port), 1)


def test_without_a_compiler(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="no C compiler"):
        programs.compile_limit()


@pytest.mark.parametrize("name", servers.NAMES)
def test_every_command_names_its_port(name: str, programs: Programs) -> None:
    port = free_port()
    words = programs.command(servers.find(name), port)
    assert any(str(port) in word for word in words)
    assert not any(re.search(r"\{\w", word) for word in words)


def test_limit_counts_requests_split_anywhere(limit: Running) -> None:
    """A terminator may begin in one segment and end in the next; one send answers a segment."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for cut in range(1, len(request)):
        with socket.create_connection(("127.0.0.1", limit.port), 5) as client:
            for segment in (request * 2 + request[:cut], request[cut:] + request):
                client.sendall(segment)
                assert client.recv(65536).count(b"Hello, World!") == 2
