"""Several reactors in one worker: they share out its connections, and have threads and bounds in common."""

import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any, cast

import pytest

from fastwsgi import wiring
from fastwsgi.net.listener import bind
from fastwsgi.serving import Server
from tests.support.builds import FREE_THREADED
from tests.support.settings import make_settings
from tests.threads.gates import PATIENCE, Gated

REACTORS = 3
EACH = 4
CLIENTS = REACTORS * EACH

without_gil = pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has a GIL")


class Running:
    """A server of several reactors that runs in a thread, and its clients.

    As many connections are open at once as the reactors take together, so each has its share of them.
    """

    def __init__(self, app: Gated, *, threads: int = 2, **options: Any) -> None:
        settings = cast(
            Any,
            make_settings(
                execution="threads", threads=threads, worker_connections=CLIENTS, keepalive=PATIENCE
            ),
        )
        self.clients: list[HTTPConnection] = []
        self.socket = bind("127.0.0.1:0")
        self.server: Server = wiring.build(
            settings, app, [self.socket], reactors=REACTORS, **options
        )
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:
            self.error = error

    def connect(self) -> HTTPConnection:
        client = HTTPConnection(*self.socket.getsockname(), timeout=PATIENCE)
        client.connect()
        self.clients.append(client)
        return client

    def connect_all(self) -> list[HTTPConnection]:
        """Open a connection for each place, and see it served."""
        for number in range(CLIENTS):
            assert ask(self.connect(), f"first-{number}") == f"first-{number}"
        return self.clients

    def end(self) -> None:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def close(self) -> None:
        self.server.stop()
        self.end()
        self.server.close()
        for client in self.clients:
            client.close()
        self.socket.close()


def ask(client: HTTPConnection, path: str) -> str:
    client.request("GET", f"/{path}")
    return client.getresponse().read().decode()


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    servers: list[Running] = []

    def start(app: Gated, **options: Any) -> Running:
        servers.append(Running(app, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


Start = Callable[..., Running]


@without_gil
def test_requests_of_all_reactors_wait_for_the_same_threads(running: Start) -> None:
    app = Gated("a", "b")
    server = running(app, threads=3)
    first, second, *others = server.connect_all()
    for client, path in ((first, "a"), (second, "b")):
        client.request("GET", f"/{path}")
    # One thread is left, whichever reactor has the connection.
    for number, client in enumerate(others):
        assert ask(client, f"{number}") == f"{number}"
    for client, path in ((first, "a"), (second, "b")):
        app.gates[path].open()
        assert client.getresponse().read() == path.encode()
    assert app.most <= 3


@without_gil
def test_the_bound_of_connections_is_of_all_reactors(running: Start) -> None:
    server = running(Gated())
    clients = server.connect_all()
    assert (server.server.connections, server.server.requests) == (CLIENTS, CLIENTS)
    late = server.connect()
    late.request("GET", "/late")
    assert [ask(client, "again") for client in clients[:CLIENTS]] == ["again"] * CLIENTS
    assert server.server.requests == 2 * CLIENTS  # the late one waits
    clients[0].close()
    assert late.getresponse().read() == b"late"


@without_gil
def test_max_requests_are_of_all_reactors(running: Start) -> None:
    worn_out: list[int] = []
    most = CLIENTS + 2
    server = running(Gated(), max_requests=most, on_worn_out=lambda: worn_out.append(1))
    clients = server.connect_all()
    ends = []
    for client in clients:
        client.request("GET", "/again")
        answer = client.getresponse()
        answer.read()
        ends.append(answer.getheader("Connection") == "close")
    assert ends == [False] + [True] * (CLIENTS - 1)
    assert worn_out == [1]


@without_gil
def test_a_drain_waits_for_all_reactors(running: Start) -> None:
    calls: list[int] = []
    names = [f"{number}" for number in range(CLIENTS)]
    app = Gated(*names)
    server = running(app, threads=CLIENTS)
    clients = server.connect_all()
    for client, name in zip(clients, names, strict=True):
        client.request("GET", f"/{name}")
    server.server.announce()
    server.server.drain(lambda: calls.append(1))
    for client, name in zip(clients, names, strict=True):
        app.gates[name].open()
        answer = client.getresponse()
        assert (answer.read().decode(), answer.getheader("Connection")) == (name, "close")
    server.end()
    assert (calls, server.server.connections, server.error) == ([1], 0, None)


class BrokenError(BaseException):
    """What no loop bears."""


@without_gil
def test_a_reactor_that_cannot_go_on_ends_all(running: Start) -> None:
    def give_up() -> None:
        raise BrokenError

    server = running(Gated())
    server.server._abreast[0].server.reactor.every_second(give_up)
    server.end()
    assert isinstance(server.error, BrokenError)


@pytest.mark.parametrize(
    ("settings", "cpus", "without", "why"),
    [
        ({"execution": "threads", "threads": 8}, 4, 4, "one for each CPU"),
        ({"execution": "threads", "threads": 2}, 4, 2, "no more than threads"),
        ({"execution": "threads", "threads": 8, "workers": 3}, 4, 2, "a share of the CPUs"),
        ({"execution": "threads", "threads": 8, "workers": 8}, 4, 1, "one at least"),
        ({"execution": "threads", "threads": 8, "worker_connections": 1}, 4, 1, "connections"),
        ({"execution": "inline"}, 4, 1, "the application keeps the one busy"),
        ({"execution": "gevent"}, 4, 1, "greenlets are one thread"),
    ],
)
def test_how_many_reactors_a_worker_has(
    settings: dict[str, Any], cpus: int, without: int, why: str
) -> None:
    wanted = cast(Any, make_settings(**settings))
    assert wiring.reactors(wanted, lambda: cpus) == (without if FREE_THREADED else 1), why
