"""The fixture applications and the examples behind running servers, over TCP and unix sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.apps.client import Client
from tests.apps.examples import DJANGO, django_environment, prepare_django, running
from tests.support.certificates import client_context, localhost
from tests.support.models import MODELS, THREADS, Model
from tests.support.server import PATIENCE, ServerProcess, environment

ROOT = Path(__file__).parents[2]

Connect = Callable[[], Client]


class Events:
    """Where an application reports. Name it in a request by the header pair `header`."""

    def __init__(self, path: Path) -> None:
        self.header = ("Events", str(path))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind(str(path))

    def take(self) -> str:
        """The next report; TimeoutError when none comes."""
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        self._socket.close()


class Gate:
    """Where an application waits. Name it in a request by the header pair `header`."""

    def __init__(self, path: Path) -> None:
        self.header = ("Gate", str(path))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(PATIENCE)
        self._listener.bind(str(path))
        self._listener.listen()
        self._waiting: socket.socket | None = None

    def wait_for_caller(self) -> None:
        self._waiting, _ = self._listener.accept()

    def let_through(self) -> None:
        assert self._waiting is not None
        self._waiting.close()

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
        self._listener.close()


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Events]:
    channel = Events(tmp_path / "events")
    yield channel
    channel.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


# Threads, as there TLS has the most to get wrong.
TLS = replace(THREADS, name="threads-tls", options=(*THREADS.options, *localhost().options))


@pytest.fixture(scope="module", params=[*MODELS, TLS], ids=str)
def model(request: pytest.FixtureRequest) -> Model:
    return cast(Model, request.param)


@pytest.fixture(scope="module")
def hostile(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One worker with the fixture applications, on a TCP port and on a unix socket."""
    path = tmp_path_factory.mktemp("server") / "server.sock"
    args = ["tests.apps.fixtures.stage:app", "-b", "127.0.0.1:0", "-b", f"unix:{path}"]
    with ServerProcess.start([*args, *model.options], cwd=ROOT) as server:
        yield server


def speak(connection: socket.socket, model: Model) -> socket.socket:
    """The connection, with TLS on it where that is what the server of the model speaks."""
    if model is not TLS:
        return connection
    return client_context().wrap_socket(connection, server_hostname="localhost")


@pytest.fixture(params=["tcp", "unix"])
def connect(
    hostile: ServerProcess, model: Model, request: pytest.FixtureRequest
) -> Iterator[Connect]:
    """Opens connections to the fixture applications over either transport."""
    opened: list[Client] = []

    def connect() -> Client:
        if request.param == "tcp":
            client = socket.create_connection((hostile.host, hostile.port), PATIENCE)
        else:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.settimeout(PATIENCE)
            client.connect(unix_path(hostile))
        opened.append(Client(speak(client, model)))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()


def unix_path(server: ServerProcess) -> str:
    return next(a.removeprefix("unix:") for a in server.addresses if a.startswith("unix:"))


@pytest.fixture(scope="module")
def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The example that the module names in EXAMPLE."""
    socket = tmp_path_factory.mktemp("example") / "server.sock"
    with running(request.module.EXAMPLE, socket) as server:
        yield server


@pytest.fixture(scope="session")
def django_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the Django example with its database and its administrator."""
    data = tmp_path_factory.mktemp("django")
    prepare_django(data, environment())
    return data


@pytest.fixture(scope="module")
def django(django_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    socket = tmp_path_factory.mktemp("example") / "server.sock"
    with running("demo.wsgi", socket, cwd=DJANGO, env=django_environment(django_data)) as server:
        yield server
