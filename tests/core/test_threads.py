"""The pool of threads: who runs when, what is refused, what is cut off, and that nothing of it shows elsewhere.

An application under test stops at gates, so that every order of events is the test's own.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from fastwsgi import wiring
from fastwsgi.observe.reports import Reports
from tests.support.loop import Client, SteppedServer, Transport

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


@pytest.fixture(params=["tcp", "unix", "tls"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return cast(Transport, request.param)


@pytest.fixture
def serving(transport: Transport, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Builds a stepped server with threads for an application."""
    servers: list[SteppedServer] = []

    def start(app: Application, threads: int = 2, **settings: Any) -> SteppedServer:
        folder = tmp_path_factory.mktemp("s")
        settings |= {"execution": "threads", "threads": threads}
        servers.append(ServerWithClients(app, folder, transport, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def request(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} /{path} HTTP/{version}", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode()


class Gate:
    """Where a thread waits until the test lets it through."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def pass_through(self) -> None:
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


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_who_came_first_is_served_first(serving: Serving) -> None:
    names = [f"n{number}" for number in range(12)]
    app = Gated("first")
    server = serving(app, threads=1)
    clients = [ask(server, name) for name in ["first", *names]]
    assert app.came in ([], ["first"])
    app.gates["first"].open()
    for name, client in zip(["first", *names], clients, strict=True):
        assert_answers(server, client, name)
    assert app.came == ["first", *names]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_blocked_requests_fill_all_threads_and_no_more(serving: Serving, threads: int) -> None:
    names = [f"n{number}" for number in range(3 * threads)]
    app = Gated(*names)
    server = serving(app, threads=threads)
    clients = [server.connect() for _ in names]
    for name, client in zip(names, clients, strict=True):
        client.put(request(name))
    for done in range(len(names)):
        wanted = min(done + threads, len(names))
        server.until(lambda: len(app.came) >= wanted, f"{wanted} requests in the application")  # noqa: B023
        assert len(app.came) == wanted
        app.gates[app.came[done]].open()
        assert_answers(server, clients[names.index(app.came[done])], app.came[done])
    assert app.most == threads
    assert sorted(app.came) == sorted(names)


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize(("threads", "queue"), [(1, 1), (2, 3), (4, 1)])
def test_a_full_queue_refuses_the_rest_and_no_one_else(
    serving: Serving, threads: int, queue: int, blocked: bool
) -> None:
    names = [f"n{number}" for number in range(threads + queue + 5)]
    app = Gated(*names)
    server = serving(app, threads=threads, max_queue=queue)
    clients = [server.connect() for _ in names]
    if blocked:  # else all come in one turn, before any thread is awake
        for name, client in zip(names[:threads], clients[:threads], strict=True):
            client.put(request(name))
        server.until(lambda: app.inside == threads, "all threads to be busy")
    for name, client in list(zip(names, clients, strict=True))[threads if blocked else 0 :]:
        client.put(request(name))
    server.until(lambda: server.server.requests == len(names), "all requests")
    for gate in app.gates.values():
        gate.open()
    answers = [client.await_responses(1)[0] for client in clients]
    assert sorted(answer.status for answer in answers) == [200] * (threads + queue) + [503] * 5
    assert {answer.get("retry-after") for answer in answers if answer.status == 503} == {"1"}
    assert len(app.came) == threads + queue
    for name, client, answer in zip(names, clients, answers, strict=True):
        if answer.status == 503:  # it may come again on the same connection
            assert client.exchange(request(name)).status == 200


def test_who_waits_for_too_long_is_refused(serving: Serving) -> None:
    app = Gated("a", "b")
    server = serving(app, threads=2, queue_timeout=3)
    running = [ask(server, name) for name in ("a", "b")]
    server.until(lambda: app.inside == 2, "both threads to be busy")
    early = [ask(server, f"e{number}") for number in range(3)]
    server.advance(2)
    late = ask(server, "late")
    server.advance(2)
    for client in early:
        (answer,) = client.await_responses(1)
        assert (answer.status, answer.get("retry-after")) == (503, "1")
        assert client.ending is None
    app.gates["a"].open()
    assert_answers(server, running[0], "a")
    assert_answers(server, late, "late")
    app.gates["b"].open()
    assert_answers(server, running[1], "b")
    assert app.came[2:] == ["late"]


def test_a_thread_refuses_what_has_waited_for_too_long(serving: Serving) -> None:
    app = Gated("a")
    server = serving(app, threads=1, queue_timeout=3)
    running, waiting = ask(server, "a"), ask(server, "b")
    server.until(lambda: app.inside == 1, "the thread to be busy")
    server.clock.advance(5)  # no sweep sees it
    app.gates["a"].open()
    await_rest(server)
    assert_answers(server, running, "a")
    assert waiting.await_responses(1)[0].status == 503
    assert app.came == ["a"]


def test_the_time_in_the_queue_is_known(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    monkeypatch.setattr(
        wiring, "access_log", lambda settings, log: lambda exchange: waits.append(exchange.waited)
    )
    app = Gated("a")
    server = serving(app, threads=1, max_queue=1)
    running, waiting = ask(server, "a"), ask(server, "b")
    server.until(lambda: app.inside == 1, "the thread to be busy")
    server.advance(3)
    assert ask(server, "c").await_responses(1)[0].status == 503
    app.gates["a"].open()
    assert_answers(server, running, "a")
    assert_answers(server, waiting, "b")
    assert 3 <= app.environs["b"]["fastwsgi.queue_seconds"] < 3 + PATIENCE
    assert app.environs["a"].get("fastwsgi.queue_seconds", 0) < 1
    assert waiting.exchange(request("d")).status == 200
    assert app.environs["d"].get("fastwsgi.queue_seconds", 0) < 1
    assert waits[0] == 0
    assert 0 <= waits[1] < 1000
    assert 3000 <= waits[2] < 3000 + 1000 * PATIENCE


# -- request_timeout ---------------------------------------------------------------------------------------------------


class Late:
    """An application that comes late; what it does then, a subclass says. `/other` is answered at once."""

    def __init__(self) -> None:
        self.fields = [("Content-Type", "text/plain")]
        self.gate = Gate()
        self.came = False
        self.body = Body([b"late"])
        self.error: BaseException | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/other":
            start_response("200 OK", [])
            return [b"other"]
        self.came = True
        try:
            return self.run(environ, start_response)
        except BaseException as error:
            self.error = error
            raise

    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise NotImplementedError


class LateStart(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.gate.pass_through()
        start_response("200 OK", self.fields)
        return self.body


class LateReturn(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        return self.body


class LateList(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        return [b"late"]


class LateError(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        raise ValueError("late")


class LateWrite(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", self.fields)
        self.gate.pass_through()
        write(b"late")
        return self.body


class LateExcInfo(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        try:
            raise ValueError("late")
        except ValueError as error:
            start_response("500 Late", self.fields, (ValueError, error, None))
        return self.body


class LateRead(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.gate.pass_through()
        environ["wsgi.input"].read()
        environ.clear()
        return self.body


class LateFirstItem(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        self.body = Body(self.items())
        return self.body

    def items(self) -> Iterator[bytes]:
        self.gate.pass_through()
        yield b"late"


class LateIterator(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        gate = self.gate

        class Slow(Body):
            def __iter__(self) -> Iterator[bytes]:
                gate.pass_through()
                return iter([b"late"])

        self.body = Slow([])
        return self.body


class LateFile(Late):
    def run(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", self.fields)
        gate, body = self.gate, self.body

        class Slow:
            def fileno(self) -> int:
                gate.pass_through()
                return 0

            def read(self, size: int) -> bytes:
                return b"late"

            def close(self) -> None:
                body.close()

        return cast(Iterable[bytes], environ["wsgi.file_wrapper"](Slow()))


LATE = [
    LateStart, LateReturn, LateList, LateError, LateWrite, LateExcInfo, LateRead, LateFirstItem, LateIterator, LateFile,
]  # fmt: skip
RETURN_NOTHING = (LateStart, LateList, LateError, LateWrite, LateExcInfo)


@pytest.mark.parametrize("kind", LATE)
def test_who_overruns_gets_a_504_and_what_comes_late_goes_nowhere(
    serving: Serving, kind: type[Late], caplog: pytest.LogCaptureFixture
) -> None:
    app = kind()
    server = serving(app, threads=1, request_timeout=5)
    post = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    client = server.connect("POST")
    client.send(post)
    server.until(lambda: app.came, "the request")
    server.advance(5 - MARGIN)
    server.turn()
    client.receive()
    assert client.received == b""
    server.advance(2 * MARGIN)
    assert client.await_end() == "eof"
    (answer,) = client.responses
    assert (answer.status, answer.get("connection"), answer.complete) == (504, "close", True)
    client.close()
    await_forgotten(server)
    other = ask(server, "other")
    app.gate.open()
    assert_answers(server, other, "other")
    await_rest(server)
    assert app.body.closed == (0 if kind in RETURN_NOTHING else 1)
    assert app.body.given == (1 if kind is LateFirstItem else 0)
    (message,) = caplog.messages
    assert "overran request_timeout" in message
    assert "pass_through()" in message  # the line of the application where it is
    assert_other_requests_are_answered(server)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_that_overruns_visibly_breaks_off(
    serving: Serving, transport: Transport, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([b"one", b"two"], Gate())
    server = serving(answering(body), threads=1, request_timeout=5)
    client = server.connect()
    client.put(request("p", version=version))
    server.until(lambda: body.given == 1, "the first item")
    server.advance(5 + MARGIN)
    ending = client.await_end()
    if version == "1.1" or transport != "unix":
        assert not client.responses[0].complete
        assert client.reader.violations == []
    if version == "1.0" and transport != "unix":  # only a reset tells (RFC 9112 8)
        assert ending == "reset"
    assert b"two" not in client.received
    assert body.closed == 0
    other = ask(server, "other")
    assert body.gate is not None
    body.gate.open()
    assert_answers(server, other, "other")
    await_rest(server)
    assert body.closed == 1
    assert [message[:13] for message in caplog.messages] == ["Request GET /"]


def test_a_slow_client_costs_its_thread_only_up_to_the_timeout(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([BLOCK] * BLOCKS)
    server = serving(answering(body), threads=1, request_timeout=5, send_timeout=600)
    client = ask(server, "p")
    await_rest(server)
    given = body.given
    assert 0 < given < BLOCKS
    waiting = ask(server, "other")
    server.advance(5 + MARGIN)
    assert_answers(server, waiting, "other")
    server.until(lambda: body.closed == 1, "the iterable's close")
    assert body.given == given
    assert client.await_end() in ("eof", "reset")
    assert not client.responses[0].complete
    assert len(caplog.messages) == 1


def test_another_thread_takes_the_seat_of_one_that_is_stuck(serving: Serving) -> None:
    body = Body([b"one", b"two"], Gate())
    assert body.gate is not None
    server = serving(answering(body), threads=1, request_timeout=5)
    stuck = ask(server, "p")
    server.until(lambda: body.given == 1, "the first item")
    waiting = ask(server, "other")
    server.advance(5 + MARGIN)
    stuck.await_end()
    assert_answers(server, waiting, "other")
    before = threading.active_count()
    body.gate.open()
    server.until(lambda: threading.active_count() == before - 1, "the end of the thread")
    assert_answers(server, ask(server, "other"), "other")
    await_rest(server)


def test_an_iterable_that_closes_slowly_is_left_alone(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()

    class Slow(Body):
        def close(self) -> None:
            gate.pass_through()
            super().close()

    body = Slow([b"one", b"two"])
    server = serving(answering(body), threads=1, request_timeout=5)
    client = ask(server, "p")
    assert client.await_responses(1)[0].body == b"onetwo"
    server.advance(5 + MARGIN)
    assert client.await_end() == "eof"
    assert client.reader.violations == []
    gate.open()
    await_rest(server)
    assert body.closed == 1
    assert len(caplog.messages) == 1
    assert_other_requests_are_answered(server)


# -- the client --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(
    ("count", "version"), [(1, "1.1"), (2, "1.1"), (10_000, "1.1"), (10_000, "1.0")]
)
def test_a_client_that_left_ends_its_request(
    serving: Serving, how: str, count: int, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([BLOCK] * count, Gate())
    server = serving(answering(body), threads=1)
    client = server.connect()
    client.put(request("p", version=version))
    server.until(lambda: body.given == 1, "the first item")
    getattr(client, how)()
    server.turn(0.01)
    server.turn()
    assert server.server.connections == 1, "a thread has it"
    assert body.gate is not None
    body.gate.open()
    await_forgotten(server)
    await_rest(server)
    assert body.closed == 1
    assert body.given < 100, "produced although nobody is there"
    assert caplog.messages == []
    assert_other_requests_are_answered(server)


def test_a_client_that_left_before_its_turn(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    app = Gated("a")
    server = serving(app, threads=1)
    running, gone = ask(server, "a"), ask(server, "gone")
    gone.reset()
    server.turn(0.01)
    app.gates["a"].open()
    assert_answers(server, running, "a")
    await_forgotten(server, 1)
    assert caplog.messages == []


def test_pipelined_requests_are_answered_in_order(serving: Serving) -> None:
    names = [f"n{number}" for number in range(40)]
    app = Gated("n0", "n7")
    server = serving(app, threads=4)
    client = server.connect()
    client.put(b"".join(request(name) for name in names))
    server.until(lambda: app.inside == 1, "the first request")
    assert app.came == ["n0"]
    app.gates["n0"].open()
    assert_answers(server, client, *names[:7])
    server.until(lambda: app.inside == 1, "the eighth request")
    client.put(request("more"))
    server.turn(0.01)
    app.gates["n7"].open()
    assert_answers(server, client, *names, "more")
    assert app.most == 1


@pytest.mark.parametrize(("version", "fields"), [("1.1", ["Connection: close"]), ("1.0", [])])
@pytest.mark.parametrize("garbage", ["none", "with it", "while it runs"])
def test_the_last_answer_arrives_whole(
    serving: Serving, version: str, fields: list[str], garbage: str
) -> None:
    app = Gated("p")
    server = serving(app)
    client = server.connect()
    rubbish = b"\0" * 30_000
    client.put(request("p", *fields, version=version) + rubbish * (garbage == "with it"))
    server.until(lambda: app.inside == 1, "the request")
    if garbage == "while it runs":
        client.put(rubbish)
        server.until(lambda: server.turn() == 0, "the server to have seen it")
        server.turn(0.05)
    app.gates["p"].open()
    assert client.await_end() == "eof"
    assert [answer.body for answer in client.responses] == [b"p"]
    assert client.responses[0].get("connection") == "close"
    assert client.reader.violations == []
    assert app.came == ["p"]
    client.close()
    await_forgotten(server)


def test_who_sends_no_more_still_gets_the_answer(serving: Serving) -> None:
    app = Gated("p")
    server = serving(app)
    client = ask(server, "p")
    client.half_close()
    server.turn(0.05)
    app.gates["p"].open()
    assert client.await_end() == "eof"
    assert [answer.body for answer in client.responses] == [b"p"]
    await_forgotten(server)


@pytest.mark.parametrize("size", [10, 60_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_reaches_its_thread_whole(serving: Serving, size: int, chunked: bool) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        read = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [read[::-1]]

    server = serving(app)
    clients = [server.connect("POST") for _ in range(4)]
    for number, client in enumerate(clients):
        body = bytes((number + at) % 251 for at in range(1000)) * (size // 1000 + 1)
        body = body[:size]
        field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if chunked else body
        client.send(request("p", field, method="POST") + data)
        assert client.await_responses(1)[0].body == body[::-1]
    for client in clients:
        assert client.ending is None


@pytest.mark.parametrize("read", ["read", "readline"])
def test_a_size_that_reads_itself_gets_no_more_than_there_is(serving: Serving, read: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]

        class Size:
            def __index__(self) -> int:
                stream.read(90)
                return 95

        start_response("200 OK", [])
        return [getattr(stream, read)(Size()) + b";" + stream.read()]

    client = serving(app).connect("POST")
    client.send(request("p", "Content-Length: 100", method="POST") + b"b" * 100)
    assert client.await_responses(1)[0].body == b"b" * 10 + b";"


# -- slow clients ------------------------------------------------------------------------------------------------------


def writing(count: int, given: list[int]) -> Application:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/other":
            return [b"other"]
        for number in range(count):
            given.append(number)
            write(BLOCK)
        return []

    return app


def test_a_slow_client_holds_its_own_thread_and_little_memory(serving: Serving) -> None:
    body = Body([BLOCK] * BLOCKS)
    server = serving(answering(body), threads=2, output_buffer_size=65536)
    client = ask(server, "p")
    await_rest(server)
    given = body.given
    assert given < BLOCKS
    assert_other_requests_are_answered(server)
    server.settle()
    assert body.given == given
    (answer,) = client.await_responses(1)
    assert answer.body == BLOCK * BLOCKS
    assert body.closed == 1


def test_write_waits_for_a_slow_client(serving: Serving) -> None:
    given: list[int] = []
    server = serving(writing(BLOCKS, given), threads=2, output_buffer_size=65536)
    client = ask(server, "p")
    await_rest(server)
    assert len(given) < BLOCKS
    assert_other_requests_are_answered(server)
    (answer,) = client.await_responses(1)
    assert answer.body == BLOCK * BLOCKS


@pytest.mark.parametrize("kind", ["list", "file"])
def test_what_is_complete_frees_its_thread(serving: Serving, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(BLOCK * BLOCKS)
    closed: list[bool] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/other":
            return [b"other"]
        if kind == "list":
            return [BLOCK * BLOCKS]
        return cast(Iterable[bytes], environ["wsgi.file_wrapper"](path.open("rb")))

    server = serving(app, threads=1)
    clients = [ask(server, "p") for _ in range(3)]
    await_rest(server)
    assert_other_requests_are_answered(server)
    for client in clients:
        (answer,) = client.await_responses(1)
        assert answer.body == BLOCK * BLOCKS
    assert closed == []
    for client in clients:
        assert client.exchange(request("other")).body == b"other"


def test_a_block_is_sent_while_the_next_one_is_made(serving: Serving) -> None:
    # PEP 3333, "Buffering and Streaming": the transmission of a block is not delayed.
    body = Body([BLOCK * BLOCKS, b"the rest"], Gate())
    server = serving(answering(body), output_buffer_size=1 << 30)
    client = ask(server, "p")

    def has_first_block() -> bool:
        client.receive()
        return len(client.received) > len(BLOCK) * BLOCKS

    server.until(has_first_block, "the first block")
    assert body.gate is not None
    body.gate.open()
    assert client.await_responses(1)[0].body == BLOCK * BLOCKS + b"the rest"


def test_an_application_may_think_for_longer_than_a_client_may_be_slow(serving: Serving) -> None:
    body = Body([BLOCK * BLOCKS, b"the rest"], Gate())
    server = serving(answering(body), send_timeout=5)
    client = ask(server, "p")

    def has_first_block() -> bool:
        client.receive()
        return len(client.received) > len(BLOCK) * BLOCKS

    server.until(has_first_block, "the first block")
    server.advance(60)
    assert body.gate is not None
    body.gate.open()
    assert client.await_responses(1)[0].body == BLOCK * BLOCKS + b"the rest"


def test_who_takes_nothing_is_given_up(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    body = Body([BLOCK] * BLOCKS)
    server = serving(answering(body), threads=1, send_timeout=10)
    client = ask(server, "p")
    await_rest(server)
    assert body.closed == 0
    server.advance(10 - MARGIN)
    server.turn()
    assert body.closed == 0
    server.advance(2 * MARGIN)
    server.until(lambda: body.closed == 1, "the thread to give up")
    assert_other_requests_are_answered(server)
    server.advance(10 + MARGIN)
    await_forgotten(server)
    client.await_end()
    assert not client.responses[0].complete
    assert caplog.messages == []


def end_while_a_thread_is_held(server: SteppedServer, gate: Gate) -> None:
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("fastwsgi-")]
    server.server.close()
    gate.open()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("where", ["headers", "log", "error"])
def test_the_server_may_end_while_its_own_code_waits(
    serving: Serving, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, came = Gate(), threading.Event()

    def wait(*_: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            came.set()
            gate.pass_through()

    class Headers(list[tuple[str, str]]):
        def __iter__(self) -> Iterator[tuple[str, str]]:
            wait()
            return super().__iter__()

    if where == "log":
        monkeypatch.setattr(wiring, "access_log", lambda settings, log: wait)
    monkeypatch.setattr(Reports, "application_error", wait)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        fields = [("A", "b")]
        start_response("200 OK", Headers(fields) if where == "headers" else fields)
        if where == "error":
            raise ValueError
        return [b"body"]

    server = serving(app, threads=1)
    ask(server, "p")
    server.until(came.is_set, "the thread to wait")
    end_while_a_thread_is_held(server, gate)


def test_the_end_of_the_server_leaves_threads_alone(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([b"one", b"two"], Gate())
    server = serving(answering(body), threads=1)
    ask(server, "p")
    server.until(lambda: body.given == 1, "the first item")
    assert body.gate is not None
    end_while_a_thread_is_held(server, body.gate)
    assert body.closed == 1
    assert caplog.messages == []
