"""Requests and answers of many sizes that cross each other on one connection, in an order that chance decides.

What a client sends while it does not read, and reads while it does not send, in pieces from one byte to a MiB: every
answer comes, whole and in order, and nothing is waited for that will not come.
"""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.loop import Client, SteppedServer, Transport
from tests.wire import apps
from tests.wire.recorder import Environ, Recorder

ROUNDS = 40
BAD = b"BAD\r\n\r\n"

Exchange = tuple[bytes, bytes]  # a request, and the body of its answer


def application(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
    """Answers /parts/N with five parts of N bytes, /whole/N with one, anything else with the size of the body."""
    body = environ["wsgi.input"].read()
    _, kind, size = environ["PATH_INFO"].split("/")
    start_response("200 OK", [apps.PLAIN])
    if kind == "parts":
        return (b"p" * int(size) for _ in range(5))
    return [b"w" * int(size) if kind == "whole" else str(len(body)).encode()]


def exchange(chance: random.Random) -> Exchange:
    sizes = (1, 5000, 66_000, 300_000)
    size = chance.choice(sizes[:3] if chance.random() < 0.8 else sizes)
    match chance.randrange(4):
        case 0:
            return b"GET /parts/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size, b"p" * size * 5
        case 1:
            return b"GET /whole/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size, b"w" * size
        case 2:
            head = b"POST /length/0 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
            return head + b"b" * size, b"%d" % size
        case _:
            head = b"POST /chunks/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            return head + b"%x\r\n%b\r\n3\r\nend\r\n0\r\n\r\n" % (size, b"b" * size), b"%d" % (
                size + 3
            )


def converse(client: Client, data: bytes, half_close: bool, chance: random.Random) -> None:
    """Sends everything; in between turns the server or reads, as chance has it."""
    view = memoryview(data)
    while view and client.ending is None:
        match chance.randrange(5):
            case 0:
                client.server.turn()
            case 1:
                client.receive()
            case _:
                view = view[
                    client.put(view[: chance.choice((1, 7, 100, 4096, 65_536, 1_000_000))]) :
                ]
    if half_close:
        client.half_close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("high_water", [4096, 262_144])
def test_every_answer_comes(
    tmp_path: Path, transport: Transport, seed: int, high_water: int
) -> None:
    chance = random.Random(seed)
    with SteppedServer(
        Recorder(application), tmp_path, transport, output_buffer_size=high_water
    ) as server:
        for _ in range(ROUNDS):
            exchanges = [exchange(chance) for _ in range(chance.choice((1, 2, 5, 20)))]
            half_close, bad = chance.random() < 0.4, chance.random() < 0.2
            data = b"".join(request for request, _ in exchanges) + (BAD if bad else b"")
            with server.connection() as client:
                converse(client, data, half_close, chance)
                answers = client.await_responses(len(exchanges) + bad)
                assert [answer.body for answer in answers[: len(exchanges)]] == [
                    body for _, body in exchanges
                ]
                assert [answer.status for answer in answers] == [200] * len(exchanges) + [400] * bad
                if half_close or bad:
                    assert client.await_end() == "eof"
                assert client.reader.violations == []
                assert not client.reader.partial
