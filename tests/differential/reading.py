"""One stream of bytes as three parsers read it: ours behind its socket, h11, llhttp by httptools.

A reading is a list of requests, and why the parser refused to go on where it did. The body stands
for the framing: Content-Length and Transfer-Encoding themselves are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h11
import httptools

from tests.support.loop import SteppedServer
from tests.support.responses import Response, read_responses


@dataclass
class Request:
    """A request as far as parsers must agree on it; fields are named and joined as in WSGI."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


@dataclass
class Reading:
    """What a parser made of a stream; `refused` is why it stopped, "" where it did not."""

    requests: list[Request] = field(default_factory=list)
    refused: str = ""


ABSOLUTE = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)
FRAMING = ("CONTENT-LENGTH", "TRANSFER-ENCODING")


def make_request(
    method: bytes, target: bytes, pairs: Iterable[tuple[bytes, bytes]], body: bytes
) -> Request:
    """What an oracle read. An absolute target names the host (RFC 9112 3.2.2)."""
    fields = wsgi_fields(pairs)
    absolute = ABSOLUTE.match(target)
    if absolute is not None:
        fields.setdefault("HOST", absolute[1].decode("latin-1"))
    return Request(method.decode("latin-1"), target.decode("latin-1"), fields, body)


def wsgi_fields(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields as PEP 3333 and wire.md have them in an environ.

    Names with an underscore and `Proxy` do not get there (wire.md 19, 47, 48), and of repeated
    fields the values are joined (wire.md 41).
    """
    fields: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1").upper()
        value = raw_value.decode("latin-1").strip(" \t")
        if name == "CONTENT-TYPE" and not value:
            continue  # PEP 3333: empty is the same as absent
        if "_" in name or name in ("PROXY", *FRAMING):
            continue
        if name in fields:
            fields[name] += ("; " if name == "COOKIE" else ",") + value
        else:
            fields[name] = value
    return fields


# -- the oracles


def read_by_h11(data: bytes) -> Reading:
    """Each request is read by a connection of its own, as h11 ends all those of HTTP/1.0."""
    reading = Reading()
    persists = True
    while persists and data:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(data)
        try:
            head, body = read_one_by_h11(connection)
        except h11.RemoteProtocolError as error:
            reading.refused = str(error)
            break
        if head is None:
            break
        pairs = list(head.headers.raw_items())
        reading.requests.append(make_request(head.method, head.target, pairs, body))
        persists = asks_to_persist(head.http_version, pairs)
        data = connection.trailing_data[0]
    return reading


def read_one_by_h11(connection: h11.Connection) -> tuple[h11.Request | None, bytes]:
    """Head and body of the first request; None where it is incomplete."""
    head, body = None, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return head, body
        else:
            return None, b""


def asks_to_persist(version: bytes, pairs: Iterable[tuple[bytes, bytes]]) -> bool:
    """RFC 9112 9.3."""
    values = [value for name, value in pairs if name.lower() == b"connection"]
    options = {option.strip(b" \t").lower() for option in b",".join(values).split(b",")}
    return b"close" not in options and (version != b"1.0" or b"keep-alive" in options)


class LlhttpEvents:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.parser: Any = None

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        # Fields after this are trailers, which are no part of the message's fields (wire.md 120).
        self.fields = [*self.headers]

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method = self.parser.get_method()
        self.reading.requests.append(make_request(method, self.url, self.fields, self.body))


def read_by_llhttp(data: bytes) -> Reading:
    events = LlhttpEvents()
    events.parser = httptools.HttpRequestParser(events)
    try:
        events.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        # It takes the rest for another protocol, a body of the request included.
        events.reading.requests.pop()
        events.reading.refused = "an upgrade"
    except httptools.HttpParserError as error:
        events.reading.refused = f"{type(error).__name__}: {error}"
    return events.reading


# -- ours


class Recorder:
    """The application under test: takes note of the environ and of the whole body."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        if environ.get("CONTENT_LENGTH"):
            assert int(environ["CONTENT_LENGTH"]) == len(body)
        method, target = environ["REQUEST_METHOD"], environ["RAW_URI"]
        self.requests.append(Request(method, target, fields_of(environ), body))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]


def fields_of(environ: dict[str, Any]) -> dict[str, str]:
    """The header fields of an environ, by their names on the wire."""
    fields = {
        key.removeprefix("HTTP_").replace("_", "-"): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        fields["CONTENT-TYPE"] = environ["CONTENT_TYPE"]
    return fields


@dataclass
class Outcome:
    """What the server did with a stream: requests given to the application, and answers."""

    requests: list[Request]
    responses: list[Response]
    violations: list[str]

    @property
    def statuses(self) -> list[int]:
        """Final ones. Whether a 100 goes out depends on how the bytes arrive (RFC 9110 10.1.1)."""
        return [response.status for response in self.responses if response.status >= 200]

    @property
    def without_date(self) -> list[tuple[int, str, list[tuple[str, str]], bytes]]:
        return [
            (
                response.status,
                response.reason,
                [pair for pair in response.headers if pair[0].lower() != "date"],
                response.body,
            )
            for response in self.responses
            if response.status >= 200
        ]


class Subject:
    """Our server and its recorder."""

    def __init__(self, server: SteppedServer, app: Recorder) -> None:
        self.server = server
        self.app = app

    def read(self, *pieces: bytes) -> Outcome:
        """Send the pieces, each in a turn of its own, and end the stream; await its other end."""
        self.app.requests = []
        client = self.server.connect()
        try:
            for piece in pieces:
                client.send(piece)
            client.half_close()
            client.await_end()
        finally:
            client.close()
        self.server.until(lambda: self.server.server.connections == 0, "the connection's end")
        methods = tuple(request.method for request in self.app.requests)
        reader = read_responses(bytes(client.received), methods, client.ending)
        if reader.responses and not reader.responses[-1].complete and b"HEAD " in b"".join(pieces):
            # The refused request never reached the application; its answer may be one to HEAD.
            reader = read_responses(bytes(client.received), (*methods, "HEAD"), client.ending)
        return Outcome(self.app.requests, reader.responses, reader.violations)
