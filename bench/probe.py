"""Asks a server once before it is measured: a wrong answer must not count as a fast one."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from bench.answer import Answer, MalformedAnswerError, take_answer
from bench.workloads import Workload

TIMEOUT = 5.0  # seconds that a server may be silent
IDLE = 1.0  # seconds that it may take while another connection is kept
REST = 0.020  # seconds without a byte after which an answer rests; less than Linux delays an acknowledgement
TRIES = 3  # as a server that had no processor for so long rests, too


class ProbeError(Exception):
    """The server answers this workload wrongly; the message says how."""


@dataclass(frozen=True)
class Finding:
    """What a probe saw of a server whose answers are right."""

    keeps_alive: bool
    """Whether the connection stays open after an answer."""
    withholds: str = ""
    """Until when a piece is kept that should go before the application makes the next (PEP 3333); "" where none is."""
    attends: bool = True
    """Whether others are answered while a connection is kept and idle."""


def probe(port: int, workload: Workload) -> Finding:
    """Sends the workload's first payloads and verifies every answer. Raises ProbeError."""
    try:
        keeps_alive = converse(port, workload)
        withheld = withholds(port, workload) if workload.paused else ""
        return Finding(keeps_alive, withheld, not keeps_alive or attends(port, workload))
    except (OSError, MalformedAnswerError) as error:
        raise ProbeError(str(error)) from error


def connect(port: int, workload: Workload) -> socket.socket:
    """A connection that speaks what the workload speaks. Raises OSError."""
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    if workload.scheme == "http":
        return client
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(client)


def converse(port: int, workload: Workload) -> bool:
    """Sends some payloads one after another; False when the server ends the connection."""
    with connect(port, workload) as client:
        kept = all(exchange(client, payload, workload) for payload in workload.payloads[:2] * 2)
        return kept or workload.closes


def attends(port: int, workload: Workload) -> bool:
    """Whether a second client gets its answer while the first one, which had its own, stays."""
    payload = workload.payloads[0]
    with connect(port, workload) as kept:
        exchange(kept, payload, workload)
        with connect(port, workload) as other:
            other.settimeout(IDLE)
            other.sendall(payload)
            try:
                return bool(other.recv(1))
            except TimeoutError:
                return False


def withholds(port: int, workload: Workload) -> str:
    """Until when the server keeps a piece that the application has made; "" where it keeps none."""
    if not streams(port, workload):
        return "until the last"
    if all(needs_acknowledgement(port, workload) for _ in range(TRIES)):
        return "until the client acknowledges"
    return ""


def streams(port: int, workload: Workload) -> bool:
    """Whether bytes of the body come before the application's pause, so before the whole answer."""
    with connect(port, workload) as client:
        client.sendall(workload.paused)
        received = bytearray()
        while workload.body[:16] not in received:
            data = client.recv(65536)
            if not data:
                raise ProbeError("connection closed before the body")
            received += data
        return take_answer(received) is None


def needs_acknowledgement(port: int, workload: Workload) -> bool:
    """Whether an answer rests until the client acknowledges what it has: Nagle's algorithm is on.

    The client delays acknowledgements (40 ms at least). Where the answer stops, it sends one, and
    that alone makes the rest come.
    """
    received = bytearray()
    with connect(port, workload) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        client.sendall(workload.requests[0])
        while take_answer(received) is None:
            try:
                data = client.recv(65536)
            except TimeoutError:
                break
            if not data:
                return False
            received += data
            client.settimeout(REST)
        else:
            return False
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        try:
            return bool(client.recv(65536))
        except TimeoutError:
            return False


def exchange(client: socket.socket, payload: bytes, workload: Workload) -> bool:
    """Sends one payload, reads all its answers; whether the connection stays open."""
    client.sendall(payload)
    return read_answers(client, workload)


def read_answers(client: socket.socket, workload: Workload) -> bool:
    """Reads the answers of one payload; whether the connection stays open. Raises ProbeError."""
    received, ended, closes = bytearray(), False, False
    for number in range(1, workload.depth + 1):
        while (answer := take_answer(received, ended=ended)) is None:
            if ended:
                raise ProbeError(f"connection closed before answer {number} of {workload.depth}")
            try:
                data = client.recv(65536)
            except TimeoutError:
                raise ProbeError(f"no answer {number} of {workload.depth}: silence") from None
            ended = not data
            received += data
        verify(answer, workload)
        del received[: answer.length]
        closes = answer.closes
        if closes and number < workload.depth:
            raise ProbeError(f"answers {number} of {workload.depth} pipelined requests")
    if received:
        raise ProbeError(f"{len(received)} bytes after the last answer")
    return not closes


def verify(answer: Answer, workload: Workload) -> None:
    if answer.status != 200:
        raise ProbeError(f"status {answer.status}")
    if not workload.accepts(answer.body):
        raise ProbeError(
            f"wrong body: {len(answer.body)} bytes {answer.body[:32]!r}, "
            f"expected {len(workload.body)} bytes"
        )
