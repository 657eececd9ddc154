"""What is asked of which servers: a row for each workload, with the raw bytes that a client sends.

The same bytes go to the correctness probe, to wrk (through replay.lua), to the bundled load
generator and, taken apart, to h2load, so all of them ask the same thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bench import servers
from bench.served import apps
from bench.servers import Server

HOST = b"Host: bench.example\r\n"
CLOSING = HOST + b"Connection: close\r\n"
LOCAL = b"Host: 127.0.0.1\r\n"  # the only one that the Django example answers to
RING = 1024  # different requests before the first comes again
BEST_PEER = "best peer"
"""Stands for whichever peer has the highest figure."""


@dataclass(frozen=True)
class Goal:
    """A figure that the project has set itself."""

    must: float
    aim: float | None = None
    """What it would like to reach beyond that."""


LEAD = MappingProxyType({BEST_PEER: Goal(1.0)})
"""No peer is ahead."""


@dataclass(frozen=True)
class Workload:
    name: str
    about: str
    requests: tuple[bytes, ...]
    """Raw requests, sent in turn."""
    body: bytes
    """The body of every right answer, or where `whole` is not set what it has to contain."""
    whole: bool = True
    depth: int = 1
    """Requests sent at once on one connection."""
    fits_limit: bool = False
    """Whether the limit and nginx, which know only the hello answer, can take part."""
    module: str = "apps"
    """Where the servers find the application."""
    connections: int = 0
    """Connections that ask at the same time; 0 where a run decides."""
    closes: bool = False
    """Whether the client wants the connection closed after each answer."""
    model: str = "inline"
    """The execution model whose servers take part."""
    beside: tuple[str, ...] = ()
    """Servers of other models that take part."""
    wanted: Mapping[str, Goal] = field(default_factory=lambda: LEAD)
    """How many times the figure of each of these servers fastwsgi has to reach."""
    at_once: int = 0
    """Requests that the model's servers run at once; 0 where that is a matter of the connections."""
    pause: float = 0.0
    """Seconds that the application sleeps. Then what counts are requests per second, not per
    CPU-second, and the limit is `at_once` requests, or one a connection, in each pause."""
    paused: bytes = b""
    """A request for the same answer with a pause in it: a server has to send what came before."""

    @property
    def scheme(self) -> str:
        """How its addresses begin."""
        return "https" if self.model == "tls" else "http"

    @property
    def payloads(self) -> tuple[bytes, ...]:
        """What a client sends at once: `depth` requests, in turn."""
        return tuple(request * self.depth for request in self.requests)

    def includes(self, server: Server) -> bool:
        """Whether the server takes part."""
        return server.model == self.model or server.name in self.beside

    @property
    def subject(self) -> str:
        """The row of fastwsgi that is compared with the others."""
        ours = (server for server in servers.TABLE if server.ours)
        return next(server.name for server in ours if server.model == self.model)

    def accepts(self, body: bytes) -> bool:
        """Whether an answer's body is right."""
        return body == self.body if self.whole else self.body in body


def get(path: str, fields: bytes = HOST) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), fields)


def browser_get(number: int) -> bytes:
    """A navigation as a browser sends it: twelve fields, of which path and cookie change."""
    session = hashlib.sha256(b"session %d" % number).hexdigest()
    fields = (
        "Host: shop.bench.example",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
        "*/*;q=0.8",
        "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Connection: keep-alive",
        f"Cookie: session={session}; theme=dark; seen={number}",
        "Upgrade-Insecure-Requests: 1",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: same-origin",
        "Priority: u=0, i",
    )
    head = f"GET /catalogue/items/{number}?page={number % 40} HTTP/1.1\r\n"
    return (head + "\r\n".join(fields) + "\r\n\r\n").encode()


def post(length: int) -> bytes:
    document = b'{"note":"' + b"n" * (length - 11) + b'"}'
    return (
        b"POST /post HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (HOST, len(document), document)
    )


TABLE = (
    Workload(
        "hello",
        "bare GET, answer with a length",
        (get("/"),),
        apps.HELLO,
        fits_limit=True,
        wanted={
            "limit": Goal(0.8, 0.9),
            BEST_PEER: Goal(1.3, 1.5),
            "nginx": Goal(0.9, 1.0),
        },
    ),
    Workload(
        "hello-1",
        "bare GET on one connection, the next when the last is answered",
        (get("/"),),
        apps.HELLO,
        connections=1,
        fits_limit=True,
    ),
    Workload(
        "hello-1000",
        "bare GET on a thousand connections",
        (get("/"),),
        apps.HELLO,
        connections=1000,
        fits_limit=True,
    ),
    Workload(
        "close",
        "bare GET, a connection for each",
        (get("/", CLOSING),),
        apps.HELLO,
        closes=True,
    ),
    Workload(
        "browser",
        "GET with twelve browser fields; path and cookie change with every request",
        tuple(browser_get(number) for number in range(10_000, 10_000 + RING)),
        apps.HELLO,
        fits_limit=True,
        wanted={BEST_PEER: Goal(1.25, 1.5)},
    ),
    Workload(
        "pipeline",
        "sixteen bare GETs sent at once",
        (get("/"),),
        apps.HELLO,
        depth=16,
        fits_limit=True,
        wanted={BEST_PEER: Goal(4.0, 6.0)},
    ),
    Workload(
        "hello-nolength",
        "bare GET, answer without a length from the application",
        (get("/nolength"),),
        apps.HELLO,
        fits_limit=True,
    ),
    Workload(
        "post",
        "POST of 1 KiB of JSON",
        (post(1024),),
        b"1024",
        wanted={BEST_PEER: Goal(1.15, 1.4)},
    ),
    Workload("upload1m", "POST of 1 MiB", (post(apps.MEBIBYTE),), b"%d" % apps.MEBIBYTE),
    Workload(
        "body64k",
        "answer of 64 KiB with a length",
        (get("/page"),),
        apps.PAGE,
        wanted={BEST_PEER: Goal(1.15, 1.4)},
    ),
    Workload(
        "download1m",
        "file of 1 MiB",
        (get("/download"),),
        apps.PAGE * (apps.MEBIBYTE // len(apps.PAGE)),
    ),
    Workload(
        "generator",
        "answer generated in eight pieces, sent chunked",
        (get("/generated"),),
        apps.CHUNK * apps.CHUNKS,
        wanted={BEST_PEER: Goal(1.15, 1.4)},
        paused=get("/paused"),
    ),
    Workload(
        "flask",
        "page of a Flask application: template and signed session cookie",
        (get("/", LOCAL),),
        b"Hello, stranger!",
        whole=False,
        module="flask_page",
    ),
    Workload(
        "django",
        "page of a Django application: its form to log in",
        (get("/admin/login/", LOCAL),),
        b'name="csrfmiddlewaretoken"',
        whole=False,
        module="django_page",
    ),
    Workload(
        "threads-hello",
        "bare GET, application in eight threads",
        (get("/"),),
        apps.HELLO,
        model="threads",
        beside=("limit", "fastwsgi"),
        fits_limit=True,
        wanted={
            "gunicorn-threads": Goal(18, 25),
            "granian-threads": Goal(1.5, 1.8),
            "fastwsgi": Goal(0.8, 0.9),
        },
    ),
    Workload(
        "threads-body64k",
        "answer of 64 KiB with a length, application in eight threads",
        (get("/page"),),
        apps.PAGE,
        model="threads",
        beside=("fastwsgi",),
    ),
    Workload(
        "threads-generator",
        "answer generated in eight pieces, application in eight threads",
        (get("/generated"),),
        apps.CHUNK * apps.CHUNKS,
        model="threads",
        beside=("fastwsgi",),
        paused=get("/paused"),
    ),
    Workload(
        "threads-sleep10",
        "application that sleeps 10 ms, in eight threads",
        (get("/sleep"),),
        apps.HELLO,
        model="threads",
        wanted={"limit": Goal(0.95), **LEAD},
        at_once=servers.THREADS,
        pause=apps.PAUSE,
    ),
    Workload(
        "gevent-hello",
        "bare GET, application in greenlets",
        (get("/"),),
        apps.HELLO,
        model="gevent",
        beside=("limit", "fastwsgi"),
        fits_limit=True,
        wanted={"gunicorn-gevent": Goal(3.0)},
    ),
    Workload(
        "gevent-sleep10",
        "application that sleeps 10 ms, in greenlets",
        (get("/sleep"),),
        apps.HELLO,
        model="gevent",
        pause=apps.PAUSE,
    ),
    Workload(
        "tls-hello",
        "bare GET over TLS",
        (get("/"),),
        apps.HELLO,
        model="tls",
        wanted={"gunicorn-threads-tls": Goal(3.0), **LEAD},
    ),
    Workload(
        "tls-body64k",
        "answer of 64 KiB with a length, over TLS",
        (get("/page"),),
        apps.PAGE,
        model="tls",
    ),
    Workload(
        "tls-close",
        "bare GET over TLS, a connection and a handshake for each",
        (get("/", CLOSING),),
        apps.HELLO,
        closes=True,
        model="tls",
    ),
    Workload(
        "logged-hello",
        "bare GET, and a line of the access log in a file",
        (get("/"),),
        apps.HELLO,
        model="logged",
        beside=("limit", "fastwsgi"),
        fits_limit=True,
    ),
)
NAMES = tuple(workload.name for workload in TABLE)


def find(name: str) -> Workload:
    """The workload of that name. KeyError when there is none."""
    return {workload.name: workload for workload in TABLE}[name]
