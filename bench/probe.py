"""Asks a server once before it is measured: a wrong answer must not count as a fast one."""

from __future__ import annotations

import socket

from answer import Answer, MalformedAnswerError, take_answer
from workloads import Workload

TIMEOUT = 5.0  # seconds that a server may be silent


class ProbeError(Exception):
    """The server answers this workload wrongly; the message says how."""


def probe(port: int, workload: Workload) -> bool:
    """Sends the workload's first payloads and verifies every answer.

    Returns whether the connection is still open after the first payload. Raises ProbeError.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
            for payload in workload.payloads[:2] * 2:
                if not exchange(client, payload, workload):
                    return False
        return True
    except (OSError, MalformedAnswerError) as error:
        raise ProbeError(str(error)) from error


def exchange(client: socket.socket, payload: bytes, workload: Workload) -> bool:
    """Sends one payload, reads all its answers; whether the connection stays open."""
    client.sendall(payload)
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
    if answer.body != workload.body:
        raise ProbeError(
            f"wrong body: {len(answer.body)} bytes {answer.body[:32]!r}, "
            f"expected {len(workload.body)} bytes"
        )
