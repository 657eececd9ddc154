from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from bench.commands import connections
from bench.probe import ProbeError
from bench.programs import Programs
from bench.run import Run
from bench.running import Running

Answering = Callable[..., int]
MakeRun = Callable[..., Run]

# Accepts on the port and keeps 64 KiB for each connection, which it answers.
HOARDING = """
import selectors, socket, sys
selector, kept = selectors.DefaultSelector(), []
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
selector.register(server, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is server:
            client = server.accept()[0]
            kept.append((client, bytearray(b"x" * 65536)))
            selector.register(client, selectors.EVENT_READ)
        elif key.fileobj.recv(65536):
            key.fileobj.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\nHello, World!")
        else:
            selector.unregister(key.fileobj)
"""


def test_growth_is_divided_by_the_connections(unused_port: int) -> None:
    command = [sys.executable, "-c", HOARDING, str(unused_port)]
    with Running("hoarder", command, unused_port) as running:
        worker, each = connections.memory_of(running, 50)
    assert each == pytest.approx(65536, rel=0.1)
    assert worker > connections.BEFORE * 65536


def test_a_connection_that_ends_is_an_error(answering: Answering) -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nHello, World!"
    with ExitStack() as stack, pytest.raises(ProbeError, match="does not keep"):
        connections.open_connections(answering(closing), 1, stack)


def test_a_row_for_each_server(make_run: MakeRun) -> None:
    run = make_run("connections", "--connections", "50", "--servers", "fastwsgi", "bjoern")
    connections.measure(run)
    (table,) = connections.tables(run.record)
    ours, missing = table.rows
    assert ours[0] == "fastwsgi"
    assert ours[1].endswith(" B")
    assert ours[2].endswith(" KiB")
    assert missing == ("bjoern", "-", "-", "not installed: run `make bench-peers`")
    assert connections.faults(run.record) == []


def test_too_few_descriptors(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda what: (100, 1000))
    run = make_run("connections", "--servers", "fastwsgi")
    connections.measure(run)
    assert "ulimit -Hn is 1000" in connections.tables(run.record)[0].rows[0][-1]
    assert connections.faults(run.record)


def test_the_worker_is_what_counts(programs: Programs, unused_port: int) -> None:
    """A master beside it does not."""
    code = (
        "import os, signal, socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "kept = bytearray(b'x' * (50 << 20)) if os.fork() else None; signal.pause()"
    )
    code = code.replace("socket.create_server", "s = socket.create_server")
    command = [str(programs.python), "-c", code, str(unused_port)]
    with Running("heavy master", command, unused_port) as running:
        while len(list(running.processes())) < 2:
            running.check()
        assert 0 < running.memory() < 20 << 20
        assert len(running.workers()) == 1


def test_no_server_is_asked_that_attends_to_one_connection_at_a_time() -> None:
    """Each of thousands would wait until the one before is given up."""
    assert not [name for name in connections.NAMES if name.startswith(("uwsgi", "gunicorn-sync"))]
