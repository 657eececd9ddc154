"""What a worker keeps from one request to the next never shows in another request."""

import gc
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi._writer import HeadWriter
from fastwsgi.errors import ApplicationError
from tests.support.builds import LENDS_ENVIRONS, WHY_NOT
from tests.support.loop import SteppedServer

TARGETS = ["/", "/a", "/b", "/a?x=1", "/a?x=2", "/%41", "/%42?x=1", "http://h/a", "/" + "l" * 300]
FIELDS = [
    "",
    "Host: h\r\n",
    "Host: h\r\nUser-Agent: one\r\n",
    "Host: h\r\nUser-Agent: two\r\nCookie: a=1\r\n",
    "host: h\r\nuser-agent: one\r\nCookie: b=2\r\nCookie: c=3\r\n",
    "Host: h\r\nX-Long-" + "n" * 60 + ": v\r\n",
    "Host: h\r\nContent-Type: text/plain\r\n",
    "Host: h\r\nContent-Length: 3\r\n",
    "Host: h\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n",
    "Host: h\r\nUser-Agent: one\r\nAccept: */*\r\nCookie: a=1\r\nReferer: /x\r\n",
    "Host: h\r\nUser-Agent: one\r\nAccept: a/b\r\nCookie: a=2\r\nReferer: /x\r\n",
    "Host: h\r\nUser-Agent: one\r\nAccept: */*\r\nReferer: /x\r\nX_Odd: 1\r\n",
]
METHODS = ["GET", "POST", "DELETE", "OPTIONS"]


BODY = "body"  # stands among what was seen of an environ

Environ = dict[str, Any]
Treatment = Callable[[Environ], object]


def clear(environ: Environ) -> None:
    environ.clear()
    environ["HTTP_X_LEFT"] = "behind"


def replace(environ: Environ) -> None:
    environ["PATH_INFO"] = environ["HTTP_HOST"] = environ["wsgi.input"] = "another"


def reorder(environ: Environ) -> None:
    environ["REMOTE_ADDR"] = environ.pop("REMOTE_ADDR")


def differently() -> Treatment:
    """Now this, now that; most often nothing, so that environs are lent again."""
    chance = random.Random(2)
    treatments = [clear, replace, reorder, *[leave] * 5]

    def treat(environ: Environ) -> None:
        chance.choice(treatments)(environ)

    return treat


def leave(environ: Environ) -> None:
    pass


@pytest.fixture
def seen() -> list[Environ]:
    return []


@pytest.fixture
def treatment() -> Treatment:
    """What the application does to an environ, which is its own."""
    return clear


@pytest.fixture
def server(tmp_path: Path, seen: list[Environ], treatment: Treatment) -> Iterator[SteppedServer]:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        seen.append({**{k: v for k, v in environ.items() if k[:5] != "wsgi."}, BODY: body})
        treatment(environ)
        start_response("204 No Content", [])
        return []

    with SteppedServer(app, tmp_path, keepalive_requests=0) as server:
        yield server


def request(method: str, target: str, fields: str, version: str) -> bytes:
    body = (method + target * 12)[: int(fields.partition("Content-Length: ")[2] or 0)]
    head = f"{method} {target} HTTP/{version}\r\nConnection: keep-alive\r\n{fields}\r\n"
    return (head + body).encode()


def requests() -> list[bytes]:
    return [
        request(method, target, fields, "1.0" if not fields else version)
        for method, target, fields, version in itertools.product(
            METHODS, TARGETS, FIELDS, ["1.0", "1.1"]
        )
        if not (target.startswith("http") and method == "OPTIONS")
    ]


def without_port(environ: Environ) -> Environ:
    return {key: value for key, value in environ.items() if key != "REMOTE_PORT"}


KEPT: list[Environ] = []


@pytest.mark.parametrize(
    "treatment",
    [clear, replace, reorder, leave, KEPT.append, differently()],
    ids=["clear", "replace", "reorder", "leave", "keep", "differently"],
)
def test_an_environ_depends_on_its_own_request_alone(
    server: SteppedServer, seen: list[Environ], tmp_path: Path
) -> None:
    alone: dict[bytes, Environ] = {}
    for data in requests():
        with server.connection() as client:
            assert client.exchange(data).status == 204
        alone[data] = without_port(seen.pop())

    mixed = list(alone) * 2
    random.Random(1).shuffle(mixed)
    KEPT.clear()
    clients = [server.connect() for _ in range(3)]
    ports = [client.socket.getsockname()[1] for client in clients]
    try:
        for turn, data in enumerate(mixed):
            who = turn * 7 % len(clients)
            clients[who].put(data)
            server.until(lambda: bool(seen), "the request")
            environ = seen.pop()
            assert environ["REMOTE_PORT"] == str(ports[who])
            assert without_port(environ) == alone[data], data
    finally:
        for client in clients:
            client.close()
    for data, environ in zip(
        mixed, KEPT, strict=False
    ):  # what the application keeps stays as it was
        kept = {key: value for key, value in environ.items() if key[:5] != "wsgi."}
        assert without_port(kept) | {BODY: alone[data][BODY]} == alone[data], data


SECRET = "Host: h\r\nAuthorization: Basic c2VjcmV0\r\n"


@pytest.mark.skipif(not LENDS_ENVIRONS, reason=WHY_NOT)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", ["", "Content-Length: 3\r\n"], ids=["empty", "body"])
def test_an_untouched_environ_is_lent_again(tmp_path: Path, method: str, length: str) -> None:
    environs: list[int] = []
    others: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        environs.append(id(environ))
        others.append({})  # takes the address of an environ that was given up
        start_response("204 No Content", [])
        return []

    with SteppedServer(app, tmp_path) as server, server.connection() as client:
        for path in ["/a", "/b", "/a", "/c"]:
            client.exchange(request(method, path, SECRET + length, "1.1"))
    assert len(set(environs)) == 1


def test_no_environ_that_waits_keeps_a_secret_or_a_body(tmp_path: Path) -> None:
    bodies: list[object] = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        bodies.append(environ["wsgi.input"])
        start_response("204 No Content", [])
        return []

    with SteppedServer(app, tmp_path) as server, server.connection() as client:
        for path in ["/a", "/b"]:
            client.exchange(request("POST", path, SECRET + "Content-Length: 3\r\n", "1.1"))
        gc.collect()
        things = gc.get_objects()
        environs = [e for e in things if isinstance(e, dict) and "HTTP_AUTHORIZATION" in e]
        assert [e["HTTP_AUTHORIZATION"] for e in environs] == [""] * LENDS_ENVIRONS
        assert not [e for e in environs for body in bodies if e["wsgi.input"] is body]


@pytest.mark.parametrize("length", ["", "Content-Length: 3\r\n"], ids=["empty", "body"])
def test_a_socket_that_was_lent_is_in_no_later_environ(tmp_path: Path, length: str) -> None:
    had: list[bool] = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        had.append("gunicorn.socket" in environ)
        start_response("204 No Content", [])
        return []

    with SteppedServer(app, tmp_path) as server:
        for option in ["upgrade", "keep-alive"]:
            with server.connection() as client:
                head = f"POST / HTTP/1.1\r\nHost: h\r\nConnection: {option}\r\nUpgrade: x\r\n"
                client.exchange(f"{head}{length}\r\n{'abc' if length else ''}".encode())
    assert had == [True, False]


def test_an_environ_has_room_for_the_fields_of_a_browser(
    server: SteppedServer, seen: list[Environ]
) -> None:
    fields = "Host: h\r\n" + "".join(f"X-{number}: v\r\n" for number in range(18))
    with server.connection() as client:
        client.exchange(request("GET", "/", fields, "1.1"))
    assert {f"HTTP_X_{number}" for number in range(18)} <= seen[0].keys()


def test_a_known_line_is_the_line_of_its_tuple() -> None:
    writer = HeadWriter("")
    first, second = ("X-A", "1"), ("X-A", "2")
    for fields in ([first], [second], [first, second], [second, first], [first, first]) * 3:
        head = writer.serialise("200 OK", fields, 0)[0]
        lines = head.split(b"\r\n")[2:-1]
        assert lines == [f"{name}: {value}".encode() for name, value in fields]


def test_an_address_that_is_used_again_is_no_known_line() -> None:
    writer = HeadWriter("")
    for number in range(2000):  # each tuple may lie where an earlier one was
        head = writer.serialise("200 OK", [("X-N", str(number))], 0)[0]
        assert f"\r\nX-N: {number}\r\n".encode() in head


def test_a_known_content_length_is_still_counted() -> None:
    writer = HeadWriter("")
    length = ("Content-Length", "5")
    assert writer.serialise("200 OK", [length], 0)[2] == 5
    assert writer.serialise("200 OK", [length], 0)[2] == 5
    with pytest.raises(ApplicationError, match="twice"):
        writer.serialise("200 OK", [length, length], 0)
    head, _, found = writer.serialise("204 No Content", [length], 0)
    assert found == 5
    assert b"Content-Length" not in head


def test_a_refused_field_is_refused_again() -> None:
    writer = HeadWriter("")
    bad = ("X-A", "1\n2")
    for _ in range(3):
        with pytest.raises(ApplicationError):
            writer.serialise("200 OK", [bad], 0)


def test_a_head_that_comes_again_has_the_date_of_its_own_second() -> None:
    writer = HeadWriter("x")
    status, headers = "200 OK", [("Content-Type", "text/plain")]
    for _ in range(3):
        writer.serialise(status, headers, 8)
    writer.serialise(status, tuple(headers), 9)  # nothing of it is kept but its second
    assert writer.serialise(status, headers, 9)[0].count(b"00:00:09 GMT") == 1


def test_a_head_is_made_of_its_own_objects() -> None:
    """Whatever one writer has made before, it makes what a new one makes."""
    chance = random.Random(3)
    statuses = ["200 OK", "200 Fine", "404 Not Found", "204 No Content", "599 " + "x" * 80]
    fields = [("X-A", "1"), ("X-A", "2"), ("Content-Length", "5"), ("X-Long", "v" * 200)]
    fields += [("Connection", "close"), ("Keep-Alive", "1"), ("X-B", "b" * 90)]
    fields += [(f"X-{number}", "v" * 80) for number in range(80)]  # more than there is room for
    lists = [chance.sample(fields[:7], chance.randrange(4)) for _ in range(12)]
    lists += [chance.sample(fields, 18), fields[7:27], fields[7:22], []]
    writer = HeadWriter("x")
    for _ in range(5000):
        status, headers = chance.choice(statuses), chance.choice(lists)
        if chance.random() < 0.1:
            headers[:] = chance.sample(fields, len(headers))
        second = chance.choice((7, 8)) if chance.random() < 0.1 else 7
        try:
            expected = HeadWriter("x").serialise(status, headers, second)
        except ApplicationError:
            with pytest.raises(ApplicationError):
                writer.serialise(status, headers, second)
        else:
            assert writer.serialise(status, headers, second) == expected


def test_a_head_that_failed_in_a_new_second_leaves_no_old_one() -> None:
    writer = HeadWriter("")
    good, bad = [("X-A", "1")], [("X-A", "1\n")]
    old = [writer.serialise("200 OK", good, 7) for _ in range(3)][-1]
    with pytest.raises(ApplicationError):
        writer.serialise("200 OK", bad, 8)
    assert writer.serialise("200 OK", good, 8) != old


class Shifty(str):
    """A str that could change what it says."""


def test_only_what_cannot_change_is_kept() -> None:
    writer = HeadWriter("")
    value = Shifty("1")
    field = ("X-A", value)
    for _ in range(3):
        assert b"X-A: 1\r\n" in writer.serialise("200 OK", [field], 0)[0]
    pair = ["X-B", "1"]
    assert b"X-B: 1\r\n" in writer.serialise("200 OK", [pair], 0)[0]  # type: ignore[list-item]
    pair[1] = "2"
    assert b"X-B: 2\r\n" in writer.serialise("200 OK", [pair], 0)[0]  # type: ignore[list-item]


def test_a_status_is_the_one_given() -> None:
    writer = HeadWriter("")
    for status in ["200 OK", "404 Not Found", "200 OK", "200 Fine", "599 " + "x" * 80, "200 OK"]:
        head, code, _ = writer.serialise(status, [], 0)
        assert head.startswith(f"HTTP/1.1 {status}\r\n".encode())
        assert code == int(status[:3])


@pytest.mark.parametrize(
    ("wall", "date"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784111777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (2**31, "Tue, 19 Jan 2038 03:14:08 GMT"),
        (4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"),
    ],
)
def test_date_is_an_imf_fixdate(wall: int, date: str) -> None:
    writer = HeadWriter("x")
    writer.serialise("200 OK", [], wall - 1)
    assert f"\r\nDate: {date}\r\nServer: x\r\n".encode() in writer.serialise("200 OK", [], wall)[0]
