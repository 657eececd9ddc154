from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack

import idle
import pytest
from probe import ProbeError
from servers import Programs, Server

Answering = Callable[..., int]

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
HOARDER = Server("hoarder", (sys.executable, "-c", HOARDING, "{port}"))


def test_growth_is_divided_by_the_connections(programs: Programs) -> None:
    assert idle.measure(HOARDER, programs, 50) == pytest.approx(65536, rel=0.1)


def test_a_connection_that_ends_is_an_error(answering: Answering) -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nHello, World!"
    with ExitStack() as stack, pytest.raises(ProbeError, match="does not keep"):
        idle.open_connections(answering(closing), 1, stack)


def test_a_row_for_each_server(programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    assert idle.main(["--connections", "50", "--servers", "fastwsgi", "fastwsgi-threads"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["fastwsgi", "fastwsgi-threads"]
    assert all(line.endswith("bytes per connection") for line in lines)


def test_too_few_descriptors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda what: (100, 1000))
    assert idle.main([]) == 2
    assert "ulimit -Hn is 1000" in capsys.readouterr().err
