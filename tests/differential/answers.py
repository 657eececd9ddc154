"""What an application may answer with, lawful or not, and what must become of it on the wire.

Responses are read by the suite's own strict reader, whose parser is h11 in the client's role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.support.loop import SteppedServer
from tests.support.responses import Response, read_responses

Pairs = list[tuple[str, str]]

# Fields that are the server's (wire.md 126, 134, 140): the application's never reach the wire.
SERVERS = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "trailers", "transfer-encoding", "upgrade", "date", "server"),
    }
)
MAY_BE_ADDED = {"date", "server", "connection", "transfer-encoding", "content-length"}
BODILESS = (204, 304)


@dataclass
class Answer:
    """What the application does with a request."""

    status: str = "200 OK"
    headers: Pairs = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)
    lazily: bool = True

    @property
    def code(self) -> int:
        return int(self.status[:3])

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        start_response(self.status, self.headers)
        return iter(self.body) if self.lazily else self.body


class Stage:
    """A server whose application is replaced for each example."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.server: SteppedServer | None = None

    def app(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        return self.answer(environ, start_response)

    def ask(self, answer: Answer, method: str = "GET", version: str = "1.1") -> Response:
        """The response to one request on a connection of its own, well-formed to the last byte."""
        assert self.server is not None
        self.answer = answer
        client = self.server.connect()
        try:
            client.send(f"{method} / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            client.half_close()
            client.await_end()
        finally:
            client.close()
        reader = read_responses(bytes(client.received), (method,), client.ending)
        assert reader.violations == []
        (response,) = reader.responses
        return response


TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=15)
NAMES = st.one_of(
    st.sampled_from(("Set-Cookie", "set-cookie", "ETag", "Location", "Vary", "X-A", "X-a")),
    TOKENS.map(lambda token: "X-" + token),
)
VISIBLE = "".join(map(chr, (*range(0x21, 0x7F), *range(0xA0, 0x100))))
VALUES = st.text(VISIBLE + " \t", max_size=40).map(lambda value: value.strip(" \t"))
STATUSES = st.one_of(
    st.sampled_from(
        ("200 OK", "201 Created", "404 Not Found", "304 Not Modified", "204 No Content")
    ),
    st.tuples(st.integers(200, 599), st.text("abc XYZ09-'\xe9", min_size=1, max_size=12)).map(
        lambda pair: f"{pair[0]} {pair[1].strip() or 'x'}"
    ),
)
BODIES = st.lists(st.one_of(st.just(b""), st.binary(max_size=40)), max_size=4)

# Each of these makes a whole answer wrong.
ANYTHING = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        ("\r\n", "\n", "\r", "\0", "a\r\nX-Injected: 1", "a\r\n\r\n<html>", "\x7f", "\x0b")
    ),
    st.sampled_from(("", " ", "a b", "a:", "\u0100", "\ud800", "é")),
    st.sampled_from((None, 5, b"bytes", ["list"])),
)


def kept(headers: Pairs) -> Pairs:
    """Of the application's fields, those that belong on the wire."""
    return [(name, value) for name, value in headers if name.lower() not in SERVERS]


def added(response: Response, headers: Pairs) -> list[str]:
    """Names of the fields that the server added, lower case."""
    theirs = [name.lower() for name, _ in headers]
    return [name.lower() for name, _ in response.headers if name.lower() not in theirs]


@st.composite
def lawful_answers(draw: st.DrawFn) -> Answer:
    """Answers that PEP 3333 allows, with and without a Content-Length."""
    answer = Answer(draw(STATUSES), draw(st.lists(st.tuples(NAMES, VALUES), max_size=6)))
    answer.body, answer.lazily = draw(BODIES), draw(st.booleans())
    if draw(st.booleans()):
        answer.headers.insert(0, ("Content-Type", "text/plain"))
    if draw(st.booleans()) and answer.code not in BODILESS:
        answer.headers.append(("Content-Length", str(len(b"".join(answer.body)))))
    return answer


@st.composite
def anything(draw: st.DrawFn) -> Answer:
    """Answers of which all may be wrong, the types too."""
    name = st.one_of(NAMES, st.sampled_from(sorted(SERVERS)), ANYTHING)
    value = st.one_of(VALUES, st.sampled_from(("chunked", "close")), ANYTHING)
    headers: Any = draw(st.lists(st.tuples(name, value), max_size=4))
    status: Any = draw(st.one_of(STATUSES, ANYTHING))
    shape = draw(st.sampled_from(("list", "tuple", "no pair", "three")))
    if shape == "tuple":
        headers = tuple(headers)
    elif shape == "no pair":
        headers.append("X")
    elif shape == "three":
        headers.append(("a", "b", "c"))
    return Answer(status, headers, [b"body"])


def check_lawful(stage: Stage, answer: Answer, method: str, version: str) -> None:
    """It arrives unchanged."""
    response = stage.ask(answer, method, version)
    assert response.complete
    assert f"{response.status} {response.reason}" == answer.status
    names = [name for name, _ in answer.headers]
    assert [pair for pair in response.headers if pair[0] in names] == answer.headers
    empty = method == "HEAD" or answer.code in BODILESS
    assert response.body == (b"" if empty else b"".join(answer.body))
    assert set(added(response, answer.headers)) <= MAY_BE_ADDED


def check_anything(stage: Stage, answer: Answer) -> None:
    """It arrives unchanged or not at all."""
    response = stage.ask(answer)
    if response.status == 500 and "X-" not in str(response.headers):
        return
    assert isinstance(answer.headers, (list, tuple))
    assert all(isinstance(pair, tuple) and len(pair) == 2 for pair in answer.headers)
    assert f"{response.status} {response.reason}".strip() == answer.status.strip()
    sent = kept(answer.headers)
    names = {name for name, _ in sent}
    arrived = [pair for pair in response.headers if pair[0] in names]
    assert arrived == [(name, value.strip(" \t")) for name, value in sent]
    assert set(added(response, sent)) <= MAY_BE_ADDED
