"""Environs: as PEP 3333 wants them, and the same for the same request whatever the server remembers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import check_environ

from hypothesis import strategies as st

from tests.support.loop import SteppedServer

FORWARDED = st.sampled_from(
    (
        *(b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http", b"X-Forwarded-Ssl: on"),
        *(b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: a, ::1", b"X-Forwarded-For:"),
        *(b"Script_Name: /x", b"SCRIPT_NAME: /", b"Path_Info: /y", b"X_Any: 1", b"Proxy: x"),
        *(b"Content-Type:", b"Content_Length: 9", b"Cookie: a=b", b"cookie: c=d"),
    )
)
# What differs between two requests of one connection, or is no text.
OWN = ("wsgi.input", "wsgi.errors", "wsgi.early_hints", "wsgi.file_wrapper", "gunicorn.socket")


@st.composite
def fields(draw: st.DrawFn, requests: st.SearchStrategy[bytes]) -> bytes:
    """A request with fields by which proxies speak."""
    line, rest = draw(requests).split(b"\r\n", 1)
    more = draw(st.lists(FORWARDED, max_size=4))
    return b"\r\n".join([line, *more, rest])


class Twice:
    """An application that notes its environ, and then does to it what applications may do."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.wrong: AssertionError | None = None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        try:
            check_form(environ)
        except AssertionError as wrong:
            self.wrong = wrong
        self.seen.append({key: value for key, value in environ.items() if key not in OWN})
        for key in [key for key in environ if key.startswith("HTTP_")][::2]:
            del environ[key]
        environ.update(PATH_INFO="/changed", HTTP_HOST="changed", HTTP_ADDED="added")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def check(self, server: SteppedServer, request: bytes) -> None:
        """The request three times on a connection: as long as that lasts, all are the same."""
        self.seen, self.wrong = [], None
        with server.connection() as client:
            client.send(request * 3)
            client.half_close()
            client.await_end()
        if self.wrong is not None:
            raise self.wrong
        for other in self.seen[1:]:
            assert other == self.seen[0]


def check_form(environ: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # methods it has not heard of
        if environ["PATH_INFO"] != "*":  # that of OPTIONS, which wsgiref has not heard of either
            check_environ(environ)
    for key, value in environ.items():
        assert type(key) is str
        if "." not in key:
            assert type(value) is str
            value.encode("latin-1")
    assert not {"HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"} & environ.keys()
    target, _, query = environ["RAW_URI"].partition("?")
    assert environ["QUERY_STRING"] == query
    if not environ["SCRIPT_NAME"] and target.startswith("/"):
        assert environ["PATH_INFO"] == unquote_to_bytes(target.encode("latin-1")).decode("latin-1")
