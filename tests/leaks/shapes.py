"""The shapes of requests, and the application that they ask."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.support.loop import Transport

BLOCK: Final = b"x" * 65536
LIMITS: Final = {"limit_request_body": 100_000, "keepalive_requests": 0}
THREADS: Final = {"execution": "threads", "threads": 4}

Environ = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """What a client sends, and what becomes of its connection."""

    sent: bytes
    requests: int = 1
    """How many that is."""
    weight: int = 1
    """As many others as it takes the time of: there are fewer of it."""
    end: Literal["kept", "answered", "begun", "left"] = "kept"
    """The connection goes on, or ends with its answer, with the beginning of that, or without."""
    transport: Transport = "unix"
    settings: Mapping[str, Any] = field(default_factory=dict)


def request(path: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} /{path} HTTP/1.1", "Host: test", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def sized(path: str, size: int, *fields: str) -> bytes:
    """A POST with a body of so many bytes."""
    return request(path, f"Content-Length: {size}", *fields, method="POST", body=bytes(size))


GET: Final = request("block")
BROWSER: Final = request(
    "block?q=1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: http://test/",
    "Cookie: one=1",
    "Cookie: two=2",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Mode: navigate",
)
CHUNKED: Final = request(
    "block",
    "Transfer-Encoding: chunked",
    method="POST",
    body=b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: t\r\n\r\n",
)
POST: Final = sized("block", 100)
PIECES: Final = request("pieces")

SHAPES: Final[Mapping[str, Shape]] = {
    "GET": Shape(GET),
    "browser": Shape(BROWSER),
    "HEAD": Shape(request("block", method="HEAD")),
    "POST": Shape(POST),
    "chunked POST": Shape(CHUNKED),
    "POST in pieces": Shape(sized("block", 90_000)),
    "POST to a file": Shape(sized("block", 70_000), settings={"body_buffer_size": 65536}),
    "100-continue": Shape(sized("block", 100, "Expect: 100-continue")),
    "pipelined": Shape(4 * (GET + BROWSER + POST + CHUNKED + PIECES), requests=20),
    "generator": Shape(PIECES),
    "write": Shape(request("write")),
    "file": Shape(request("file")),
    "error before the answer": Shape(request("fail")),
    "error within it": Shape(request("break"), end="answered"),
    "400": Shape(request("block", "Host: another"), end="answered"),
    "413": Shape(request("block", "Content-Length: 100001", method="POST"), end="answered"),
    "431": Shape(request("block", "Field: " + 9_000 * "x"), end="answered"),
    "left in the head": Shape(BROWSER[:100], end="left"),
    "left in the body": Shape(POST[:-1], end="left"),
    "left in the answer": Shape(request("endless"), end="begun"),
    "TLS": Shape(BROWSER, transport="tls"),
    "TLS, POST": Shape(sized("block", 20_000), transport="tls"),
    "TLS, closed": Shape(
        request("block", "Connection: close"), weight=10, end="answered", transport="tls"
    ),
    "threads": Shape(BROWSER, settings=THREADS),
    "threads, generator": Shape(PIECES, settings=THREADS),
    "threads, POST": Shape(POST, settings=THREADS),
    "threads, error": Shape(request("fail"), settings=THREADS),
    "threads, left in the answer": Shape(request("endless"), end="begun", settings=THREADS),
}


def block(environ: Environ, start_response: Any) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def pieces(_: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from (b"one", b"two", b"three")


def write(_: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])(b"hello")
    return []


def file(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.FileIO(__file__))
    return wrapped


def fail(_: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    raise RuntimeError("on purpose")


def break_off(environ: Environ, start_response: Any) -> Iterator[bytes]:
    yield from pieces(environ, start_response)
    raise RuntimeError("on purpose")


def endless(_: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    while True:
        yield BLOCK


PATHS: Final[Mapping[str, Callable[[Environ, Any], Iterable[bytes]]]] = {
    "/block": block,
    "/pieces": pieces,
    "/write": write,
    "/file": file,
    "/fail": fail,
    "/break": break_off,
    "/endless": endless,
}


def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answers one of PATHS."""
    return PATHS[environ["PATH_INFO"]](environ, start_response)
