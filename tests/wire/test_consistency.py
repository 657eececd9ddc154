"""How bytes are cut up on their way never changes what they mean: mutated requests, whole and in random pieces."""

import random
from typing import Any

import pytest

from tests.support.loop import Transport
from tests.support.models import Model
from tests.wire import apps
from tests.wire.bench import Bench, Benches
from tests.wire.corpus import load_cases
from tests.wire.feeding import cut

INPUTS = 150
LONGEST = 1500

NAMES = {
    "REQUEST_METHOD",
    "RAW_URI",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_PROTOCOL",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
}

REQUESTS = [
    case.request
    for case in load_cases()
    if case.app == "echo"
    and not case.settings
    and b"HEAD" not in case.request
    and len(case.request) < LONGEST
]
PIECES = [
    b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b";", b",", b"%", b'"', b"\0", b"\x0b", b"\x80", b"0", b"5", b"_",
    b"\r\n\r\n", b"chunked", b"0\r\n\r\n", b"X: y\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"GET / HTTP/1.1\r\n",
    b"HTTP/1.0",
]  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """One to three requests of the corpus in a row, with up to three mistakes."""
    data = bytearray(b"".join(chance.choices(REQUESTS, k=chance.choice((1, 1, 2, 3)))))
    for _ in range(chance.randrange(4)):
        at, other = chance.randrange(len(data)), chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.choice(PIECES)
            case 1:
                del data[at : at + chance.randrange(1, 5)]
            case 2:
                data[at] = chance.randrange(256)
            case 3:
                data[at:at] = data[other : other + chance.randrange(1, 40)]
        data = data or bytearray(b"\r\n")
    return bytes(data)


def outcome_of(bench: Bench, pieces: list[bytes], half_close: bool) -> tuple[Any, ...]:
    """The final statuses, how the stream ended, and what the application saw; interim answers depend on the pieces."""
    bench.recorder.calls.clear()
    bench.recorder.target = apps.echo
    server = bench.server
    client = server.connect()
    for piece in pieces:
        client.send(piece)
    if half_close:
        client.half_close()
    server.settle()
    client.receive()
    client.reset()
    server.until(lambda: server.server.connections == 0, "the connection to be forgotten")
    calls = [
        (
            {
                name: value
                for name, value in call.environ.items()
                if name in NAMES or name.startswith("HTTP_")
            },
            call.body,
        )
        for call in bench.recorder.calls
    ]
    assert client.reader.violations == []
    return [status for status in client.statuses if status >= 200], client.ending, calls


@pytest.mark.parametrize("seed", range(4))
def test_pieces_change_nothing(
    benches: Benches, transport: Transport, model: Model, seed: int
) -> None:
    chance = random.Random(seed)
    bench = benches.get(transport, model, {})
    for _ in range(INPUTS):
        data, half_close = mutated(chance), chance.random() < 0.3
        count = min(len(data) - 1, chance.choice((1, 2, 5, 20)))
        pieces = cut(data, sorted(chance.sample(range(1, len(data)), count)))
        whole = outcome_of(bench, [data], half_close)
        assert outcome_of(bench, pieces, half_close) == whole, pieces
