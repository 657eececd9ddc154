"""gunicorn.socket: who asks for another protocol may be answered by the application itself, on the socket."""

import socket
from pathlib import Path

import pytest
from simple_websocket import Client, ConnectionClosed

from tests.conftest import Serve
from tests.support.models import ELSEWHERE, MODELS, Model
from tests.support.server import ServerProcess

APP = """
from flask import Flask, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

@sock.route("/once")
def once(ws):
    ws.send(ws.receive()[::-1])

@app.route("/plain")
def plain():
    return str("gunicorn.socket" in request.environ)

@app.route("/broken")
def broken():
    raise RuntimeError("broken")

def stopping(environ, start_response):
    if environ["PATH_INFO"] == "/stop":
        raise StopIteration
    if environ["PATH_INFO"] == "/wait":
        environ["gunicorn.socket"].sendall(b"hi")
        environ["gunicorn.socket"].recv(1)
        raise StopIteration
    return app(environ, start_response)
"""

ASKS = "GET {} HTTP/1.1\r\nHost: a\r\nConnection: {}\r\nUpgrade: chat\r\n\r\n"


@pytest.fixture(params=MODELS, ids=str)
def server(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> ServerProcess:
    model: Model = request.param
    (tmp_path / "websocket_app.py").write_text(APP)
    return serve("websocket_app:stopping", "-b", "127.0.0.1:0", *model.options, cwd=tmp_path)


def answer(server: ServerProcess, path: str, connection: str) -> bytes:
    with server.connect() as client:
        client.sendall(ASKS.format(path, connection).encode())
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def open_at(server: ServerProcess, path: str) -> Client:
    with server.connect() as probe:
        host, port = probe.getpeername()
    return Client(f"ws://{host}:{port}{path}")


def test_a_library_of_websockets_converses(server: ServerProcess) -> None:
    client = open_at(server, "/echo")
    for words in ("hello", "x" * 100_000, "again"):
        client.send(words)
        assert client.receive(timeout=10) == words
    client.close()
    assert answer(server, "/plain", "close").endswith(b"False")
    assert server.log.count("ERROR") == 0


def test_the_end_of_the_application_is_the_end_of_the_connection(server: ServerProcess) -> None:
    client = open_at(server, "/once")
    client.send("abc")
    assert client.receive(timeout=10) == "cba"
    with pytest.raises(ConnectionClosed):
        client.receive(timeout=10)
    assert server.log.count("ERROR") == 0


def test_who_asks_for_nothing_else_gets_no_socket(server: ServerProcess) -> None:
    assert answer(server, "/plain", "Upgrade, close").endswith(b"True")
    assert answer(server, "/plain", "close").endswith(b"False")


def test_an_application_may_answer_as_ever(server: ServerProcess) -> None:
    assert answer(server, "/broken", "Upgrade").startswith(b"HTTP/1.1 500 ")
    server.wait_for("RuntimeError: broken")  # the log is read by a thread of its own
    assert server.log.count("RuntimeError: broken") == 1


def test_what_ends_without_an_answer_is_a_mistake_where_no_socket_was_lent(
    server: ServerProcess,
) -> None:
    assert answer(server, "/stop", "close").startswith(b"HTTP/1.1 500 ")
    assert answer(server, "/stop", "Upgrade") == b""
    server.wait_for("Error handling request")
    assert server.log.count(r"Error handling request") == 1


@pytest.mark.parametrize("model", ELSEWHERE, ids=str)
def test_what_takes_too_long_ends_without_a_word(
    model: Model, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "websocket_app.py").write_text(APP)
    options = (*model.options, "--request-timeout", "0.1")
    server = serve("websocket_app:stopping", "-b", "127.0.0.1:0", *options, cwd=tmp_path)
    with server.connect() as client:
        client.sendall(ASKS.format("/wait", "Upgrade").encode())
        assert client.makefile("rb").read() == b"hi"
    server.wait_for("overran request_timeout")
