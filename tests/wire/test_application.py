"""What an application may not do to the wire, where a file of bytes cannot show it (the rest: cases/G).

Functions carry the numbers of the rules they show.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import Client, SteppedServer, Transport
from tests.support.models import INLINE, Model
from tests.support.responses import Response
from tests.wire import apps
from tests.wire.recorder import Application, Environ, Recorder

GET = b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD /p HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET /p HTTP/1.0\r\n\r\n"
PIECE = b"x" * 65536

Serving = Callable[[Application], SteppedServer]


@pytest.fixture
def serving(
    transport: Transport, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """Builds a stepped server for an application; the recorder is its `app`."""
    servers: list[SteppedServer] = []

    def start(app: Application) -> SteppedServer:
        servers.append(
            SteppedServer(Recorder(app), tmp_path_factory.mktemp("s"), transport, **model.settings)
        )
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Body:
    """An iterable that is not its own iterator and counts what is done to it."""

    def __init__(self, items: Iterable[bytes], fault: Exception | None = None) -> None:
        self.items = items
        self.fault = fault  # raised after the items
        self.closed = 0
        self.given = 0
        self.after_close = 0

    def __iter__(self) -> Iterator[bytes]:
        for item in self.items:
            self.given += 1
            self.after_close += self.closed
            yield item
        if self.fault is not None:
            raise self.fault

    def close(self) -> None:
        self.closed += 1


class OwnIterator(Body):
    """The same as its own iterator."""

    def __init__(self, items: Iterable[bytes], fault: Exception | None = None) -> None:
        super().__init__(items, fault)
        self._iterator = super().__iter__()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)


class Unclosable(Body):
    """One whose close() fails."""

    def close(self) -> None:
        super().close()
        raise ValueError("in close()")


class Unwilling(Body):
    """One that gives no iterator."""

    def __iter__(self) -> Iterator[bytes]:
        raise ValueError("in __iter__()")


BODIES = [Body, OwnIterator]


def fields_of(response: Response) -> list[tuple[str, str]]:
    return [field for field in response.headers if field[0] != "Date"]


@pytest.mark.parametrize(
    "name", ["one_item_list", "sized", "stream", "written", "sized_items", "file", "file_sized"]
)
def test_132_head_has_the_fields_of_get(serving: Serving, name: str) -> None:
    server = serving(getattr(apps, name))
    with server.connection("GET", "HEAD", "GET") as client:
        got, head, again = (client.exchange(request) for request in (GET, HEAD, GET))
        assert head.status == got.status
        assert fields_of(head) == fields_of(got) == fields_of(again)
        assert (head.body, again.body) == (b"", got.body)
        assert client.reader.violations == []


def test_132_head_without_items_is_given_no_length(serving: Serving) -> None:
    # A framework may have taken the body away: only it knows the length of GET (RFC 9110 §8.6).
    server = serving(apps.no_item_list)
    with server.connection("HEAD", "GET") as client:
        assert client.exchange(HEAD).get("content-length") is None
        assert client.exchange(GET).get("content-length") == "0"


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("request_", [GET, HEAD, OLD], ids=["GET", "HEAD", "1.0"])
def test_132_138_close_after_success(
    serving: Serving, kind: type[Body], status: str, request_: bytes
) -> None:
    body = kind([b"one", b"two"])
    server = serving(apps.answering(body, status=status))
    with server.connection(request_.split(b" ")[0].decode()) as client:
        client.send(request_)
        assert client.await_responses(1)[0].status == int(status[:3])
        server.settle()
        assert body.closed == 1
        assert client.reader.violations == []
    assert body.closed == 1


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize(("items", "length", "whole"), [
    ([], None, False),
    ([b"one"], None, False),
    ([b"one", b"two"], None, False),
    ([b"one"], 10, False),
    ([b"one", b"two", b"three"], 4, True),
    ([b"", b""], 0, True),
], ids=["at once", "after one", "after two", "sized", "too long", "after all of it"])  # fmt: skip
def test_138_close_after_an_exception(
    serving: Serving, kind: type[Body], items: list[bytes], length: int | None, whole: bool
) -> None:
    body = kind(items, ValueError("on the way"))
    fields = [] if length is None else [apps.length(length)]
    server = serving(apps.answering(body, *fields))
    with server.connection() as client:
        client.send(GET)
        if not items:
            assert client.await_responses(1)[0].status == 500
        elif not whole:
            client.await_end()
            assert not client.responses[0].complete
        else:
            assert client.await_responses(1)[0].complete
        server.settle()
        assert body.closed == 1
    assert body.closed == 1


def test_138_close_after_no_iterator(serving: Serving) -> None:
    body = Unwilling([])
    server = serving(apps.answering(body))
    with server.connection() as client:
        assert client.exchange(GET).status == 500
    assert body.closed == 1


def test_138_close_after_a_refused_head(serving: Serving) -> None:
    body = Body([b"one"])
    server = serving(apps.answering(body, ("X", "a\r\nb")))
    with server.connection() as client:
        assert client.exchange(GET).status == 500
        assert b"a\r\nb" not in client.received
    assert (
        body.closed <= 1
    )  # start_response raises: whether the application returned the body is its own affair


def test_138_close_after_a_wrong_item(serving: Serving) -> None:
    items: list[Any] = [b"one", "two"]
    body = Body(items)
    server = serving(apps.answering(body))
    with server.connection() as client:
        client.send(GET)
        client.await_end()
        assert not client.responses[0].complete
    assert body.closed == 1


def test_138_a_failing_close_spoils_nothing(serving: Serving) -> None:
    body = Unclosable([b"one", b"two"])
    server = serving(apps.answering(body))
    with server.connection() as client:
        client.send(GET)
        client.receive()
        server.settle()
        client.receive()
        assert client.responses[0].status == 200
        assert client.reader.violations == []
    assert body.closed == 1


def test_138_close_when_start_response_never_came(serving: Serving) -> None:
    body = Body([b"one"])
    server = serving(lambda _environ, _start_response: body)
    with server.connection() as client:
        assert client.exchange(GET).status == 500
        assert b"one" not in client.received
    assert body.closed == 1


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(
    ("request_", "fields"),
    [(GET, []), (GET, [apps.length(10_000 * len(PIECE))]), (OLD, [])],
    ids=["chunked", "length", "1.0"],
)
def test_138_close_when_the_client_has_gone(
    serving: Serving, kind: type[Body], how: str, request_: bytes, fields: list[tuple[str, str]]
) -> None:
    body = kind(PIECE for _ in range(10_000))
    server = serving(apps.answering(body, *fields))
    client = server.connect()
    client.put(request_)
    server.settle()
    given = body.given
    assert given < 1000, "pulled although nothing is read"
    assert body.closed == 0
    getattr(client, how)()
    server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    assert body.closed == 1
    assert body.given < given + 200, "pulled although nobody is there"
    assert body.after_close == 0


def test_138_a_large_block_is_not_the_first_to_fail(serving: Serving) -> None:
    # Nothing is framed behind a block of a sized body, whose failure has to be noticed by itself.
    clients: list[Client] = []

    def items() -> Iterator[bytes]:
        yield PIECE
        clients[0].reset()
        yield from (PIECE for _ in range(10_000))

    body = Body(items())
    server = serving(apps.answering(body, apps.length(10_001 * len(PIECE))))
    clients.append(server.connect())
    clients[0].put(GET)
    server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    assert body.closed == 1
    assert body.given < 10


def test_138_write_ends_when_the_client_has_gone(serving: Serving) -> None:
    written: list[int] = []
    clients: list[Client] = []

    def application(_environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [apps.PLAIN])
        for number in range(1000):
            write(b"x" * 100)
            written.append(number)
            if number == 5:
                clients[0].reset()
        return []

    server = serving(application)
    clients.append(server.connect())
    clients[0].put(GET)
    server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    assert 5 in written
    assert len(written) < 500, "more than the sending thread may have"


def test_131_what_is_yielded_leaves_while_the_next_is_made(serving: Serving) -> None:
    # PEP 3333: a server must not hold back a block until the next one comes.
    seen: list[bytes] = []
    clients: list[Client] = []

    def items() -> Iterator[bytes]:
        for item in (b"one", b"two", b"three"):
            yield item
            clients[0].await_bytes(item)
            seen.append(bytes(clients[0].received))

    def application(_environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [apps.PLAIN])
        return items()

    server = serving(application)
    with server.connection() as client:
        clients.append(client)
        client.put(GET)
        client.await_responses(1)
    assert [b"one" in seen[0], b"two" in seen[1], b"three" in seen[2]] == [True, True, True]
    assert b"two" not in seen[0]


def test_139_what_is_written_leaves_while_the_application_goes_on(serving: Serving) -> None:
    seen: list[bytes] = []
    clients: list[Client] = []

    def application(_environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [apps.PLAIN])
        for item in (b"one", b"two"):
            write(item)
            clients[0].await_bytes(item)
            seen.append(bytes(clients[0].received))
        return [b"three"]

    server = serving(application)
    with server.connection() as client:
        clients.append(client)
        client.put(GET)
        assert client.await_responses(1)[0].body == b"onetwothree"
    assert [b"one" in seen[0], b"two" in seen[1]] == [True, True]


@pytest.mark.parametrize(
    "request_", [GET, OLD, OLD + b"more"], ids=["1.1", "1.0", "1.0 and rubbish"]
)
def test_136_an_aborted_answer_does_not_look_complete(
    serving: Serving, transport: Transport, request_: bytes
) -> None:
    server = serving(apps.breaks_chunked)
    with server.connection() as client:
        client.send(request_)
        ending = client.await_end()
        assert client.responses[0].status == 200
        if request_ is GET:
            assert not client.responses[0].complete
        elif transport == "tcp":  # a body that the close delimits: only a reset tells (RFC 9112 §8)
            assert ending == "reset"


def test_137_exc_info_after_the_head_is_raised_again(serving: Serving) -> None:
    server = serving(apps.changes_its_mind_late)
    with server.connection() as client:
        client.send(GET)
        client.await_end()
        assert not client.responses[0].complete
    assert repr(server.app.calls[0].error) == "ValueError('second thoughts')"


def large_file(folder: Path, size: int) -> Path:
    """A file of `size` bytes in which every eight tell where they stand."""
    path = folder / "large"
    path.write_bytes(b"".join(b"%08d" % index for index in range(size // 8)))
    return path


def wrapping_file(
    path: Path, *fields: tuple[str, str], skip: int = 0
) -> tuple[Application, list[Any]]:
    opened: list[Any] = []

    def make() -> Any:
        opened.append(path.open("rb"))
        return opened[-1]

    return apps.wrapping(make, *fields, skip=skip), opened


SIZE = 8_000_000


@pytest.mark.parametrize("sized", [True, False])
def test_141_a_large_file_is_sent_whole_and_closed(
    serving: Serving, tmp_path: Path, sized: bool
) -> None:
    path = large_file(tmp_path, SIZE)
    app, opened = wrapping_file(path, *([apps.length(SIZE)] if sized else []))
    server = serving(app)
    with server.connection() as client:
        client.put(GET)
        server.settle()
        assert client.await_responses(1)[0].body == path.read_bytes()
        assert client.reader.violations == []
        server.settle()
    assert [file.closed for file in opened] == [True]


def test_141_a_file_is_sent_from_where_it_stands(serving: Serving, tmp_path: Path) -> None:
    path = large_file(tmp_path, 80_000)
    app, opened = wrapping_file(path, skip=4)
    server = serving(app)
    with server.connection() as client:
        assert client.exchange(GET).body == path.read_bytes()[4:]
    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize("left", [0, 1_000_000, SIZE - 1])
@pytest.mark.parametrize("sized", [True, False])
def test_141_a_file_that_shrinks_ends_the_connection(
    serving: Serving, tmp_path: Path, left: int, sized: bool
) -> None:
    path = large_file(tmp_path, SIZE)
    whole = path.read_bytes()
    app, opened = wrapping_file(path, *([apps.length(SIZE)] if sized else []))
    server = serving(app)
    with server.connection() as client:
        client.put(GET)
        server.settle()
        os.truncate(path, left)

        def over() -> bool:
            client.receive()
            return client.ending is not None or bool(
                client.responses and client.responses[0].complete
            )

        server.until(over, "the end of the answer")
        server.settle()
        answer = client.responses[0]
        assert len(answer.body) < SIZE
        # Sent pages stay those of the file: what the cut took away may arrive as zeros.
        assert answer.body[:left] == whole[: len(answer.body)][:left]
        if answer.framing == "length":
            assert not answer.complete
        assert client.reader.violations == []
    assert [file.closed for file in opened] == [True]


def descriptors(path: Path) -> int:
    """How many descriptors of this process are open on the file."""
    links = (entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return sum(os.path.realpath(link) == str(path) for link in links)


def test_141_the_applications_file_is_closed_before_a_slow_client_has_all(
    serving: Serving, tmp_path: Path
) -> None:
    path = large_file(tmp_path, SIZE)
    app, opened = wrapping_file(path)
    server = serving(app)
    with server.connection() as client:
        client.put(GET)
        server.until(lambda: [file.closed for file in opened] == [True], "the application")
        (answer,) = client.await_responses(1)
        assert answer.complete
        assert answer.body == path.read_bytes()


def test_141_nothing_is_open_when_the_client_has_gone(serving: Serving, tmp_path: Path) -> None:
    path = large_file(tmp_path, SIZE)
    app, opened = wrapping_file(path)
    server = serving(app)
    client = server.connect()
    client.put(GET)
    server.settle()
    assert descriptors(path) == 1
    client.reset()
    server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    assert descriptors(path) == 0
    assert [file.closed for file in opened] == [True]


def test_141_head_closes_the_file(serving: Serving, tmp_path: Path) -> None:
    app, opened = wrapping_file(large_file(tmp_path, 80_000))
    server = serving(app)
    with server.connection("HEAD") as client:
        assert client.exchange(HEAD).status == 200
        server.settle()
        assert [file.closed for file in opened] == [True]


def test_141_a_wrapper_can_be_iterated_by_middleware(serving: Serving) -> None:
    def application(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        return [block.upper() for block in apps.file_with_small_blocks(environ, start_response)]

    server = serving(application)
    with server.connection() as client:
        assert client.exchange(GET).body == b"HELLO, FILE"


def test_142_the_environ_is_that_of_pep_3333(
    serving: Serving, transport: Transport, model: Model
) -> None:
    server = serving(apps.echo)
    with server.connection() as client:
        client.exchange(GET)
    environ = server.app.calls[0].environ
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.input_terminated"] is True
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]) == (
        model is not INLINE, False, False,
    )  # fmt: skip
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["SCRIPT_NAME"] == ""
    if transport == "tcp":
        host, port = server.socket.getsockname()
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (host, str(port))
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert all(type(value) is str for name, value in environ.items() if name.isupper())
