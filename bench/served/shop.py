"""A small shop as a plain WSGI application: what the locust users visit.

Login by form with a session cookie, a list, a detail page, an upload, a download and a style sheet
from a file. Everything else is in memory and belongs to one worker process, so it is served with one
worker. Standard library only.
"""

from __future__ import annotations

import atexit
import hashlib
import html
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs
from wsgiref.util import FileWrapper

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Answer = Iterable[bytes]

ITEMS = {number: f"Item {number}" for number in range(1, 501)}
PER_PAGE = 25
CATALOGUE = b"number;name;price\n" + b"".join(
    b"%d;%s;%d\n" % (number, name.encode(), number * 7 % 990) for number, name in ITEMS.items()
)
BLOCK = 16384
DOWNLOAD = CATALOGUE * 32
HTML = ("Content-Type", "text/html; charset=utf-8")
SESSIONS_KEPT = 10_000
OPEN_TO_ALL = ("/login", "/static/")
STYLE = b"".join(b".item-%d { order: %d; }\n" % (number, number) for number in ITEMS)
# Without a name, so it goes with the process; opened anew by its descriptor.
STYLE_FILE = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
atexit.register(STYLE_FILE.close)
STYLE_FILE.write(STYLE)
STYLE_FILE.flush()


class Sessions:
    """Who is logged in, by token; the oldest leave when there are too many."""

    def __init__(self, kept: int = SESSIONS_KEPT) -> None:
        self.kept = kept
        self.names: dict[str, str] = {}

    def open(self, name: str) -> str:
        while len(self.names) >= self.kept:
            del self.names[next(iter(self.names))]
        token = secrets.token_hex(16)
        self.names[token] = name
        return token

    def name(self, environ: Environ) -> str | None:
        """The visitor's name, None when not logged in."""
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", ""))
        except CookieError:
            return None
        return self.names.get(cookie["session"].value) if "session" in cookie else None


class Shop:
    """The application: `Shop()(environ, start_response)`."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            ("GET", re.compile(r"/login"), self.login_form),
            ("POST", re.compile(r"/login"), self.login),
            ("GET", re.compile(r"/items"), self.list_items),
            ("GET", re.compile(r"/items/(\d+)"), self.show_item),
            ("POST", re.compile(r"/upload"), self.upload),
            ("GET", re.compile(r"/download"), self.download),
            ("GET", re.compile(r"/static/shop\.css"), self.style),
        ]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Answer:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        matches = [
            (verb, act, found) for verb, p, act in self.routes if (found := p.fullmatch(path))
        ]
        if not matches:
            return refuse(start_response, "404 Not Found")
        if not path.startswith(OPEN_TO_ALL) and self.sessions.name(environ) is None:
            return redirect(start_response, "/login")
        for verb, act, found in matches:
            if verb == method:
                return act(environ, start_response, *found.groups())
        return refuse(start_response, "405 Method Not Allowed")

    def login_form(self, environ: Environ, start_response: StartResponse) -> Answer:
        form = (
            '<form method="post"><input name="name"><input type="password" name="password"></form>'
        )
        return page(start_response, "Login", form)

    def login(self, environ: Environ, start_response: StartResponse) -> Answer:
        fields = parse_qs(body(environ).decode("utf-8", "replace"))
        name, password = (fields.get(key, [""])[0] for key in ("name", "password"))
        if not name or password != f"secret of {name}":
            return refuse(start_response, "403 Forbidden")
        token = self.sessions.open(name)
        return redirect(
            start_response, "/items", ("Set-Cookie", f"session={token}; Path=/; HttpOnly")
        )

    def list_items(self, environ: Environ, start_response: StartResponse) -> Answer:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        wanted = query.get("page", ["1"])[0]
        first = (int(wanted) - 1) * PER_PAGE if wanted.isdecimal() else 0
        numbers = list(ITEMS)[first : first + PER_PAGE]
        rows = "".join(
            f'<li><a href="/items/{n}">{html.escape(ITEMS[n])}</a></li>' for n in numbers
        )
        return page(start_response, "Items", f"<ul>{rows}</ul>")

    def show_item(self, environ: Environ, start_response: StartResponse, number: str) -> Answer:
        if int(number) not in ITEMS:
            return refuse(start_response, "404 Not Found")
        visitor = self.sessions.name(environ) or ""
        text = f"<p>{html.escape(visitor)}, this is number {int(number)}.</p>"
        return page(start_response, ITEMS[int(number)], text)

    def upload(self, environ: Environ, start_response: StartResponse) -> Answer:
        """Answers with the SHA-256 of the request body."""
        digest = hashlib.sha256(body(environ)).hexdigest().encode()
        start_response(
            "201 Created",
            [("Content-Type", "text/plain"), ("Content-Length", str(len(digest)))],
        )
        return [digest]

    def download(self, environ: Environ, start_response: StartResponse) -> Answer:
        start_response(
            "200 OK",
            [
                ("Content-Type", "text/csv"),
                ("Content-Length", str(len(DOWNLOAD))),
                ("Content-Disposition", 'attachment; filename="catalogue.csv"'),
            ],
        )
        return blocks(DOWNLOAD)

    def style(self, environ: Environ, start_response: StartResponse) -> Answer:
        """What a front end would serve: a file, by `wsgi.file_wrapper` where the server has one."""
        headers = [
            ("Content-Type", "text/css"),
            ("Content-Length", str(len(STYLE))),
            ("Cache-Control", "public, max-age=3600"),
        ]
        start_response("200 OK", headers)
        file = open(f"/proc/self/fd/{STYLE_FILE.fileno()}", "rb")  # noqa: SIM115 - the wrapper closes it
        wrapped: Answer = environ.get("wsgi.file_wrapper", FileWrapper)(file)
        return wrapped


def body(environ: Environ) -> bytes:
    data: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return data


def blocks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), BLOCK):
        yield data[start : start + BLOCK]


def page(start_response: StartResponse, title: str, content: str) -> Answer:
    heading = html.escape(title)
    text = (
        f"<!doctype html><html><head><title>{heading}</title></head>"
        f"<body><h1>{heading}</h1>{content}</body></html>"
    ).encode()
    start_response("200 OK", [HTML, ("Content-Length", str(len(text)))])
    return [text]


def redirect(start_response: StartResponse, to: str, *headers: tuple[str, str]) -> Answer:
    fixed = [("Location", to), ("Content-Type", "text/plain"), ("Content-Length", "0")]
    start_response("303 See Other", [*fixed, *headers])
    return []


def refuse(start_response: StartResponse, status: str) -> Answer:
    text = status.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


app = Shop()
