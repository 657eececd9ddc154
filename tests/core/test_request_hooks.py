"""pre_request and post_request around the application, under every model."""

import io
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.observe.faces import Request, Response
from tests.support.loop import SteppedServer
from tests.support.models import MODELS, THREADS, Model

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


class Site:
    """An application, hooks around it, and what was called in which order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()

    def app(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.calls.append(("app", environ["PATH_INFO"]))
        self.threads.add(threading.get_ident())
        path = environ["PATH_INFO"]
        if path == "/fails":
            raise ValueError("the application is broken")
        start_response("200 OK", [("X-Path", path)])
        if path == "/file":
            return environ["wsgi.file_wrapper"](open(__file__, "rb"))
        if path == "/closes":
            return Closing(self.calls)
        if path == "/breaks":
            return broken()
        return [b"hello"]

    def before(self, worker: object, request: Any) -> None:
        self.calls.append(("pre", request.path))
        self.threads.add(threading.get_ident())
        request.mark = request.path
        if request.path == "/refused":
            raise PermissionError("not this one")

    def after(self, worker: object, request: Any, environ: dict[str, Any], response: Any) -> None:
        assert isinstance(request, Request)
        assert isinstance(response, Response)
        assert "fastwsgi.request" not in environ
        self.threads.add(threading.get_ident())
        self.calls.append(("post", request.mark, response.status_code, response.sent))

    def serve(self, folder: Path, model: Model, **settings: Any) -> SteppedServer:
        hooks = {"pre_request": self.before, "post_request": self.after}
        return SteppedServer(self.app, folder, **{**hooks, **model.settings, **settings})


class Closing(io.BytesIO):
    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        super().__init__(b"one\ntwo\n")
        self.calls = calls

    def close(self) -> None:
        self.calls.append(("close",))
        super().close()


def broken() -> Any:
    yield b"x" * 10
    raise ValueError("no more")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_hooks_stand_around_the_application_in_its_own_thread(model: Model, tmp_path: Path) -> None:
    site = Site()
    with site.serve(tmp_path, model) as server, server.connection() as client:
        answer = client.exchange(GET % b"/a%20b?c")
        server.settle()
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.framing == "length"
    assert site.calls == [("pre", "/a%20b"), ("app", "/a b"), ("post", "/a%20b", 200, 5)]
    assert len(site.threads) == 1  # of the four there may be


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize(
    ("path", "status", "calls"),
    [
        ("/fails", 500, ["pre", "app", "post"]),
        ("/refused", 500, ["pre", "post"]),
        ("/closes", 200, ["pre", "app", "close", "post"]),
        ("/file", 200, ["pre", "app", "post"]),
    ],
)
def test_what_follows_is_called_however_it_ends(
    path: str, status: int, calls: list[str], model: Model, tmp_path: Path
) -> None:
    site = Site()
    with site.serve(tmp_path, model) as server, server.connection() as client:
        answer = client.exchange(GET % path.encode())
        server.settle()
    assert answer.status == status
    assert [call[0] for call in site.calls] == calls
    assert site.calls[-1] == ("post", path, status, len(answer.body))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_response_that_breaks_off_is_over_once(model: Model, tmp_path: Path) -> None:
    site = Site()
    with site.serve(tmp_path, model) as server, server.connection() as client:
        client.send(GET % b"/breaks")
        server.until(lambda: len(site.calls) == 3, "the hooks")
        server.settle()
    assert site.calls[2:] == [("post", "/breaks", 200, 10)]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_client_that_leaves_before_the_answer_is_no_reason_to_forget_a_hook(
    model: Model, tmp_path: Path
) -> None:
    site = Site()

    def leave(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        client.reset()
        start_response("200 OK", [])
        return [b"x"]

    site.app = leave  # type: ignore[method-assign]
    with site.serve(tmp_path, model) as server:
        client = server.connect()
        client.put(GET % b"/")
        server.until(lambda: len(site.calls) == 2, "the hooks")
    assert [call[0] for call in site.calls] == ["pre", "post"]


@pytest.mark.parametrize("alone", ["pre_request", "post_request"])
def test_one_hook_alone_is_enough(alone: str, tmp_path: Path) -> None:
    calls: list[object] = []
    hooks = {alone: lambda *arguments: calls.append(len(arguments))}
    with SteppedServer(Site().app, tmp_path, **hooks) as server, server.connection() as client:
        assert client.exchange(GET % b"/").status == 200
    assert calls == [2 if alone == "pre_request" else 4]


def test_a_hook_that_fails_afterwards_costs_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise SystemExit("enough")

    site = Site()
    with (
        caplog.at_level(logging.ERROR, "fastwsgi.error"),
        SteppedServer(site.app, tmp_path, post_request=fail) as server,
        server.connection() as client,
    ):
        assert client.exchange(GET % b"/").status == 200
        assert client.exchange(GET % b"/").status == 200
    assert [record.getMessage() for record in caplog.records] == [
        "Exception in post_request hook"
    ] * 2


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\n\r\n", GET % b"/health"])
def test_what_the_application_does_not_see_no_hook_sees(request_: bytes, tmp_path: Path) -> None:
    site = Site()
    with (
        site.serve(tmp_path, MODELS[0], health_path="/health") as server,
        server.connection() as client,
    ):
        client.exchange(request_)
    assert site.calls == []


def test_a_request_that_was_cut_off_is_over_when_the_application_returns(tmp_path: Path) -> None:
    site, held, release = Site(), threading.Event(), threading.Event()

    def hold(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        held.set()
        release.wait()
        return []

    site.app = hold  # type: ignore[method-assign]
    with site.serve(tmp_path, THREADS, request_timeout=5) as server:
        client = server.connect()
        client.put(GET % b"/")
        server.until(held.is_set, "the application")
        server.advance(7)
        assert [response.status for response in client.await_responses(1)] == [504]
        assert [call[0] for call in site.calls] == ["pre"]
        release.set()
        server.until(lambda: len(site.calls) == 2, "the hook")
        client.close()
    assert site.calls[1][:3] == ("post", "/", 504)
