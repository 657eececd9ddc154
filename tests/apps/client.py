"""A client that sends what it is told and reads answers strictly, with h11 as the judge."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

import h11

RECEIVE = 1 << 18


@dataclass
class Answer:
    """One response, and how its body ended."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False  # False: the connection ended before the framing said so
    raw: bytes = b""
    interim: list[int] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def one(self, name: str) -> str | None:
        """The value of a header that stands there at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands there {len(values)} times"
        return values[0] if values else None

    @property
    def framing(self) -> str:
        """How the body was delimited: "chunked", "length" or "close"."""
        if self.all("transfer-encoding"):
            assert self.one("transfer-encoding") == "chunked"
            assert self.one("content-length") is None
            return "chunked"
        return "close" if self.one("content-length") is None else "length"


class Client:
    """One connection; `send` and `receive` any number of times."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.pending = b""
        self.ended = False

    def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        chunks: Iterable[bytes] | None = None,
        version: str = "1.1",
    ) -> Answer:
        self.send(target, method=method, headers=headers, body=body, chunks=chunks, version=version)
        return self.receive(method)

    def send(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        chunks: Iterable[bytes] | None = None,
        version: str = "1.1",
    ) -> None:
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        if chunks is not None:
            lines.append("Transfer-Encoding: chunked")
        message = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
        if chunks is not None:
            message += b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
        self.socket.sendall(message)

    def receive(self, method: str = "GET") -> Answer:
        """The next answer; its body may be cut short, its head may not."""
        judge = h11.Connection(h11.CLIENT)
        judge.send(h11.Request(method=method, target="/", headers=[("Host", "localhost")]))
        judge.send(h11.EndOfMessage())
        answer: Answer | None = None
        interim, body, raw = [], [], bytearray(self.pending)
        if self.pending:  # no bytes would mean the end to h11
            judge.receive_data(self.pending)
        while True:
            try:
                event = judge.next_event()
            except h11.RemoteProtocolError:
                # Anything but an early end of the stream is a malformed answer.
                if not self.ended:
                    raise
                assert answer is not None, f"closed before a whole head: {bytes(raw)!r}"
                break
            if event is h11.NEED_DATA:
                data = self._receive()
                raw += data
                judge.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                answer = Answer(
                    event.status_code,
                    bytes(event.reason).decode("latin-1"),
                    [(k.decode("latin-1"), v.decode("latin-1")) for k, v in event.headers],
                    interim=interim,
                )
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            else:
                assert isinstance(event, h11.EndOfMessage), event
                assert answer is not None
                answer.complete = True
                break
        self.pending = bytes(judge.trailing_data[0])
        answer.body = b"".join(body)
        answer.raw = bytes(raw[: len(raw) - len(self.pending)])
        return answer

    def _receive(self) -> bytes:
        """More bytes; b"" at the end, clean or by a reset."""
        try:
            data = self.socket.recv(RECEIVE)
        except (ConnectionResetError, ssl.SSLEOFError):  # of TLS: without close_notify
            data = b""
        self.ended = not data
        return data

    def receive_until(self, wanted: bytes) -> bytes:
        """Raw bytes up to and with `wanted`; they stay pending for `receive`."""
        while wanted not in self.pending:
            data = self._receive()
            assert data, f"the stream ended before {wanted!r}: {self.pending!r}"
            self.pending += data
        return self.pending

    def receive_at_least(self, size: int) -> None:
        """Raw bytes until so many are pending for `receive`."""
        pending = bytearray(self.pending)
        while len(pending) < size:
            data = self._receive()
            assert data, f"the stream ended after {len(pending)} bytes"
            pending += data
        self.pending = bytes(pending)

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        rest = bytearray(self.pending)
        self.pending = b""
        while not self.ended:
            rest += self._receive()
        return bytes(rest)

    def is_usable(self) -> bool:
        """Whether the connection takes another request; a closed one must be empty to the end."""
        try:
            self.send("/plain")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.ended = True
        if not self.ended:
            self.pending += self._receive()
        if self.ended:
            assert self.pending == b"", f"stray bytes: {self.pending!r}"
            return False
        return self.receive().body == b"plain"

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
