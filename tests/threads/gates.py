"""What the tests of threads share: applications that stop at gates, so that every order of events is the test's own."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.support.loop import Client, SteppedServer

PATIENCE = 10.0  # seconds until a thread that nobody lets through gives up
BLOCK = b"x" * 65536
BLOCKS = 160  # ten MiB: more than any socket buffer takes
MARGIN = 2  # seconds: a sweep a second

StartResponse = Callable[..., Callable[[bytes], object]]
Environ = dict[str, Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Serving = Callable[..., SteppedServer]


class ServerWithClients(SteppedServer):
    """One that closes its clients with itself."""

    def connect(self, *methods: str, accepted: bool = True) -> Client:
        client = super().connect(*methods, accepted=accepted)
        self.clients = [*getattr(self, "clients", []), client]
        return client

    def close(self) -> None:
        for client in getattr(self, "clients", []):
            client.close()
        super().close()


def request(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} /{path} HTTP/{version}", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode()


class Gate:
    """Where a thread waits until the test lets it through; `reached` once one has come."""

    def __init__(self) -> None:
        self.reached = False
        self._open = threading.Event()

    def pass_through(self) -> None:
        self.reached = True
        assert self._open.wait(PATIENCE), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()


class Gated:
    """An application that notes who came, holds each at the gate of its path, and answers with the path."""

    def __init__(self, *gates: str) -> None:
        self.gates = {name: Gate() for name in gates}
        self.came: list[str] = []
        self.environs: dict[str, Environ] = {}
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name = environ["PATH_INFO"][1:]
        with self._lock:
            self.came.append(name)
            self.environs[name] = dict(environ)
            self.inside += 1
            self.most = max(self.most, self.inside)
        if name in self.gates:
            self.gates[name].pass_through()
        with self._lock:
            self.inside -= 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]


class Body:
    """An iterable that stops at a gate before its second item, and counts what is done to it."""

    def __init__(self, items: Iterable[bytes], gate: Gate | None = None) -> None:
        self.items = items
        self.gate = gate
        self.given = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for item in self.items:
            self.given += 1
            yield item
            if self.given == 1 and self.gate is not None:
                self.gate.pass_through()

    def close(self) -> None:
        self.closed += 1


def answering(body: Iterable[bytes], *fields: tuple[str, str]) -> Application:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/other":
            start_response("200 OK", [])
            return [b"other"]
        start_response("200 OK", [("Content-Type", "text/plain"), *fields])
        return body

    return app


def ask(server: SteppedServer, path: str, *fields: str) -> Client:
    """A connection of its own whose request was dispatched."""
    client = server.connect()
    before = server.server.requests
    client.put(request(path, *fields))
    server.until(lambda: server.server.requests > before, f"the request for {path}")
    return client


def assert_answers(server: SteppedServer, client: Client, *paths: str) -> None:
    assert [answer.body.decode() for answer in client.await_responses(len(paths))] == list(paths)
    assert client.reader.violations == []


def assert_other_requests_are_answered(server: SteppedServer) -> None:
    with_others = server.connect()
    for _ in range(3):
        assert with_others.exchange(request("other")).body == b"other"
    with_others.close()


def await_forgotten(server: SteppedServer, count: int = 0) -> None:
    server.until(lambda: server.server.connections == count, "the connection to be forgotten")


def await_rest(server: SteppedServer) -> None:
    threads = server.server.elsewhere
    assert threads is not None
    server.until(lambda: threads.at_rest, "the threads to come to rest")
    server.settle()
