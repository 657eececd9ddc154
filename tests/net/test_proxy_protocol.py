"""PROXY headers: what is read of them, and the connections that may begin with one."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastwsgi._clock import Clock
from fastwsgi._parser import Verdict
from fastwsgi.net.proxy_protocol import (
    SIGNATURE,
    Client,
    crc32c,
    read_binary,
    read_text,
)
from fastwsgi.net.reactor import Reactor
from tests.support.certificates import TlsSocket, client_context
from tests.support.loop import SteppedServer

from .preambles import (
    PROXY,
    TEXT,
    Door,
    address_pairs,
    binary_header,
    ports,
    text_header,
    vectors,
)

quick = hypothesis.settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@quick
@given(address_pairs(), ports, ports)
def test_a_text_header_says_what_was_put_into_it(
    pair: tuple[Any, Any], port: int, target_port: int
) -> None:
    found = read_text(text_header(pair, port, target_port))
    assert found == Client(
        f"TCP{pair[0].version}", str(pair[0]), str(port), str(pair[1]), str(target_port)
    )


@quick
@given(address_pairs(), ports, ports, vectors, st.booleans())
def test_a_binary_header_says_what_was_put_into_it(
    pair: tuple[Any, Any],
    port: int,
    target_port: int,
    extras: list[tuple[int, bytes]],
    checksum: bool,
) -> None:
    found = read_binary(binary_header(pair, port, target_port, extras, checksum=checksum))
    assert found.address is not None
    assert ipaddress.ip_address(found.address) == pair[0]
    assert ipaddress.ip_address(found.proxy_address) == pair[1]
    assert (found.port, found.proxy_port) == (str(port), str(target_port))


@quick
@given(address_pairs(), vectors, st.data())
def test_a_checksum_that_is_there_is_right(
    pair: tuple[Any, Any], extras: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    header = bytearray(binary_header(pair, 1, 2, extras, checksum=True))
    fixed = 28 if pair[0].version == 4 else 52
    place = data.draw(st.integers(16, fixed - 1))
    header[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="checksum"):
        read_binary(bytes(header))


@quick
@given(st.one_of(st.binary(max_size=120), st.from_regex(rb"\APROXY [A-Z0-9 .:]*\r\n\Z")))
def test_no_text_breaks_the_reader(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert read_text(line).protocol in ("TCP4", "TCP6", "UNKNOWN")


@quick
@given(st.binary(min_size=2, max_size=2), st.binary(max_size=300))
def test_no_bytes_break_the_reader(start: bytes, body: bytes) -> None:
    with contextlib.suppress(ValueError):
        found = read_binary(SIGNATURE + start + len(body).to_bytes(2, "big") + body)
        assert found.protocol in ("TCP4", "TCP6", "UNIX", "UNSPEC", "LOCAL")


def test_the_checksum_is_the_known_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.fixture
def door(reactor: Reactor) -> Iterator[Door]:
    made = Door(reactor)
    yield made
    made.close()


REST = b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("header", "protocol"),
    [
        (TEXT, "TCP4"),
        (binary_header((ipaddress.ip_address("::1"),) * 2, 1, 2, [(4, b"n")]), "TCP6"),
        (b"PROXY UNKNOWN\r\n", "UNKNOWN"),
        (b"", None),
        (b"PROXI", None),
        (SIGNATURE[:-1] + b"X", None),
    ],
)
def test_no_byte_behind_a_header_is_taken_however_it_arrives(
    door: Door, header: bytes, protocol: str | None
) -> None:
    data = header + REST
    for split in range(1, len(data) + 1):
        client = door.connect()
        for part in filter(None, (data[:split], data[split:])):
            client.sendall(part)
            door.reactor.turn(0)
        fd, address, items = door.passed.pop()
        assert address == PROXY
        assert items.get("PROXY_PROTOCOL") == protocol
        with socket.socket(fileno=fd) as rest:
            assert rest.recv(1000) == (REST if protocol else data)
        client.close()
    assert len(door.protocol) == 0
    assert door.refused == []


@quick
@given(st.binary(max_size=200), st.lists(st.integers(1, 30), max_size=8), st.booleans())
def test_whatever_comes_it_ends_well(
    door: Door, tail: bytes, sizes: list[int], binary: bool
) -> None:
    data = ((SIGNATURE + b"\x21\x11\0\x20") if binary else b"PROXY ") + tail
    client = door.connect()
    parts = itertools.accumulate(sizes, initial=0)
    for start, stop in itertools.pairwise([*parts, len(data)]):
        client.sendall(data[start:stop])
        door.reactor.turn(0)
    client.shutdown(socket.SHUT_WR)
    door.reactor.turn(0)
    assert len(door.protocol) == 0
    ends = [*door.passed, *door.refused]
    assert len(ends) == 1
    os.close(ends[0][0])
    door.passed.clear()
    door.refused.clear()
    client.close()


def test_what_is_incomplete_does_not_wake_the_worker_again(door: Door) -> None:
    client = door.connect()
    door.reactor.turn(0)
    for part in (TEXT[:3], TEXT[3:9]):
        client.sendall(part)
        assert door.reactor.turn(1) == 1
        assert door.reactor.turn(0) == 0
    client.close()


def test_a_stranger_is_refused_as_soon_as_it_shows(door: Door) -> None:
    for start, address, verdict in [
        (b"PROXY ", ("192.0.2.8", 1), Verdict.PROXY_HEADER_FORBIDDEN),
        (SIGNATURE, ("192.0.2.8", 1), Verdict.PROXY_HEADER_FORBIDDEN),
        (TEXT.replace(b"TCP4", b"TCP5"), "", Verdict.BAD_PROXY_HEADER),
    ]:
        client = door.connect(address)
        client.sendall(start)
        door.reactor.turn(0)
        assert door.refused[-1][1:] == (address, verdict)
        client.close()


def test_a_header_has_its_time_and_counts_until_then(door: Door, clock: Clock) -> None:
    early, late = door.connect(), door.connect()
    early.sendall(TEXT[:20])
    door.reactor.turn(0)
    assert (len(door.protocol), door.changes) == (2, 2)
    clock.advance(9)
    door.reactor.turn(0)
    third = door.connect()
    clock.advance(2)
    door.reactor.turn(0)
    assert early.recv(1) == b""
    assert late.recv(1) == b""
    assert (len(door.protocol), door.changes) == (1, 5)
    third.sendall(TEXT)
    door.reactor.turn(0)
    assert len(door.protocol) == 0
    assert door.changes == 5  # the connection goes on
    for client in (early, late, third):
        client.close()


def test_a_drain_shortens_the_time(door: Door, clock: Clock) -> None:
    before = door.connect()
    door.protocol.drain()
    after = door.connect()
    clock.advance(2)
    door.reactor.turn(0)
    door.reactor.turn(0)
    assert before.recv(1) == b""
    assert after.recv(1) == b""
    before.close()
    after.close()


@pytest.mark.parametrize("start", [b"", b"PROXY T", SIGNATURE + b"\x21"])
def test_a_client_that_leaves_is_let_go(door: Door, start: bytes) -> None:
    client = door.connect()
    client.sendall(start)
    door.reactor.turn(0)
    client.close()
    door.reactor.turn(0)
    assert len(door.protocol) == 0
    assert door.passed == []
    assert [verdict for *_, verdict in door.refused] == (
        [Verdict.BAD_PROXY_HEADER] if start else []
    )


def test_what_cannot_go_on_is_closed_and_told(
    reactor: Reactor, errors: list[tuple[object, Exception]]
) -> None:
    door = Door(reactor)

    def fail(fd: int, address: Any, items: dict[str, Any]) -> None:
        raise OSError("no room")

    client, ours = socket.socketpair()
    door.protocol.accept(fail, door.refuse, ours.detach(), PROXY)
    client.sendall(TEXT)
    reactor.turn(0)
    assert client.recv(1) == b""
    assert [str(error) for _, error in errors] == ["no room"]
    assert len(door.protocol) == 0
    client.close()


# -- in a server -------------------------------------------------------------------------------------------------------


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["REMOTE_ADDR"].encode()]


def test_a_preamble_is_a_connection_of_the_worker(tmp_path: Path) -> None:
    with SteppedServer(app, tmp_path, proxy_protocol="auto", worker_connections=1) as server:
        first = server.connect()
        second = server.connect(accepted=False)
        server.settle()
        assert server.server.connections == 1
        assert first.exchange(TEXT + REST.replace(b"\r\n\r\n", b"\r\nHost: a\r\n\r\n")).body == (
            b"192.0.2.1"
        )
        assert server.server.connections == 1
        first.close()
        assert second.exchange(b"GET / HTTP/1.0\r\n\r\n").body == b"127.0.0.1"
        second.close()


def test_a_silent_preamble_does_not_hold_up_a_drain(tmp_path: Path) -> None:
    with SteppedServer(app, tmp_path, proxy_protocol="auto") as server:
        silent = server.connect()
        server.server.drain()
        original, ticks = server.server.reactor.turn, itertools.count()

        def turn(timeout: float | None = None) -> int:
            server.clock.advance(1)
            assert next(ticks) < 5
            return original(0)

        server.server.reactor.turn = turn  # type: ignore[method-assign]
        server.server.run()
        assert silent.await_end() == "eof"
        silent.close()


def test_the_log_says_which_setting_is_wanting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        SteppedServer(app, tmp_path, proxy_protocol="v1", proxy_allow_ips=("192.0.2.9",)) as server,
        server.connection() as client,
    ):
        answer = client.exchange(TEXT + REST)
        assert answer.status == 403
        assert client.await_end() == "eof"
    assert re.search("ip=127.0.0.1: .*proxy_allow_ips", caplog.text)


def test_a_header_stands_before_the_handshake(tmp_path: Path) -> None:
    """Both in one piece, so that nothing of the handshake may be taken with the header."""
    with SteppedServer(app, tmp_path, "tls", proxy_protocol="auto") as server:
        raw = socket.create_connection(server.socket.getsockname())
        raw.setblocking(False)
        raw.sendall(TEXT[:-1])
        server.settle()
        client = TlsSocket(raw, client_context())
        raw, client.raw = client.raw, Prefixed(raw, TEXT[-1:])  # type: ignore[assignment]
        server.until(client.shake_hands, "the handshake")
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        received = bytearray()

        def answered() -> bool:
            with contextlib.suppress(BlockingIOError):
                received.extend(client.recv(1 << 16))
            return received.endswith(b"\r\n\r\n192.0.2.1")

        server.until(answered, "the answer")
        raw.close()


class Prefixed:
    """A socket whose first bytes are preceded by others, in one piece."""

    def __init__(self, raw: socket.socket, prefix: bytes) -> None:
        self.raw = raw
        self.prefix = prefix
        self.recv = raw.recv

    def send(self, data: bytes) -> int:
        sent = self.raw.send(self.prefix + data) - len(self.prefix)
        self.prefix = b""
        return sent


def test_a_descriptor_that_cannot_be_watched_stays_the_listeners(
    door: Door, tmp_path: Path
) -> None:
    path = tmp_path / "no-socket"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(PermissionError):
        door.protocol.accept(door.go_on, door.refuse, fd, PROXY)
    assert len(door.protocol) == 0
    os.close(fd)
