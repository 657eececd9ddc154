"""What one connection's environs have besides: a PROXY header's addresses, a client's certificate."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.net.listener import Address
from tests.support.loop import SteppedServer

EXTRA = {"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "7", "SSL_CLIENT_S_DN": "CN=seven"}
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"

Environ = dict[str, Any]


@pytest.fixture
def seen() -> list[Environ]:
    return []


@pytest.fixture
def server(tmp_path: Path, seen: list[Environ]) -> Iterator[SteppedServer]:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        # Without what stays with the environ: who holds that keeps it from being lent again.
        seen.append({key: value for key, value in environ.items() if key != "wsgi.early_hints"})
        start_response("204 No Content", [])
        return []

    with SteppedServer(app, tmp_path) as server:
        yield server


def test_every_environ_of_the_connection_has_it_and_no_other(
    server: SteppedServer, seen: list[Environ]
) -> None:
    listener = server.server._listeners[0]
    plain = listener._factory

    def connect_with_extra(fd: int, address: Address) -> object:
        return plain(fd, address, EXTRA)  # type: ignore[call-arg]

    with server.connection() as before:
        before.exchange(REQUEST)
        listener._factory = connect_with_extra
        with server.connection() as client:
            for _ in range(2):
                client.exchange(REQUEST)
                assert EXTRA.items() <= seen[-1].items()
                before.exchange(REQUEST)
                assert seen[-1]["REMOTE_ADDR"] == "127.0.0.1"
                assert "SSL_CLIENT_S_DN" not in seen[-1]


def test_the_clients_address_in_it_is_the_connections(server: SteppedServer) -> None:
    ours, theirs = socket.socketpair()
    http = server.server._http
    connect: Any = server.server._listeners[0]._factory
    for address, extra, expected in [
        (("127.0.0.1", 1), EXTRA, "192.0.2.7"),
        (("127.0.0.1", 1), {"A": "b"}, "127.0.0.1"),
        (("127.0.0.1", 1), None, "127.0.0.1"),
        ("", {"A": "b"}, ""),
    ]:
        connection = connect(ours.dup().detach(), address, extra)
        assert connection.remote_addr == expected
        http.close()
    ours.close()
    theirs.close()
