"""PROXY headers, well-formed and damaged: however they arrive, the same comes of them."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Any

from hypothesis import strategies as st

from fastwsgi._clock import Clock
from fastwsgi.net.proxy_protocol import SIGNATURE, read_binary, read_text
from fastwsgi.net.reactor import Reactor
from tests.differential.grammar import KINDS, TRAPS, damage
from tests.net.preambles import Door, address_pairs, binary_header, ports, text_header, vectors

TRAILING = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PLAUSIBLE = st.one_of(
    st.builds(text_header, address_pairs(), ports, ports),
    st.builds(binary_header, address_pairs(), ports, ports, vectors, checksum=st.booleans()),
    st.sampled_from(
        (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0", SIGNATURE + b"\x21\x31\0\xd8")
    ),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda tail: SIGNATURE + tail),
    st.binary(max_size=120).map(lambda tail: b"PROXY " + tail),
)


@st.composite
def preambles(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """The bytes of a connection's beginning, and the lengths of the pieces they come in."""
    data = bytearray(draw(PLAUSIBLE))
    for _ in range(draw(st.integers(0, 2))):
        kind, at = draw(st.sampled_from(KINDS)), draw(st.integers(0, len(data)))
        damage(data, kind, at, draw(st.integers(1, 8)), draw(st.sampled_from(TRAPS)))
    behind = draw(st.sampled_from((b"", TRAILING)))
    return bytes(data) + behind, draw(st.lists(st.integers(1, 30), max_size=8))


def check_preamble(value: tuple[bytes, list[int]]) -> None:
    data, steps = value
    places = [at for at in itertools.accumulate(steps, initial=0) if at < len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise([*places, len(data)])]
    whole = outcome([data])
    assert outcome(pieces) == whole
    if isinstance(whole, tuple) and "PROXY_PROTOCOL" in whole[0]:
        header = data[: len(data) - len(whole[1])]
        read = read_text if header.startswith(b"PROXY ") else read_binary
        assert read(header).environ() == whole[0]
    elif isinstance(whole, tuple):
        assert whole[1] == data  # what is no header is all there for what comes next


def outcome(pieces: list[bytes]) -> tuple[dict[str, Any], bytes] | int | None:
    """What environs get and the bytes left; or why it was refused; None for one that ended."""
    failures: list[Exception] = []
    reactor = Reactor(Clock(), on_error=lambda source, error: failures.append(error))
    door = Door(reactor)
    client = door.connect()
    try:
        for piece in filter(None, pieces):
            client.sendall(piece)
            reactor.turn(0)
        client.shutdown(socket.SHUT_WR)
        reactor.turn(0)
        assert failures == []
        assert len(door.protocol) == 0
        if door.passed:
            fd, _, items = door.passed.pop()
            with socket.socket(fileno=fd) as rest:
                return items, received(rest)
        if not door.refused:
            return None
        fd, _, verdict = door.refused.pop()
        os.close(fd)
        return verdict
    finally:
        client.close()
        door.close()
        reactor.close()


def received(sock: socket.socket) -> bytes:
    data = b""
    while more := sock.recv(4096):
        data += more
    return data
