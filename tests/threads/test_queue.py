"""Who of the requests runs when, and who is refused."""

import select
import threading
from collections.abc import Iterable

import pytest

from fastwsgi import wiring
from fastwsgi._clock import Clock
from fastwsgi._epoll import Poller
from tests.threads.gates import (
    PATIENCE,
    Environ,
    Gated,
    Serving,
    StartResponse,
    ask,
    assert_answers,
    await_rest,
    request,
)


def test_who_came_first_is_served_first(serving: Serving) -> None:
    names = [f"n{number}" for number in range(12)]
    app = Gated("first")
    server = serving(app, threads=1)
    clients = [ask(server, name) for name in ["first", *names]]
    assert app.came in ([], ["first"])
    app.gates["first"].open()
    for name, client in zip(["first", *names], clients, strict=True):
        assert_answers(server, client, name)
    assert app.came == ["first", *names]


def test_a_thread_is_roused_when_the_reactor_has_let_the_gil_go(serving: Serving) -> None:
    """Before that it would find the GIL taken and fall asleep again, at four calls of futex."""
    came = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        came.set()
        start_response("200 OK", [])
        return []

    server = serving(app, threads=1)
    await_rest(server)
    ask(server, "")  # dispatched in the turn that has just ended
    with select.epoll() as epoll:
        poller = Poller(epoll.fileno(), Clock(), 1.0)
        assert server.server.elsewhere is not None
        server.server.elsewhere.rouse(poller)
        assert not came.wait(0.05)
        poller.wait(0)
        assert came.wait(PATIENCE)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_blocked_requests_fill_all_threads_and_no_more(serving: Serving, threads: int) -> None:
    names = [f"n{number}" for number in range(3 * threads)]
    app = Gated(*names)
    server = serving(app, threads=threads)
    clients = [server.connect() for _ in names]
    for name, client in zip(names, clients, strict=True):
        client.put(request(name))
    for done in range(len(names)):
        wanted = min(done + threads, len(names))
        server.until(lambda: len(app.came) >= wanted, f"{wanted} requests in the application")  # noqa: B023
        assert len(app.came) == wanted
        app.gates[app.came[done]].open()
        assert_answers(server, clients[names.index(app.came[done])], app.came[done])
    assert app.most == threads
    assert sorted(app.came) == sorted(names)


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize(("threads", "queue"), [(1, 1), (2, 3), (4, 1)])
def test_a_full_queue_refuses_the_rest_and_no_one_else(
    serving: Serving, threads: int, queue: int, blocked: bool
) -> None:
    names = [f"n{number}" for number in range(threads + queue + 5)]
    app = Gated(*names)
    server = serving(app, threads=threads, max_queue=queue)
    await_rest(server)
    clients = [server.connect() for _ in names]
    if blocked:  # else all come in one turn, before any thread is awake
        for name, client in zip(names[:threads], clients[:threads], strict=True):
            client.put(request(name))
        server.until(lambda: app.inside == threads, "all threads to be busy")
    for name, client in list(zip(names, clients, strict=True))[threads if blocked else 0 :]:
        client.put(request(name))
    server.until(lambda: server.server.requests == len(names), "all requests")
    for gate in app.gates.values():
        gate.open()
    answers = [client.await_responses(1)[0] for client in clients]
    assert sorted(answer.status for answer in answers) == [200] * (threads + queue) + [503] * 5
    assert {answer.get("retry-after") for answer in answers if answer.status == 503} == {"1"}
    assert len(app.came) == threads + queue
    for name, client, answer in zip(names, clients, answers, strict=True):
        if answer.status == 503:  # it may come again on the same connection
            assert client.exchange(request(name)).status == 200


@pytest.mark.parametrize("goes_round", [False, True], ids=["", "the milliseconds go round"])
def test_who_waits_for_too_long_is_refused(serving: Serving, goes_round: bool) -> None:
    app = Gated("a", "b")
    server = serving(app, threads=2, queue_timeout=3)
    if goes_round:  # they are kept in 32 bits, which is seven weeks
        server.clock.advance(2**32 / 1000 - server.clock.monotonic() % (2**32 / 1000) - 1)
    running = [ask(server, name) for name in ("a", "b")]
    server.until(lambda: app.inside == 2, "both threads to be busy")
    early = [ask(server, f"e{number}") for number in range(3)]
    server.advance(2)
    late = ask(server, "late")
    server.advance(2)
    for client in early:
        (answer,) = client.await_responses(1)
        assert (answer.status, answer.get("retry-after")) == (503, "1")
        assert client.ending is None
    app.gates["a"].open()
    assert_answers(server, running[0], "a")
    assert_answers(server, late, "late")
    app.gates["b"].open()
    assert_answers(server, running[1], "b")
    assert app.came[2:] == ["late"]


def test_a_thread_refuses_what_has_waited_for_too_long(serving: Serving) -> None:
    app = Gated("a")
    server = serving(app, threads=1, queue_timeout=3)
    running, waiting = ask(server, "a"), ask(server, "b")
    server.until(lambda: app.inside == 1, "the thread to be busy")
    server.clock.advance(5)  # no sweep sees it
    app.gates["a"].open()
    await_rest(server)
    assert_answers(server, running, "a")
    assert waiting.await_responses(1)[0].status == 503
    assert app.came == ["a"]


def test_the_time_in_the_queue_is_known(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    monkeypatch.setattr(
        wiring, "access_log", lambda settings, log: lambda exchange: waits.append(exchange.waited)
    )
    app = Gated("a")
    server = serving(app, threads=1, max_queue=1)
    running, waiting = ask(server, "a"), ask(server, "b")
    server.until(lambda: app.inside == 1, "the thread to be busy")
    server.advance(3)
    assert ask(server, "c").await_responses(1)[0].status == 503
    app.gates["a"].open()
    assert_answers(server, running, "a")
    assert_answers(server, waiting, "b")
    assert 3 <= app.environs["b"]["fastwsgi.queue_seconds"] < 3 + PATIENCE
    assert app.environs["a"].get("fastwsgi.queue_seconds", 0) < 1
    assert waiting.exchange(request("d")).status == 200
    assert app.environs["d"].get("fastwsgi.queue_seconds", 0) < 1
    assert waits[0] == 0
    assert 0 <= waits[1] < 1000
    assert 3000 <= waits[2] < 3000 + 1000 * PATIENCE
