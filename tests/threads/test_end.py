"""The end of a server whose threads are at work."""

import threading
from collections.abc import Iterable, Iterator

import pytest

from fastwsgi import wiring
from fastwsgi.observe.reports import Reports
from tests.support.loop import SteppedServer
from tests.threads.gates import (
    PATIENCE,
    Body,
    Environ,
    Gate,
    Serving,
    StartResponse,
    answering,
    ask,
)


def end_while_a_thread_is_held(server: SteppedServer, gate: Gate) -> None:
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("fastwsgi-")]
    server.server.close()
    gate.open()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("where", ["headers", "log", "error"])
def test_the_server_may_end_while_its_own_code_waits(
    serving: Serving, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, came = Gate(), threading.Event()

    def wait(*_: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            came.set()
            gate.pass_through()

    class Headers(list[tuple[str, str]]):
        def __iter__(self) -> Iterator[tuple[str, str]]:
            wait()
            return super().__iter__()

    if where == "log":
        monkeypatch.setattr(wiring, "access_log", lambda settings, log: wait)
    monkeypatch.setattr(Reports, "application_error", wait)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        fields = [("A", "b")]
        start_response("200 OK", Headers(fields) if where == "headers" else fields)
        if where == "error":
            raise ValueError
        return [b"body"]

    server = serving(app, threads=1)
    ask(server, "p")
    server.until(came.is_set, "the thread to wait")
    end_while_a_thread_is_held(server, gate)


def test_the_end_of_the_server_leaves_threads_alone(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body([b"one", b"two"], Gate())
    server = serving(answering(body), threads=1)
    ask(server, "p")
    server.until(lambda: body.given == 1, "the first item")
    assert body.gate is not None
    end_while_a_thread_is_held(server, body.gate)
    assert body.closed == 1
    assert caplog.messages == []
