"""Clients that take their answers slowly hold a thread only as long as they must."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from tests.threads.gates import (
    BLOCK,
    BLOCKS,
    MARGIN,
    Application,
    Body,
    Environ,
    Gate,
    Serving,
    StartResponse,
    answering,
    ask,
    assert_other_requests_are_answered,
    await_forgotten,
    await_rest,
    request,
)


def writing(count: int, given: list[int]) -> Application:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/other":
            return [b"other"]
        for number in range(count):
            given.append(number)
            write(BLOCK)
        return []

    return app


def test_a_slow_client_holds_its_own_thread_and_little_memory(serving: Serving) -> None:
    body = Body([BLOCK] * BLOCKS)
    server = serving(answering(body), threads=2, output_buffer_size=65536)
    client = ask(server, "p")
    await_rest(server)
    given = body.given
    assert given < BLOCKS
    assert_other_requests_are_answered(server)
    server.settle()
    assert body.given == given
    (answer,) = client.await_responses(1)
    assert answer.body == BLOCK * BLOCKS
    assert body.closed == 1


def test_write_waits_for_a_slow_client(serving: Serving) -> None:
    given: list[int] = []
    server = serving(writing(BLOCKS, given), threads=2, output_buffer_size=65536)
    client = ask(server, "p")
    await_rest(server)
    assert len(given) < BLOCKS
    assert_other_requests_are_answered(server)
    (answer,) = client.await_responses(1)
    assert answer.body == BLOCK * BLOCKS


@pytest.mark.parametrize("kind", ["list", "file"])
def test_what_is_complete_frees_its_thread(serving: Serving, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(BLOCK * BLOCKS)
    closed: list[bool] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/other":
            return [b"other"]
        if kind == "list":
            return [BLOCK * BLOCKS]
        return cast(Iterable[bytes], environ["wsgi.file_wrapper"](path.open("rb")))

    server = serving(app, threads=1, keepalive=60)
    clients = [ask(server, "p") for _ in range(3)]
    await_rest(server)
    assert_other_requests_are_answered(server)
    for client in clients:
        (answer,) = client.await_responses(1)
        assert answer.body == BLOCK * BLOCKS
    assert closed == []
    for client in clients:
        assert client.exchange(request("other")).body == b"other"


def test_a_block_is_sent_while_the_next_one_is_made(serving: Serving) -> None:
    # PEP 3333, "Buffering and Streaming": the transmission of a block is not delayed.
    body = Body([BLOCK * BLOCKS, b"the rest"], Gate())
    server = serving(answering(body), output_buffer_size=1 << 30)
    client = ask(server, "p")

    def has_first_block() -> bool:
        client.receive()
        return len(client.received) > len(BLOCK) * BLOCKS

    server.until(has_first_block, "the first block")
    assert body.gate is not None
    body.gate.open()
    assert client.await_responses(1)[0].body == BLOCK * BLOCKS + b"the rest"


def test_an_application_may_think_for_longer_than_a_client_may_be_slow(serving: Serving) -> None:
    body = Body([BLOCK * BLOCKS, b"the rest"], Gate())
    server = serving(answering(body), send_timeout=5)
    client = ask(server, "p")

    def has_first_block() -> bool:
        client.receive()
        return len(client.received) > len(BLOCK) * BLOCKS

    server.until(has_first_block, "the first block")
    server.advance(60)
    assert body.gate is not None
    body.gate.open()
    assert client.await_responses(1)[0].body == BLOCK * BLOCKS + b"the rest"


def test_who_takes_nothing_is_given_up(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    body = Body([BLOCK] * BLOCKS)
    server = serving(answering(body), threads=1, send_timeout=10)
    client = ask(server, "p")
    await_rest(server)
    assert body.closed == 0
    server.advance(10 - MARGIN)
    server.turn()
    assert body.closed == 0
    server.advance(2 * MARGIN)
    server.until(lambda: body.closed == 1, "the thread to give up")
    assert_other_requests_are_answered(server)
    server.advance(10 + MARGIN)
    await_forgotten(server)
    client.await_end()
    assert not client.responses[0].complete
    assert caplog.messages == []
