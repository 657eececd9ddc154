"""What clients see: pipelined requests, bodies, the end of a connection amid a request."""

from collections.abc import Iterable

import pytest

from tests.threads.gates import (
    BLOCK,
    Body,
    Environ,
    Gate,
    Gated,
    Serving,
    StartResponse,
    answering,
    ask,
    assert_answers,
    assert_other_requests_are_answered,
    await_forgotten,
    await_rest,
    request,
)


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(
    ("count", "version"), [(1, "1.1"), (2, "1.1"), (10_000, "1.1"), (10_000, "1.0")]
)
def test_a_client_that_left_ends_its_request(
    serving: Serving, how: str, count: int, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    body = Body([BLOCK] * count, gate)
    server = serving(answering(body), threads=1)
    client = server.connect()
    client.put(request("p", version=version))
    server.until(lambda: gate.reached, "the first item to be sent")
    getattr(client, how)()
    server.turn(0.01)
    server.turn()
    assert server.server.connections == 1, "a thread has it"
    gate.open()
    await_forgotten(server)
    await_rest(server)
    assert body.closed == 1
    assert body.given < 100, "produced although nobody is there"
    assert caplog.messages == []
    assert_other_requests_are_answered(server)


def test_a_client_that_left_before_its_turn(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    app = Gated("a")
    server = serving(app, threads=1)
    running, gone = ask(server, "a"), ask(server, "gone")
    gone.reset()
    server.turn(0.01)
    app.gates["a"].open()
    assert_answers(server, running, "a")
    await_forgotten(server, 1)
    assert caplog.messages == []


def test_pipelined_requests_are_answered_in_order(serving: Serving) -> None:
    names = [f"n{number}" for number in range(40)]
    app = Gated("n0", "n7")
    server = serving(app, threads=4)
    client = server.connect()
    client.put(b"".join(request(name) for name in names))
    server.until(lambda: app.inside == 1, "the first request")
    assert app.came == ["n0"]
    app.gates["n0"].open()
    assert_answers(server, client, *names[:7])
    server.until(lambda: app.inside == 1, "the eighth request")
    client.put(request("more"))
    server.turn(0.01)
    app.gates["n7"].open()
    assert_answers(server, client, *names, "more")
    assert app.most == 1


@pytest.mark.parametrize(("version", "fields"), [("1.1", ["Connection: close"]), ("1.0", [])])
@pytest.mark.parametrize("garbage", ["none", "with it", "while it runs"])
def test_the_last_answer_arrives_whole(
    serving: Serving, version: str, fields: list[str], garbage: str
) -> None:
    app = Gated("p")
    server = serving(app)
    client = server.connect()
    rubbish = b"\0" * 30_000
    client.put(request("p", *fields, version=version) + rubbish * (garbage == "with it"))
    server.until(lambda: app.inside == 1, "the request")
    if garbage == "while it runs":
        client.put(rubbish)
        server.until(lambda: server.turn() == 0, "the server to have seen it")
        server.turn(0.05)
    app.gates["p"].open()
    assert client.await_end() == "eof"
    assert [answer.body for answer in client.responses] == [b"p"]
    assert client.responses[0].get("connection") == "close"
    assert client.reader.violations == []
    assert app.came == ["p"]
    client.close()
    await_forgotten(server)


def test_who_sends_no_more_still_gets_the_answer(serving: Serving) -> None:
    app = Gated("p")
    server = serving(app)
    client = ask(server, "p")
    client.half_close()
    server.turn(0.05)
    app.gates["p"].open()
    assert client.await_end() == "eof"
    assert [answer.body for answer in client.responses] == [b"p"]
    await_forgotten(server)


@pytest.mark.parametrize("size", [10, 60_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_reaches_its_thread_whole(serving: Serving, size: int, chunked: bool) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        read = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [read[::-1]]

    server = serving(app)
    clients = [server.connect("POST") for _ in range(4)]
    for number, client in enumerate(clients):
        body = bytes((number + at) % 251 for at in range(1000)) * (size // 1000 + 1)
        body = body[:size]
        field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if chunked else body
        client.send(request("p", field, method="POST") + data)
        assert client.await_responses(1)[0].body == body[::-1]
    for client in clients:
        assert client.ending is None


@pytest.mark.parametrize("read", ["read", "readline"])
def test_a_size_that_reads_itself_gets_no_more_than_there_is(serving: Serving, read: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]

        class Size:
            def __index__(self) -> int:
                stream.read(90)
                return 95

        start_response("200 OK", [])
        return [getattr(stream, read)(Size()) + b";" + stream.read()]

    client = serving(app).connect("POST")
    client.send(request("p", "Content-Length: 100", method="POST") + b"b" * 100)
    assert client.await_responses(1)[0].body == b"b" * 10 + b";"
