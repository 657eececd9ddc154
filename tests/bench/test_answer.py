from __future__ import annotations

import pytest

from bench.answer import MalformedAnswerError, take_answer

SIZED = b"HTTP/1.1 200 OK\r\nServer: a\r\ncontent-LENGTH: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\nB;note=1\r\n, the world\r\n0\r\n\r\n"
)
UNFRAMED = b"HTTP/1.0 200 OK\r\n\r\nhello"


@pytest.mark.parametrize(("raw", "body"), [(SIZED, b"hello"), (CHUNKED, b"hello, the world")])
def test_framed_answer_is_complete_exactly_at_its_end(raw: bytes, body: bytes) -> None:
    for cut in range(len(raw)):
        assert take_answer(raw[:cut]) is None
    answer = take_answer(raw + b"HTTP/1.1 200")
    assert answer is not None
    assert (answer.status, answer.body, answer.length) == (200, body, len(raw))
    assert not answer.closes


def test_unframed_answer_is_complete_at_the_end_of_the_connection() -> None:
    assert take_answer(UNFRAMED) is None
    answer = take_answer(UNFRAMED, ended=True)
    assert answer is not None
    assert (answer.body, answer.closes) == (b"hello", True)


def test_announced_close() -> None:
    answer = take_answer(SIZED.replace(b"Server: a", b"connection: Close"))
    assert answer is not None
    assert answer.closes


@pytest.mark.parametrize(
    "raw", [b"HTTP/2 200\r\n\r\n", CHUNKED.replace(b"5\r\n", b"five\r\n")], ids=["line", "chunk"]
)
def test_malformed_answer(raw: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        take_answer(raw)
