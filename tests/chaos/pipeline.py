"""A client that asks many things at once on a connection that it keeps, and compares every byte of the answers.

Each request carries a mark of its own in its target, in a field and in its body, and its answer says all of them again:

    with Pipeline(port, b"a") as client:
        client.send(20)         # all of 20 requests but the last few bytes
        wrong = client.finish() # the rest; how many answers were not those of their requests
"""

import random
import re
import socket
from types import TracebackType
from typing import Final, NamedTuple

from tests.support.server import PATIENCE

DATE: Final = re.compile(rb"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n")
DATE_BYTES: Final = 37
MARK_BYTES: Final = 12

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: fastwsgi\r\nContent-Type: text/plain\r\nMark: %(mark)b\r\n"
)
LENGTH: Final = b"Content-Length: %d\r\n\r\n"
FIELDS: Final = b" HTTP/1.1\r\nHost: test\r\nMark: %(mark)b\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
ALONE: Final = 2 * MARK_BYTES + 2  # bytes of an answer to a request without a body
WITH_BODY: Final = ALONE + MARK_BYTES


class Kind(NamedTuple):
    """One request and the answer to it, without its date; both with places for the mark."""

    sent: bytes
    answer: bytes


KINDS: Final = (
    Kind(
        b"GET /echo?%(mark)b" + FIELDS + b"\r\n",
        ANSWER + LENGTH % ALONE + b"%(mark)b %(mark)b ",
    ),
    Kind(
        b"POST /echo?%(mark)b" + FIELDS + LENGTH % MARK_BYTES + b"%(mark)b",
        ANSWER + LENGTH % WITH_BODY + b"%(mark)b %(mark)b %(mark)b",
    ),
    Kind(b"HEAD /echo?%(mark)b" + FIELDS + b"\r\n", ANSWER + LENGTH % ALONE),
    Kind(
        b"POST /pieces?%(mark)b"
        + FIELDS
        + CHUNKED
        + b"6\r\n%(half)b\r\n6\r\n%(rest)b\r\n0\r\n\r\n",
        ANSWER
        + CHUNKED
        + b"c\r\n%(mark)b\r\n1\r\n \r\nc\r\n%(mark)b\r\n1\r\n \r\nc\r\n%(mark)b\r\n0\r\n\r\n",
    ),
)


class Pipeline:
    """The client. Its name is one byte; its marks are its requests' numbers behind that."""

    def __init__(self, port: int, name: bytes) -> None:
        self._address = ("127.0.0.1", port)
        self._name = name
        self._chance = random.Random(name)
        self._asked = 0
        self._unsent = b""
        self._expected: list[bytes] = []
        self.connect()

    def connect(self) -> None:
        """Open a connection. Raises OSError."""
        self._socket = socket.create_connection(self._address, PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def send(self, count: int) -> None:
        """Ask so many things at once, but for the last bytes: the server is to hold parts of several clients'."""
        sent = []
        for _ in range(count):
            self._asked += 1
            mark = b"%b%0*d" % (self._name, MARK_BYTES - 1, self._asked)
            words = {b"mark": mark, b"half": mark[:6], b"rest": mark[6:]}
            kind = KINDS[self._asked % len(KINDS)]
            sent.append(kind.sent % words)
            self._expected.append(kind.answer % words)
        data = b"".join(sent)
        cut = self._chance.randrange(len(data))
        self._socket.sendall(data[:cut])
        self._unsent = data[cut:]

    def finish(self) -> int:
        """Send the rest and read all the answers; how many of them are not what they should be."""
        expected, self._expected = self._expected, []
        self._socket.sendall(self._unsent)
        received = self._read(sum(map(len, expected)) + DATE_BYTES * len(expected))
        undated, place, wrong = DATE.sub(b"", received), 0, 0
        for answer in expected:
            wrong += not undated.startswith(answer, place)
            place += len(answer)
        return wrong

    def _read(self, size: int) -> bytes:
        """So many bytes, or all until the end of the stream."""
        received = b""
        while len(received) < size and (data := self._socket.recv(1 << 18)):
            received += data
        return received

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
