"""The environ that an application sees (PEP 3333)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.client import Client
from tests.apps.conftest import TLS, Connect, speak
from tests.support.models import INLINE, Model
from tests.support.server import ServerProcess


def environ_of(client: Client, target: str, **sent: Any) -> Any:
    answer = client.request(target, **sent)
    assert answer.status == 200
    return json.loads(answer.body)


def test_wsgi_variables(client: Client, model: Model) -> None:
    assert environ_of(client, "/wsgi_variables") == {
        "environ is a dict": True,
        "strings are latin-1": True,
        "version": [1, 0],
        "multithread": model is not INLINE,
        "multiprocess": False,
        "run_once": False,
        "url_scheme": "https" if model is TLS else "http",
        "input_terminated": True,
    }


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/variables/caf%C3%A9", "/variables/café", ""),
        ("/variables/%E2%98%83/x", "/variables/\N{SNOWMAN}/x", ""),
        ("/variables/%F0%9F%90%8D", "/variables/\N{SNAKE}", ""),
        ("/variables/a%20b%2Fc%3Fd", "/variables/a b/c?d", ""),
        ("/variables/?q=%E2%98%83&x=a+b", "/variables/", "q=%E2%98%83&x=a+b"),
        ("/variables?", "/variables", ""),
        ("/variables/a?b?c=d", "/variables/a", "b?c=d"),
        ("/variables/%25zz/%zz/%", "/variables/%zz/%zz/%", ""),
    ],
)
def test_path_is_decoded_once_and_latin_1(
    client: Client, target: str, path: str, query: str
) -> None:
    environ = environ_of(client, target)
    assert environ["PATH_INFO"].encode("latin-1").decode() == path
    assert environ["QUERY_STRING"] == query
    assert environ["SCRIPT_NAME"] == ""
    assert environ["RAW_URI"] == target


def test_request_variables(client: Client) -> None:
    environ = environ_of(
        client,
        "/variables",
        method="POST",
        headers=[("Content-Type", "text/x"), ("X-Twice", "a"), ("X-Twice", "b"), ("X-Raw", "\xe9")],
        body=b"body",
    )
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "4"
    assert environ["HTTP_X_TWICE"].replace(" ", "") == "a,b"
    assert environ["HTTP_X_RAW"] == "\xe9"
    assert environ["HTTP_HOST"] == "localhost"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ
    assert environ["SERVER_SOFTWARE"].startswith("fastwsgi")


def test_addresses_over_tcp(hostile: ServerProcess, model: Model) -> None:
    with speak(hostile.connect(), model) as connection:
        environ = environ_of(Client(connection), "/variables")
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["REMOTE_PORT"] == str(connection.getsockname()[1])
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(hostile.port)


def test_environ_is_the_applications_own(client: Client, connect: Connect) -> None:
    for each in (client, client, connect()):
        assert environ_of(each, "/change_environ") == []
    assert environ_of(client, "/wsgi_variables")["url_scheme"].startswith("http")
