"""One stream of bytes as three parsers read it: ours behind its socket, h11, and llhttp by httptools.

Every reading is a list of requests and how it ended: with a refusal, in the midst of a request, or at
the end of a message.
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
    """What a parser made of a stream. `refused` says why it stopped, "" where it did not refuse."""

    requests: list[Request] = field(default_factory=list)
    refused: str = ""


def wsgi_fields(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields as PEP 3333 and wire.md have them in an environ.

    Names with an underscore and `Proxy` do not get there (wire.md 19, 47, 48), Transfer-Encoding is
    spent, and of repeated fields the values are joined (wire.md 41).
    """
    fields: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1").upper()
        value = raw_value.decode("latin-1").strip(" \t")
        if "_" in name or name in ("PROXY", "TRANSFER-ENCODING"):
            continue
        if name in fields:
            fields[name] += ("; " if name == "COOKIE" else ",") + value
        else:
            fields[name] = value
    if "CONTENT-LENGTH" in fields:
        fields["CONTENT-LENGTH"] = fields["CONTENT-LENGTH"].lstrip("0") or "0"
    return fields


# -- the oracles


def read_by_h11(data: bytes) -> Reading:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    reading = Reading()
    head: h11.Request | None = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            reading.refused = str(error)
            return reading
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            reading.requests.append(
                Request(
                    head.method.decode("ascii"),
                    head.target.decode("ascii"),
                    wsgi_fields(head.headers.raw_items()),
                    body,
                )
            )
            if not next_cycle(connection):
                return reading
        else:
            return reading


def next_cycle(connection: h11.Connection) -> bool:
    """Answer the request and get ready for another; False where the connection is over."""
    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.MUST_CLOSE:
        return False
    connection.start_next_cycle()
    return True


class LlhttpEvents:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.parser: Any = None
        self.closed = False

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
        self.fields = wsgi_fields(self.headers)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.reading.requests.append(
            Request(
                self.parser.get_method().decode("ascii"),
                self.url.decode("latin-1"),
                self.fields,
                self.body,
            )
        )


def read_by_llhttp(data: bytes) -> Reading:
    events = LlhttpEvents()
    events.parser = httptools.HttpRequestParser(events)
    try:
        events.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        # It stops parsing there; what follows is read by a parser of its own.
        return events.reading
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
        self.requests.append(
            Request(
                environ["REQUEST_METHOD"], environ["RAW_URI"], fields_of(environ), body
            )
        )
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]


def fields_of(environ: dict[str, Any]) -> dict[str, str]:
    """The header fields of an environ, by their names on the wire."""
    fields = {
        key.removeprefix("HTTP_").replace("_", "-"): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if key in environ:
            fields[key.replace("_", "-")] = environ[key]
    if fields.get("CONTENT-LENGTH"):
        fields["CONTENT-LENGTH"] = fields["CONTENT-LENGTH"].lstrip("0") or "0"
    return {name: value for name, value in fields.items() if name not in DROPPED_WHEN_EMPTY or value}


# PEP 3333 allows these two to be empty where the field is absent.
DROPPED_WHEN_EMPTY = ("CONTENT-TYPE", "CONTENT-LENGTH")


@dataclass
class Outcome:
    """What the server did with a stream: the requests it gave to the application, and its answers."""

    requests: list[Request]
    responses: list[Response]
    violations: list[str]
    raw: bytes

    @property
    def statuses(self) -> list[int]:
        """Final statuses; whether a 100 goes out may depend on how the bytes arrive (RFC 9110 10.1.1)."""
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
        """Send the pieces, each in a turn of its own, and the end of the stream; await the server's."""
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
        return Outcome(self.app.requests, reader.responses, reader.violations, bytes(client.received))


CONNECTION_LINE = re.compile(rb"\r\nconnection:", re.IGNORECASE)
