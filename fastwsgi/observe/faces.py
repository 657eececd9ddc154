"""A request and its response as gunicorn's hooks and loggers know them.

Made only where a hook or a logger wants one. The names of the attributes are gunicorn's
(`gunicorn.http.message.Request`, `gunicorn.http.wsgi.Response`); code that people have written for
them sets attributes of its own, so these objects have room for more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from fastwsgi.observe.access_log import Finished

Address = tuple[str, int] | str


class Request:
    """One request, made of its environ.

    What an application or a middleware may replace in the environ is read at once, the headers when
    they are asked for.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.method: str = environ.get("REQUEST_METHOD", "")
        self.uri: str = environ.get("RAW_URI", "")
        self.version = version(environ.get("SERVER_PROTOCOL", "HTTP/1.1"))
        self.scheme: str = environ.get("wsgi.url_scheme", "http")
        self.remote_addr = address(environ)
        self.trailers: list[tuple[str, str]] = []
        self._environ = environ

    @property
    def peer_addr(self) -> Address:
        """Who is connected: a pair of host and port, or an empty string for a Unix socket."""
        return self.remote_addr

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """Pairs of a name in capitals, as in USER-AGENT, and a value; repeated fields are joined."""
        return [
            (name.removeprefix("HTTP_").replace("_", "-"), value)
            for name, value in self._environ.items()
            if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        ]

    @property
    def path(self) -> str:
        """The path as the client wrote it, with what is escaped in it."""
        return self._target[0]

    @property
    def query(self) -> str:
        return self._target[1]

    @property
    def fragment(self) -> str:
        return self._target[2]

    @cached_property
    def _target(self) -> tuple[str, str, str]:
        return split_target(self.uri)


class Response:
    """One response, made of an exchange that is over; without one, of a request that got no answer.

    `status` is the line that the application gave, `sent` the bytes of the body, `response_length`
    the length that was announced, or None.
    """

    def __init__(self, exchange: Finished | None = None) -> None:
        self.status: str | None = None
        self.headers: Sequence[tuple[str, str]] = []
        self.sent = 0
        if exchange is not None and exchange.status is not None:
            self.status = exchange.status
            self.headers = list(exchange.headers or ())
            self.sent = exchange.body_bytes

    @property
    def headers_sent(self) -> bool:
        return self.status is not None

    @property
    def status_code(self) -> int | None:
        return None if self.status is None else int(self.status[:3])

    @property
    def response_length(self) -> int | None:
        """The Content-Length among the headers, or None."""
        for name, value in self.headers:
            if name.lower() == "content-length":
                return int(value)
        return None


def version(protocol: str) -> tuple[int, int]:
    """`HTTP/1.1` as (1, 1)."""
    major, _, minor = protocol.rpartition("/")[2].partition(".")
    return int(major), int(minor or 0)


def address(environ: Mapping[str, Any]) -> Address:
    """Host and port of the client; an empty string where it has none."""
    host = environ.get("REMOTE_ADDR", "")
    return (host, int(environ.get("REMOTE_PORT") or 0)) if host else ""


def split_target(uri: str) -> tuple[str, str, str]:
    """Path, query and fragment of a request target (RFC 9112, 3.2)."""
    rest, _, fragment = uri.partition("#")
    rest, _, query = rest.partition("?")
    if not rest.startswith("/") and "://" in rest:
        _, slash, path = rest.partition("://")[2].partition("/")
        rest = slash + path
    return rest, query, fragment
