"""Reads HTTP/1.1 answers out of received bytes: enough to verify a server and to drive one."""

from __future__ import annotations

import re
from dataclasses import dataclass

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


class MalformedAnswerError(ValueError):
    """The bytes are no HTTP/1.1 answer."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    length: int
    """Bytes of the whole answer as received, head and framing included."""
    closes: bool
    """Whether the server ends the connection after this answer."""


def take_answer(received: bytes | bytearray, *, ended: bool = False) -> Answer | None:
    """The first answer in `received`, or None while it is incomplete.

    `ended` says that the server has closed the connection, which completes an answer without
    framing. Raises MalformedAnswerError.
    """
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    start, head = head_end + 4, bytes(received[:head_end])
    status = STATUS.match(head)
    if status is None:
        raise MalformedAnswerError(f"an answer begins with {head[:32]!r}")
    code, closes = int(status[1]), CLOSE.search(head) is not None or head.startswith(b"HTTP/1.0")
    length = LENGTH.search(head)
    if length is not None:
        end = start + int(length[1])
        if len(received) < end:
            return None
        return Answer(code, bytes(received[start:end]), end, closes)
    if CHUNKED.search(head) is not None:
        chunks = take_chunks(received, start)
        return chunks and Answer(code, chunks[0], chunks[1], closes)
    if not ended:
        return None
    return Answer(code, bytes(received[start:]), len(received), True)


def take_chunks(received: bytes | bytearray, start: int) -> tuple[bytes, int] | None:
    """The body of a chunked answer and the offset after it, or None while it is incomplete."""
    body = bytearray()
    while True:
        line_end = received.find(b"\r\n", start)
        if line_end < 0:
            return None
        try:
            size = int(received[start:line_end].split(b";")[0], 16)
        except ValueError:
            raise MalformedAnswerError("a chunk without a size") from None
        start = line_end + 2
        if len(received) < start + size + 2:
            return None
        body += received[start : start + size]
        start += size + 2
        if size == 0:
            return bytes(body), start
