from __future__ import annotations

from collections.abc import Callable

import pytest
import workloads
from probe import Finding, ProbeError, probe, streams

Answering = Callable[..., int]
HELLO = workloads.find("hello")
PIPELINE = workloads.find("pipeline")
GENERATOR = workloads.find("generator")
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"


def test_right_answers_on_one_connection(answering: Answering) -> None:
    assert probe(answering(RIGHT, RIGHT), HELLO) == Finding(keeps_alive=True, streams=True)


def test_announced_close_is_no_failure(answering: Answering) -> None:
    closing = RIGHT.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n")
    assert not probe(answering(closing), HELLO).keeps_alive


def test_pipelined_answers(answering: Answering) -> None:
    assert probe(answering(RIGHT * 16, RIGHT * 16), PIPELINE).keeps_alive


@pytest.mark.parametrize("pieces", [1, 2])
def test_pieces_have_to_be_sent_before_the_last(answering: Answering, pieces: int) -> None:
    """The stand-in sends the second piece only when the client has sent again, or both at once."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GENERATOR.body), GENERATOR.body)
    port = answering(whole[:500] if pieces == 2 else whole)
    assert streams(port, GENERATOR) == (pieces == 2)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([RIGHT.replace(b"200 OK", b"503 Busy")], "status 503"),
        ([RIGHT.replace(b"World", b"Whorl")], "wrong body"),
        ([RIGHT + b"\n"], "1 bytes after the last answer"),
        ([RIGHT], "closed before answer 1 of 1|reset by peer|Broken pipe"),
        ([b"hello\r\n\r\n"], "an answer begins with"),
    ],
    ids=["status", "body", "excess", "silent close", "no HTTP"],
)
def test_wrong_answers(answering: Answering, answers: list[bytes], message: str) -> None:
    with pytest.raises(ProbeError, match=message):
        probe(answering(*answers), HELLO)


def test_missing_pipelined_answers(answering: Answering) -> None:
    with pytest.raises(ProbeError, match=r"before answer 3 of 16|reset by peer"):
        probe(answering(RIGHT * 2), PIPELINE)


def test_nobody_listens(unused_port: int) -> None:
    with pytest.raises(ProbeError, match="refused"):
        probe(unused_port, HELLO)
