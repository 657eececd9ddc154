from __future__ import annotations

import hashlib
import io
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from bench.served.shop import DOWNLOAD, Sessions, Shop

Headers = dict[str, str]


class Visit:
    """A visitor with a cookie jar of one cookie."""

    def __init__(self) -> None:
        self.app = validator(Shop())
        self.cookie = ""

    def ask(self, method: str, target: str, data: bytes = b"") -> tuple[str, Headers, bytes]:
        path, _, query = target.partition("?")
        environ: dict[str, object] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_COOKIE": self.cookie,
            "wsgi.input": io.BytesIO(data),
        }
        setup_testing_defaults(environ)
        begun: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> object:
            begun.append((status, dict(headers)))
            return lambda data: None

        answer = self.app(environ, start_response)
        body = b"".join(answer)
        answer.close()
        (status, headers) = begun[0]
        self.cookie = headers.get("Set-Cookie", self.cookie).partition(";")[0]
        return status, headers, body


@pytest.fixture
def visit() -> Visit:
    made = Visit()
    status, headers, _ = made.ask("POST", "/login", b"name=Ada&password=secret+of+Ada")
    assert (status, headers["Location"]) == ("303 See Other", "/items")
    return made


def test_strangers_are_sent_to_the_form() -> None:
    stranger = Visit()
    assert stranger.ask("GET", "/items")[1]["Location"] == "/login"
    assert b'name="password"' in stranger.ask("GET", "/login")[2]
    assert stranger.ask("POST", "/login", b"name=Ada&password=guess")[0] == "403 Forbidden"


def test_list_and_detail(visit: Visit) -> None:
    assert b"/items/26" in visit.ask("GET", "/items?page=2")[2]
    assert b"Ada, this is number 26." in visit.ask("GET", "/items/26")[2]
    assert visit.ask("GET", "/items/0")[0] == "404 Not Found"
    assert visit.ask("GET", "/nothing")[0] == "404 Not Found"
    assert visit.ask("POST", "/items", b"")[0] == "405 Method Not Allowed"


def test_upload_and_download(visit: Visit) -> None:
    data = bytes(range(256)) * 10
    status, _, digest = visit.ask("POST", "/upload", data)
    assert (status, digest.decode()) == ("201 Created", hashlib.sha256(data).hexdigest())
    _, headers, body = visit.ask("GET", "/download")
    assert body == DOWNLOAD
    assert int(headers["Content-Length"]) == len(DOWNLOAD)


def test_sessions_are_bounded() -> None:
    sessions = Sessions(kept=2)
    tokens = [sessions.open(name) for name in ("a", "b", "c")]
    assert [token in sessions.names for token in tokens] == [False, True, True]
