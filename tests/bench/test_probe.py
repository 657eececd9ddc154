from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench import probe as probing
from bench import workloads
from bench.probe import Finding, ProbeError, probe, streams
from bench.running import Running

Answering = Callable[..., int]
HELLO = workloads.find("hello")
PIPELINE = workloads.find("pipeline")
GENERATOR = workloads.find("generator")
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in looks at no second client while it has one."""
    monkeypatch.setattr("bench.probe.IDLE", 0.1)


def test_right_answers_on_one_connection(answering: Answering) -> None:
    assert probe(answering(*[RIGHT] * 4), HELLO) == Finding(keeps_alive=True, attends=False)


def test_who_looks_at_all_connections_attends(limit: Running) -> None:
    assert probe(limit.port, HELLO) == Finding(keeps_alive=True)


def test_a_part_of_the_body_may_do(answering: Answering) -> None:
    part = replace(HELLO, body=b"World", whole=False)
    assert probe(answering(*[RIGHT] * 4), part).keeps_alive
    with pytest.raises(ProbeError, match="wrong body"):
        probe(answering(RIGHT), replace(part, body=b"world"))


def test_announced_close_is_no_failure(answering: Answering) -> None:
    closing = RIGHT.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n")
    assert not probe(answering(closing), HELLO).keeps_alive


def test_pipelined_answers(answering: Answering) -> None:
    assert probe(answering(*[RIGHT * 16] * 4), PIPELINE).keeps_alive


@pytest.mark.parametrize("pieces", [1, 2])
def test_pieces_have_to_be_sent_before_the_last(answering: Answering, pieces: int) -> None:
    """The stand-in sends the second piece only when the client has sent again, or both at once."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GENERATOR.body), GENERATOR.body)
    port = answering(whole[:500] if pieces == 2 else whole)
    assert streams(port, GENERATOR) == (pieces == 2)


@pytest.mark.parametrize("nagle", [True, False])
def test_pieces_that_rest_until_they_are_acknowledged_are_withheld(*, nagle: bool) -> None:
    """With Nagle's algorithm the second small piece waits until the first is acknowledged."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(probing.TRIES):
                client, _ = listener.accept()
                with client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not nagle)
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for piece in (b"3\r\none\r\n", b"0\r\n\r\n"):
                        client.sendall(piece)
                    client.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        tries = range(probing.TRIES)
        port = listener.getsockname()[1]
        found = [probing.needs_acknowledgement(port, GENERATOR) for _ in tries]
        thread.join()
    assert all(found) == nagle


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
