"""The faces that hooks and loggers get: gunicorn's names, for what clients really send."""

from typing import Any

import pytest

from fastwsgi.observe.faces import Request, Response, split_target

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "POST",
    "RAW_URI": "/a%20b/?q=1&r",
    "PATH_INFO": "/a b/",
    "SERVER_PROTOCOL": "HTTP/1.0",
    "REMOTE_ADDR": "192.0.2.1",
    "REMOTE_PORT": "4711",
    "wsgi.url_scheme": "https",
    "CONTENT_TYPE": "text/x",
    "CONTENT_LENGTH": "5",
    "HTTP_USER_AGENT": "test",
    "HTTP_X_ID": "7",
}


class Exchange:
    status: Any = "201 Created"
    headers: Any = (("X-Out", "1"), ("content-length", "12"))
    body_bytes = 12
    environ: Any = ENVIRON
    duration = 0.5
    waited = 0
    remote_addr = "192.0.2.1"


def test_a_request_has_what_gunicorns_has() -> None:
    request = Request(ENVIRON)
    assert (request.method, request.uri, request.path, request.query, request.fragment) == (
        "POST",
        "/a%20b/?q=1&r",
        "/a%20b/",
        "q=1&r",
        "",
    )
    assert (request.version, request.scheme) == ((1, 0), "https")
    assert request.remote_addr == request.peer_addr == ("192.0.2.1", 4711)
    assert request.headers == [
        ("CONTENT-TYPE", "text/x"),
        ("CONTENT-LENGTH", "5"),
        ("USER-AGENT", "test"),
        ("X-ID", "7"),
    ]
    assert request.trailers == []


def test_what_a_middleware_replaces_does_not_show() -> None:
    environ = dict(ENVIRON)
    request = Request(environ)
    environ["REQUEST_METHOD"] = "PUT"
    assert request.method == "POST"


def test_a_client_of_a_unix_socket_has_no_address() -> None:
    assert Request({**ENVIRON, "REMOTE_ADDR": ""}).remote_addr == ""


def test_a_hook_may_keep_something_on_a_request() -> None:
    request = Request(ENVIRON)
    request.started = 5  # type: ignore[attr-defined]
    assert vars(request)["started"] == 5


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("/", ("/", "", "")),
        ("*", ("*", "", "")),
        ("//a/b?c?d", ("//a/b", "c?d", "")),
        ("/a#b?c", ("/a", "", "b?c")),
        ("http://host:8000/a?b", ("/a", "b", "")),
        ("http://host", ("", "", "")),
        ("/a?u=http://b/c", ("/a", "u=http://b/c", "")),
    ],
)
def test_a_target_is_split(uri: str, parts: tuple[str, str, str]) -> None:
    assert split_target(uri) == parts


def test_a_response_has_what_gunicorns_has() -> None:
    response = Response(Exchange())
    assert (response.status, response.status_code) == ("201 Created", 201)
    assert response.headers == [("X-Out", "1"), ("content-length", "12")]
    assert (response.sent, response.response_length, response.headers_sent) == (12, 12, True)


def test_a_response_without_an_announced_length_has_none() -> None:
    exchange = Exchange()
    exchange.headers = ()
    assert Response(exchange).response_length is None


def test_a_request_that_got_no_answer_has_an_empty_response() -> None:
    exchange = Exchange()
    exchange.status = None
    for response in (Response(), Response(exchange)):
        assert (response.status, response.status_code, response.headers) == (None, None, [])
        assert (response.sent, response.response_length, response.headers_sent) == (0, None, False)
