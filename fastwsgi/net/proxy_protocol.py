"""The PROXY protocol: a proxy says who its client is, once, before the first byte of that client.

Both versions of haproxy's specification (doc/proxy-protocol.txt). `read_text` and `read_binary` make
a `Client` of a complete header; a `Preamble` is a connection that may yet begin with one. Where it
does not, nothing was taken of it, and it goes on as any other (as in gunicorn).

Laws:

1. No byte behind the header is taken from the socket, so that a TLS handshake may follow. What may
   be something else is only looked at (MSG_PEEK), which is why events are edge-triggered: what lies
   in the kernel must not wake the worker again.
2. A header is what the specification says and nothing else; all of it must arrive in `seconds`.
3. A preamble counts as a connection of the worker, and owns its descriptor until it goes on.
"""

from __future__ import annotations

import logging
import os
import re
import select
import socket
import struct
from collections.abc import Callable, Container, Iterator
from typing import Any, Final, NamedTuple

from fastwsgi._parser import Verdict
from fastwsgi.net.reactor import Reactor
from fastwsgi.originals import original

Socket: Final = original("socket", "socket")

INPUT: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
GONE: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
DRAIN_SECONDS: Final = 1.0  # for a header that has not come when the worker drains

TEXT: Final = b"PROXY "
LONGEST_TEXT: Final = 107
TEXT_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?|"
    rb"(?P<family>TCP4|TCP6) (?P<source>[0-9A-Fa-f:.]+) (?P<target>[0-9A-Fa-f:.]+)"
    rb" (?P<port>0|[1-9][0-9]{0,4}) (?P<target_port>0|[1-9][0-9]{0,4}))\r\n"
)

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16  # bytes of a binary header up to its length and with it
LOCAL, PROXY = 0x20, 0x21  # version and command
# Family and transport: the name, the family of the socket module and the bytes of an address.
FAMILIES: Final = {
    0x11: ("TCP4", socket.AF_INET, 4),
    0x21: ("TCP6", socket.AF_INET6, 16),
}
UNSPECIFIED: Final = frozenset({0x00, 0x01})
UNIX: Final = 0x31
UNIX_BYTES: Final = 2 * 108
CHECKSUM, TLS_INFO = 0x03, 0x20

MODES: Final = {"v1": (TEXT,), "v2": (SIGNATURE,), "auto": (TEXT, SIGNATURE)}


class Client(NamedTuple):
    """What a header says: its kind, by gunicorn's names; the client's address and where it connected.

    Without an address, None, that of the connection itself counts.
    """

    protocol: str
    address: str | None = None
    port: str = ""
    proxy_address: str = ""
    proxy_port: str = ""

    def environ(self) -> dict[str, Any]:
        """The keys of the environ, as gunicorn names them."""
        if self.address is None:
            return {"PROXY_PROTOCOL": self.protocol}
        return {
            "PROXY_PROTOCOL": self.protocol,
            "REMOTE_ADDR": self.address,
            "REMOTE_PORT": self.port,
            "PROXY_ADDR": self.proxy_address,
            "PROXY_PORT": self.proxy_port,
        }


def read_text(line: bytes) -> Client:
    """Read a header of version 1, with its line end. Raises ValueError for any other line."""
    match = TEXT_LINE.fullmatch(line)
    if match is None or len(line) > LONGEST_TEXT:
        raise ValueError("the line is malformed")
    if match["family"] is None:
        return Client("UNKNOWN")
    source, target = match["source"].decode(), match["target"].decode()
    family = socket.AF_INET if match["family"] == b"TCP4" else socket.AF_INET6
    try:
        socket.inet_pton(family, source)
        socket.inet_pton(family, target)
    except OSError:
        raise ValueError("an address is malformed") from None
    port, target_port = match["port"].decode(), match["target_port"].decode()
    if max(int(port), int(target_port)) > 65535:
        raise ValueError("a port is too large")
    return Client(match["family"].decode(), source, port, target, target_port)


def binary_length(header: bytes | bytearray) -> int:
    """The bytes of a header of version 2, as far as its beginning tells."""
    return FIXED if len(header) < FIXED else FIXED + int.from_bytes(header[14:FIXED], "big")


def read_binary(header: bytes) -> Client:
    """Read a complete header of version 2. Raises ValueError for what is none."""
    command, family = header[12], header[13]
    if command not in (LOCAL, PROXY):
        raise ValueError("the version or the command is unknown")
    if (
        command == LOCAL
    ):  # the proxy itself, as for a health check: what else is there means nothing
        return Client("LOCAL")
    if family in UNSPECIFIED:
        return Client("UNSPEC")
    if family == UNIX:
        check_vectors(header, FIXED + UNIX_BYTES)
        return Client("UNIX", "")
    if family not in FAMILIES:
        raise ValueError("the address family or the transport is none of a stream")
    name, kind, size = FAMILIES[family]
    check_vectors(header, FIXED + 2 * size + 4)
    source = socket.inet_ntop(kind, header[FIXED : FIXED + size])
    target = socket.inet_ntop(kind, header[FIXED + size : FIXED + 2 * size])
    port, target_port = struct.unpack_from(">HH", header, FIXED + 2 * size)
    return Client(name, source, str(port), target, str(target_port))


def check_vectors(header: bytes, start: int) -> None:
    """See that what stands behind the addresses is type-length-value vectors and nothing else.

    A checksum among them must be right. Raises ValueError.
    """
    if start > len(header):
        raise ValueError("the addresses do not fit into the length")
    for kind, value, size in vectors(header, start, len(header)):
        if kind == CHECKSUM:
            blank = header[:value] + bytes(4) + header[value + 4 :]
            if size != 4 or crc32c(blank) != int.from_bytes(header[value : value + 4], "big"):
                raise ValueError("the checksum is wrong")
        if kind == TLS_INFO:
            if size < 5:
                raise ValueError("a vector is too short")
            list(vectors(header, value + 5, value + size))


def vectors(header: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The kind of each vector, where its value lies and its size."""
    while start < stop:
        value = start + 3
        size = int.from_bytes(header[start + 1 : value], "big")
        if value + size > stop:
            raise ValueError("a vector does not fit into the length")
        yield header[start], value, size
        start = value + size


def crc32c(data: bytes) -> int:
    """The checksum of RFC 4960, appendix B; byte by byte, as it is only wanted once a connection."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ CASTAGNOLI[(checksum ^ byte) & 0xFF]
    return checksum ^ 0xFFFFFFFF


def _entry(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


CASTAGNOLI: Final = tuple(_entry(number) for number in range(256))

log = logging.getLogger("fastwsgi.error")

GoOn = Callable[[int, Any, dict[str, Any]], object]
Refuse = Callable[[int, Any, int], object]


class ProxyProtocol:
    """What the preambles of one worker share, and the preambles themselves in order of their age.

    `mode` is v1, v2 or auto; `allowed` are the addresses of proxies that may send a header, beside
    all unix sockets. `on_change()` is called when a preamble has come, or was closed. `len` is how
    many there are.
    """

    def __init__(
        self,
        reactor: Reactor,
        mode: str,
        allowed: Container[str],
        seconds: float,
        on_change: Callable[[], object],
    ) -> None:
        self.reactor = reactor
        self.starts = MODES[mode]
        self.allowed = allowed
        self.on_change = on_change
        self._seconds = seconds
        self._deadlines: dict[Preamble, float] = {}
        reactor.every_second(self._sweep)

    def __len__(self) -> int:
        return len(self._deadlines)

    def accept(self, go_on: GoOn, refuse: Refuse, fd: int, address: Any) -> None:
        """Take over an accepted socket, whose peer has this address, until its header is there.

        Then `go_on(fd, address, items)` is called, with what environs get of the header, which is
        nothing where there is none; or `refuse(fd, address, verdict)`.
        """
        preamble = Preamble(self, go_on, refuse, fd, address)
        self._deadlines[preamble] = self.reactor.clock.monotonic() + self._seconds
        self.on_change()

    def release(self, preamble: Preamble) -> None:
        """Forget a preamble that gives up its descriptor."""
        del self._deadlines[preamble]
        self.reactor.remove(preamble.fd)

    def drain(self) -> None:
        """Let none wait much longer from now on."""
        self._seconds = min(self._seconds, DRAIN_SECONDS)
        soon = self.reactor.clock.monotonic() + self._seconds
        for preamble, deadline in self._deadlines.items():
            self._deadlines[preamble] = min(deadline, soon)

    def close(self) -> None:
        """Close every one at once."""
        for preamble in list(self._deadlines):
            preamble.close()

    def _sweep(self) -> None:
        moment = self.reactor.moment
        for preamble in [one for one, deadline in self._deadlines.items() if deadline <= moment]:
            preamble.close()


class Preamble:
    """One connection whose first bytes are not all here."""

    __slots__ = ("_address", "_go_on", "_header", "_refuse", "_shared", "_sock", "fd")

    def __init__(
        self, shared: ProxyProtocol, go_on: GoOn, refuse: Refuse, fd: int, address: Any
    ) -> None:
        # First, as the socket below is the owner of the descriptor: whatever this raises leaves it.
        shared.reactor.add(fd, self, INPUT)
        self.fd = fd
        self._sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0, fd)
        self._shared = shared
        self._go_on = go_on
        self._refuse = refuse
        self._address = address
        self._header = bytearray()  # as far as it was taken

    def on_event(self, events: int, /) -> None:
        """Look at the first bytes, and go on where they tell enough."""
        try:
            found = self._look(ended=bool(events & GONE))
        except OSError:  # it was reset, or has ended without a byte
            self.close()
            return
        except BaseException:
            self.close()
            raise
        if found is None:
            return
        fd = self._leave()
        try:
            if isinstance(found, Verdict):
                self._refuse(fd, self._address, found)
            else:
                self._go_on(fd, self._address, found)
        except Exception:  # nobody has taken it
            self._shared.reactor.remove(fd)
            os.close(fd)
            raise

    def close(self) -> None:
        """End the connection."""
        os.close(self._leave())
        self._shared.on_change()

    def _leave(self) -> int:
        self._shared.release(self)
        self._sock.detach()
        return self.fd

    def _look(self, *, ended: bool) -> dict[str, Any] | Verdict | None:
        """What the environ gets, why to refuse, or None to wait. An OSError ends the connection."""
        try:
            if self._header:
                return self._take_text() if self._header[0] == TEXT[0] else self._take_binary()
            head = self._sock.recv(len(SIGNATURE), socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if not head:
                raise ConnectionAbortedError
            start = next(
                (one for one in self._shared.starts if one[: len(head)] == head[: len(one)]), None
            )
            if start is None:
                return {}
            if len(head) < len(start):
                return {} if ended else None
            if not self._is_allowed():
                return Verdict.PROXY_HEADER_FORBIDDEN
            return self._take_text() if start is TEXT else self._take_binary()
        except BlockingIOError:
            return None

    def _is_allowed(self) -> bool:
        address = self._address
        return not isinstance(address, tuple) or address[0] in self._shared.allowed

    def _take_text(self) -> dict[str, Any] | Verdict:
        header = self._header
        while not header.endswith(b"\n"):
            room = LONGEST_TEXT - len(header)
            head = self._sock.recv(room, socket.MSG_PEEK | socket.MSG_DONTWAIT) if room else b""
            if not head:
                return Verdict.BAD_PROXY_HEADER
            # Taken as it comes: what is only looked at is not acknowledged to its sender either.
            header += self._sock.recv(head.find(b"\n") + 1 or len(head), socket.MSG_DONTWAIT)
        return self._understood(read_text, header)

    def _take_binary(self) -> dict[str, Any] | Verdict:
        header = self._header
        while missing := binary_length(header) - len(header):
            data = self._sock.recv(missing, socket.MSG_DONTWAIT)
            if not data:
                return Verdict.BAD_PROXY_HEADER
            header += data
        return self._understood(read_binary, header)

    def _understood(
        self, read: Callable[[bytes], Client], header: bytearray
    ) -> dict[str, Any] | Verdict:
        try:
            return read(bytes(header)).environ()
        except ValueError as error:
            log.debug("PROXY header of %s: %s", self._address, error)
            return Verdict.BAD_PROXY_HEADER
