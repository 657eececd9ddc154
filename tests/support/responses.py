"""A strict, incremental reader of HTTP/1.x responses.

h11 does the framing; what h11 forgives is checked here on the raw bytes: line ends, status line, repeated fields,
framing fields where none may stand, the exact form of every chunk, and a valid Date. Every departure is kept in
`ResponseReader.violations`, so that one look tells all of them; nothing is raised for what a server sent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal

import h11

Ending = Literal["eof", "reset"]

STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9] [\t\x20-\x7e\x80-\xff]*")
FIELD_LINE = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
CHUNK_SIZE = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,15})\r\n")
LAST_CHUNK = b"0\r\n\r\n"
SINGLE_FIELDS = (
    "connection",
    "content-length",
    "content-type",
    "date",
    "server",
    "transfer-encoding",
)
IMF_FIXDATE = "%a, %d %b %Y %H:%M:%S GMT"


@dataclass
class Response:
    """One response, interim ones included. `complete` is False when the stream ended inside it."""

    status: int
    reason: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False

    def all(self, name: str) -> list[str]:
        """Every value of the field, in the order of the wire."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The only value of the field, or None; ValueError where it stands more than once."""
        values = self.all(name)
        if len(values) > 1:
            raise ValueError(f"{name} stands {len(values)} times")
        return values[0] if values else None

    @property
    def framing(self) -> Literal["chunked", "length", "close"]:
        if self.all("transfer-encoding"):
            return "chunked"
        return "length" if self.all("content-length") else "close"


@dataclass
class ResponseReader:
    """Reads the answers to requests with the given methods, in order; a method not given is GET."""

    methods: Sequence[str] = ()
    responses: list[Response] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    ending: Ending | None = None

    def __post_init__(self) -> None:
        self._finals = 0
        self._raw = bytearray()
        self._body_start = 0
        self._in_message = False
        self._parser = self._next_parser()

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream, in any pieces."""
        if data:
            self._raw += data
            self._parser.receive_data(data)
            self._advance()

    def feed_end(self, ending: Ending) -> None:
        """Takes the end of the stream: a clean one ("eof") or a connection reset."""
        self.ending = ending
        if ending == "eof" and (self._in_message or self._raw):
            self._parser.receive_data(b"")
            self._advance()

    @property
    def partial(self) -> bool:
        """Whether bytes of an unfinished response were read."""
        return bool(self._raw)

    def _method(self) -> str:
        return self.methods[self._finals] if self._finals < len(self.methods) else "GET"

    def _next_parser(self) -> h11.Connection:
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        parser.send(h11.Request(method=self._method(), target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        return parser

    def _advance(self) -> None:
        while not self._failed():
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error)
                return
            if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
                return  # it needs data, or is over
            self._take(event)

    def _failed(self) -> bool:
        return self._parser.their_state is h11.ERROR

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        # An end inside a message is a fact about the response (`complete` stays False), not a malformed byte.
        if self.ending is None or not self._in_message:
            self.violations.append(str(error))

    def _take(self, event: h11.Event) -> None:
        if isinstance(event, h11.InformationalResponse | h11.Response):
            self._take_head(event)
        elif isinstance(event, h11.Data):
            self.responses[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            if event.headers.raw_items():
                self.violations.append("a trailer section")
            self._finish()

    def _take_head(self, event: h11.InformationalResponse | h11.Response) -> None:
        interim = isinstance(event, h11.InformationalResponse)
        end = self._raw.find(b"\r\n\r\n")
        self._body_start = end + 4 if end >= 0 else len(self._raw)
        first, *lines = (
            bytes(self._raw[: self._body_start]).removesuffix(b"\r\n\r\n").split(b"\r\n")
        )
        response = Response(
            status=event.status_code,
            reason=event.reason.decode("latin-1"),
            version=event.http_version.decode("ascii"),
            headers=[split_field(line) for line in lines],  # h11 would have merged equal lengths
            complete=interim,
        )
        self.responses.append(response)
        if end < 0:
            self.violations.append("a head that no empty line ends")
        if not STATUS_LINE.fullmatch(first):
            self.violations.append(f"status line {first!r}")
        self.violations.extend(
            f"field line {line!r}" for line in lines if not FIELD_LINE.fullmatch(line)
        )
        self._check_fields(response)
        if interim:
            del self._raw[: self._body_start]
        else:
            self._in_message = True

    def _check_fields(self, response: Response) -> None:
        say = self.violations.append
        for name in SINGLE_FIELDS:
            if len(response.all(name)) > 1:
                say(f"{name} stands {len(response.all(name))} times")
        length, coding = response.all("content-length"), response.all("transfer-encoding")
        if length and coding:
            say("Content-Length beside Transfer-Encoding")
        if (length and not re.fullmatch(r"[0-9]+", length[0])) or (
            coding and coding[0] != "chunked"
        ):
            say(f"framing {length or coding}")
        if (length or coding) and (response.status < 200 or response.status == 204):
            say(f"{response.status} with a framing field")  # RFC 9112 §6.1, RFC 9110 §8.6
        if coding and response.status == 304:
            say("304 with Transfer-Encoding")
        if response.status >= 200 and not valid_date(response.all("date")):
            say(f"Date {response.all('date')}")

    def _finish(self) -> None:
        response = self.responses[-1]
        rest = self._parser.trailing_data[0]
        message = bytes(self._raw[self._body_start : len(self._raw) - len(rest)])
        bodiless = self._method() == "HEAD" or response.status in (204, 304)
        if (
            response.framing == "chunked"
            and not bodiless
            and not strictly_chunked(message, response.body)
        ):
            self.violations.append(f"chunked body {message[:80]!r}")
        response.complete = True
        self._in_message = False
        self._finals += 1
        self._raw = bytearray(rest)
        self._parser = self._next_parser()
        if rest:
            self._parser.receive_data(rest)


def split_field(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name, value.strip(" \t")


def valid_date(values: list[str]) -> bool:
    """Whether there is exactly one Date in the preferred form of RFC 9110 §5.6.7."""
    try:
        (value,) = values
        return datetime.strptime(value, IMF_FIXDATE).strftime(IMF_FIXDATE) == value
    except ValueError:
        return False


def strictly_chunked(message: bytes, body: bytes) -> bool:
    """Whether `message` is `body` in chunks without extensions, leading zeros or a trailer section."""
    position = taken = 0
    while match := CHUNK_SIZE.match(message, position):
        size, start = int(match[1], 16), match.end()
        if (
            message[start : start + size] != body[taken : taken + size]
            or message[start + size : start + size + 2] != b"\r\n"
        ):
            return False
        position, taken = start + size + 2, taken + size
    return message[position:] == LAST_CHUNK and taken == len(body)


@lru_cache(maxsize=256)
def read_responses(data: bytes, methods: tuple[str, ...], ending: Ending | None) -> ResponseReader:
    """Reads a stream at once. Cached: a corpus sees the same answer thousands of times. Do not change the result."""
    reader = ResponseReader(methods)
    reader.feed(data)
    if ending is not None:
        reader.feed_end(ending)
    return reader
