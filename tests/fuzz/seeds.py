"""What fuzzing starts from: the wire corpus, cut to what each harness reads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from tests.wire.corpus import load_cases

LONGEST: Final = 2048
LENIENCIES: Final = (0, 0, 31)
LIMITS: Final = (0, 0, 0, 1, 2)
STEPS: Final = (bytes(6), b"\1" * 6, b"\x10\0\0\0\0\0", b"\3\7\1\x20\2\x0b", b"\xff" * 6)
METHODS: Final = (b"GET", b"OPTIONS", b"CONNECT", b"PURGE")  # in the order of harness/target.c


def streams() -> list[bytes]:
    """The bytes of every case, each once, in the order of the corpus."""
    return list(dict.fromkeys(case.request for case in load_cases()))


def controlled(inputs: Iterable[bytes]) -> Iterator[bytes]:
    """The inputs behind the control bytes that the harnesses read."""
    controls = itertools.cycle(
        bytes((leniency, limits)) + steps
        for steps, limits, leniency in itertools.product(STEPS, LIMITS, LENIENCIES)
    )
    return (next(controls) + data for data in inputs)


def heads() -> Iterator[bytes]:
    return controlled(stream for stream in streams() if len(stream) <= LONGEST)


def chunked_bodies() -> Iterator[bytes]:
    """What follows the heads that announce chunks."""
    return controlled(dict.fromkeys(body for body in map(chunked_body, streams()) if body))


def chunked_body(stream: bytes) -> bytes:
    head, _, body = stream.partition(b"\r\n\r\n")
    return body[:LONGEST] if b"chunked" in head.lower() else b""


def targets() -> Iterator[bytes]:
    """A byte for the method and the target of each first line."""
    for stream in streams():
        method, _, rest = stream.partition(b" ")
        target = rest.partition(b" ")[0]
        if 0 < len(target) <= LONGEST:
            yield bytes([METHODS.index(method) if method in METHODS else 0]) + target


SEEDS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = {
    "head": heads,
    "chunks": chunked_bodies,
    "target": targets,
}
