"""PROXY headers in both versions, and a reactor's door for the connections that begin with them."""

from __future__ import annotations

import os
import socket
from typing import Any

from hypothesis import strategies as st

from fastwsgi.net.proxy_protocol import SIGNATURE, ProxyProtocol, crc32c
from fastwsgi.net.reactor import Reactor

PROXY = ("192.0.2.9", 5)
TEXT = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
ports = st.integers(0, 65535)
vectors = st.lists(
    st.tuples(st.sampled_from([0x01, 0x02, 0x04, 0x05, 0x30, 0xEA]), st.binary(max_size=20)),
    max_size=4,
)


def address_pairs() -> st.SearchStrategy[tuple[Any, Any]]:
    return st.one_of(
        st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
        st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    )


def text_header(pair: tuple[Any, Any], port: int, target_port: int) -> bytes:
    source, target = pair
    return f"PROXY TCP{source.version} {source} {target} {port} {target_port}\r\n".encode()


def binary_header(
    pair: tuple[Any, Any],
    port: int,
    target_port: int,
    extras: list[tuple[int, bytes]],
    *,
    checksum: bool = False,
) -> bytes:
    family = 0x11 if pair[0].version == 4 else 0x21
    body = b"".join(side.packed for side in pair)
    body += port.to_bytes(2, "big") + target_port.to_bytes(2, "big")
    extras = [*extras, (3, bytes(4))] if checksum else extras
    for kind, value in extras:
        body += bytes([kind]) + len(value).to_bytes(2, "big") + value
    header = SIGNATURE + bytes([0x21, family]) + len(body).to_bytes(2, "big") + body
    return header[:-4] + crc32c(header).to_bytes(4, "big") if checksum else header


class Door:
    """A ProxyProtocol in a reactor, and what came through it."""

    def __init__(self, reactor: Reactor, mode: str = "auto") -> None:
        self.reactor = reactor
        self.changes = 0
        self.protocol = ProxyProtocol(reactor, mode, {PROXY[0]}, 10, self.change)
        self.passed: list[tuple[int, Any, dict[str, Any]]] = []
        self.refused: list[tuple[int, Any, int]] = []

    def change(self) -> None:
        self.changes += 1

    def go_on(self, fd: int, address: Any, items: dict[str, Any]) -> None:
        self.passed.append((fd, address, items))

    def refuse(self, fd: int, address: Any, verdict: int) -> None:
        self.refused.append((fd, address, verdict))

    def connect(self, address: Any = PROXY) -> socket.socket:
        client, ours = socket.socketpair()
        self.protocol.accept(self.go_on, self.refuse, ours.detach(), address)
        return client

    def close(self) -> None:
        self.protocol.close()
        for fd, *_ in [*self.passed, *self.refused]:
            os.close(fd)
