"""The WSGI application that every measured server runs, one route for each workload.

Every path without a route of its own is the hello application, written out in `app` so that nothing
but one look-up is measured beside the server. Standard library only: the servers live in
environments of their own.
"""

from __future__ import annotations

import atexit
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

HELLO = b"Hello, World!"
PAGE = b"0123456789abcdef" * 4096
CHUNK = b"A line of a generated page, written while it is sent.\n" * 16
CHUNKS = 8
PAUSE = 0.010  # seconds
MEBIBYTE = 1 << 20
# Without a name, so it goes with the process; opened anew by its descriptor.
FILE = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
atexit.register(FILE.close)
FILE.write(PAGE * (MEBIBYTE // len(PAGE)))
FILE.flush()


def hello_without_length(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [HELLO]


def post(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Reads the whole request body and answers with its length."""
    received = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = b"%d" % len(received)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def page(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "65536")])
    return [PAGE]


def generated(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Eight pieces of unknown total length: a server of HTTP/1.1 sends them chunked."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(CHUNKS):
        yield CHUNK


def paused(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """As `generated`, with a pause after the first piece, which shows whether it is sent at once."""
    for number, piece in enumerate(generated(environ, start_response)):
        if number == 1:
            time.sleep(0.25)
        yield piece


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file of 1 MiB, which a server may hand to the kernel."""
    file = open(f"/proc/self/fd/{FILE.fileno()}", "rb")  # noqa: SIM115 - the wrapper closes it
    start_response(
        "200 OK",
        [("Content-Type", "application/octet-stream"), ("Content-Length", str(MEBIBYTE))],
    )
    wrapped: Iterable[bytes] = environ.get("wsgi.file_wrapper", FileWrapper)(file, 65536)
    return wrapped


def sleep(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Hello from an application that waits, as for a database."""
    time.sleep(PAUSE)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def mark(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Calls a C function that servers do not: where callgrind begins a new count."""
    os.getsid(0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


ROUTES: dict[str, Application] = {
    "/nolength": hello_without_length,
    "/post": post,
    "/page": page,
    "/generated": generated,
    "/download": download,
    "/mark": mark,
    "/paused": paused,
    "/sleep": sleep,
}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    route = ROUTES.get(environ["PATH_INFO"])
    if route is not None:
        return route(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]
