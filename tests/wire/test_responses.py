"""The reader of responses itself: what it accepts, what it finds wrong, in any pieces."""

import pytest

from tests.support.responses import ResponseReader

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE
ONE = OK + b"Content-Length: 1\r\n\r\nx"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

GOOD: dict[str, tuple[bytes, tuple[str, ...], list[tuple[int, bytes]]]] = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", (), [(200, b"hello")]),
    "chunked": (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", (), [(200, b"hello")]),
    "close": (OK + b"Connection: close\r\n\r\nhello", (), [(200, b"hello")]),
    "HEAD": (OK + b"Content-Length: 5\r\n\r\n" + ONE, ("HEAD", "GET"), [(200, b""), (200, b"x")]),
    "204": (b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n" + ONE, (), [(204, b""), (200, b"x")]),
    "304": (
        b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"Content-Length: 9\r\n\r\n",
        (),
        [(304, b"")],
    ),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + ONE, (), [(100, b""), (200, b"x")]),
    "1.0": (b"HTTP/1.0 200 OK\r\n" + DATE + b"\r\nhello", (), [(200, b"hello")]),
    "no reason": (b"HTTP/1.1 200 \r\n" + DATE + b"Content-Length: 0\r\n\r\n", (), [(200, b"")]),
    "latin-1": (OK + b"X: caf\xe9\r\nContent-Length: 0\r\n\r\n", (), [(200, b"")]),
    "nothing": (b"", (), []),
}

BAD: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "bare LF": (b"HTTP/1.1 200 OK\n" + DATE + b"Content-Length: 0\r\n\r\n", ()),
    "only LF": (OK.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n", ()),
    "two lengths": (OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", ()),
    "length and coding": (
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (),
    ),
    "length with a sign": (OK + b"Content-Length: +0\r\n\r\n", ()),
    "204 with length": (b"HTTP/1.1 204 No Content\r\n" + DATE + b"Content-Length: 0\r\n\r\n", ()),
    "204 with coding": (
        b"HTTP/1.1 204 No Content\r\n" + DATE + b"Transfer-Encoding: chunked\r\n\r\n",
        (),
    ),
    "304 with coding": (
        b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"Transfer-Encoding: chunked\r\n\r\n",
        (),
    ),
    "100 with length": (b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n", ()),
    "HEAD with a body": (OK + b"Content-Length: 5\r\n\r\nhello", ("HEAD",)),
    "304 with a body": (
        b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"Content-Length: 5\r\n\r\nhello",
        (),
    ),
    "too long": (OK + b"Content-Length: 4\r\n\r\nhello\r\n", ()),
    "chunk extension": (CHUNKED + b"5;a\r\nhello\r\n0\r\n\r\n", ()),
    "leading zero": (CHUNKED + b"05\r\nhello\r\n0\r\n\r\n", ()),
    "space after the size": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", ()),
    "chunk too long": (CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", ()),
    "trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", ()),
    "no date": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ()),
    "two dates": (OK + DATE + b"Content-Length: 0\r\n\r\n", ()),
    "wrong weekday": (OK.replace(b"Sun", b"Mon") + b"Content-Length: 0\r\n\r\n", ()),
    "old date": (
        b"HTTP/1.1 200 OK\r\nDate: Sunday, 06-Nov-94 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
        (),
    ),
    "two servers": (OK + b"Server: a\r\nServer: b\r\nContent-Length: 0\r\n\r\n", ()),
    "space before the colon": (OK + b"X : y\r\nContent-Length: 0\r\n\r\n", ()),
    "folded": (OK + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n", ()),
    "version": (OK.replace(b"1.1", b"2.0") + b"Content-Length: 0\r\n\r\n", ()),
    "status": (OK.replace(b"200", b"20") + b"Content-Length: 0\r\n\r\n", ()),
    "control in a value": (OK + b"X: a\x01\r\nContent-Length: 0\r\n\r\n", ()),
    "garbage": (b"hello\r\n\r\n", ()),
}

CUT: dict[str, bytes] = {
    "length": OK + b"Content-Length: 6\r\n\r\nhello",
    "no byte": OK + b"Content-Length: 6\r\n\r\n",
    "chunk": CHUNKED + b"6\r\nhello",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "half a last chunk": CHUNKED + b"5\r\nhello\r\n0\r\n",
}


def read(data: bytes, methods: tuple[str, ...], step: int) -> ResponseReader:
    reader = ResponseReader(methods)
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    reader.feed_end("eof")
    return reader


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("name", GOOD)
def test_good_responses(name: str, step: int) -> None:
    data, methods, wanted = GOOD[name]
    reader = read(data, methods, step)
    assert reader.violations == []
    assert [(response.status, response.body) for response in reader.responses] == wanted
    assert all(response.complete for response in reader.responses)
    assert not reader.partial


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("name", BAD)
def test_bad_responses(name: str, step: int) -> None:
    assert read(*BAD[name], step).violations != []


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize("name", CUT)
def test_responses_cut_short(name: str, step: int) -> None:
    reader = read(CUT[name], (), step)
    assert [response.complete for response in reader.responses] == [False]
    assert reader.partial


def test_a_reset_completes_nothing() -> None:
    reader = ResponseReader()
    reader.feed(OK + b"\r\nhello")
    reader.feed_end("reset")
    assert [response.complete for response in reader.responses] == [False]
