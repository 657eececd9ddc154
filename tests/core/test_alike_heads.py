"""A head that is like the one before it is parsed to the same as by itself."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass, field

import pytest

from fastwsgi._parser import Verdict
from tests.support.parser import Field, Limits, RequestHead, follow_head, parse_head, reset_head

LIMITS = Limits(request_line=64, field=40, fields=5, head=200, leniency=31)
LINES = (
    "Host: h",
    "A: 1",
    "Aa: 1",
    "Long: " + "v" * 30,
    " folded",
    "B : 2",
    "X_Y: 3",
    "Proxy: p",
    "",
)
HEADS = [
    f"GET /{path} HTTP/1.1\r\nHost: h\r\n{first}\r\n{second}\r\n\r\n".encode()
    for path in ("", "longer")
    for first, second in itertools.product(LINES, LINES)
]


@dataclass
class Parser:
    """A RequestHead with its fields, and what was parsed last."""

    head: RequestHead = field(default_factory=RequestHead)
    data: bytes = b""

    def __post_init__(self) -> None:
        self.room = (Field * LIMITS.fields)()
        self.head.fields = self.room
        reset_head(self.head)

    def follow(self) -> None:
        follow_head(self.head, ctypes.cast(ctypes.c_char_p(self.data), ctypes.c_void_p))

    def parse(self, data: bytes) -> int:
        """All of it at once."""
        self.kept, self.data = self.data, data  # the bytes of both have to stay
        return int(parse_head(data, len(data), LIMITS, self.head))

    def meaning(self) -> list[object]:
        """Everything but how it was found."""
        names = [name for name, *_ in RequestHead._fields_]
        plain = names[: names.index("fields")]
        spans = [getattr(self.head, name) for name in plain]
        return [
            *(bytes(one) if isinstance(one, ctypes.Structure) else one for one in spans),
            *(bytes(one) for one in self.room[: self.head.field_count]),
        ]


def alone(data: bytes) -> tuple[int, list[object]]:
    parser = Parser()
    return parser.parse(data), parser.meaning()


@pytest.mark.parametrize("before", [head for head in HEADS if alone(head)[0] == Verdict.DONE])
def test_what_came_before_changes_nothing(before: bytes) -> None:
    for data in HEADS:
        parser = Parser()
        assert parser.parse(before) == Verdict.DONE
        parser.follow()
        verdict = parser.parse(data)
        assert (verdict, parser.meaning()) == alone(data) or verdict == alone(data)[0] < 0


def bits_of(before: bytes, data: bytes) -> int:
    parser = Parser()
    assert parser.parse(before) == Verdict.DONE
    parser.follow()
    assert parser.parse(data) == Verdict.DONE
    return int(parser.head.alike)


def request(*lines: bytes, path: bytes = b"") -> bytes:
    return b"GET /%s HTTP/1.1\r\n%s\r\n" % (path, b"".join(line + b"\r\n" for line in lines))


def test_lines_that_are_the_same_are_said() -> None:
    before = request(b"Host: h", b"A: 1", b"B: 2")
    assert bits_of(before, before) == 0b111
    assert bits_of(before, request(b"Host: h", b"A: 1", b"B: 2", path=b"p")) == 0b111
    assert bits_of(before, request(b"Host: h", b"A: 2", b"B: 2")) == 0b101
    assert bits_of(before, request(b"Host: h", b"B: 2", b"A: 1")) == 0b001
    assert bits_of(before, request(b"Host: h", b"A: 1", b"B: 2", b"C: 3")) == 0b111
    assert bits_of(before, request(b"Host: h", b"A: 1")) == 0b011


def test_a_line_that_goes_on_behind_its_end_is_another() -> None:
    before = request(b"Host: h", b"A: 1", b"B: 2")
    assert bits_of(before, request(b"Host: h", b"A: 1", b" more", b"B: 2")) == 0b101
    folded = request(b"Host: h", b"A: 1", b" more", b"B: 2")
    assert bits_of(folded, folded) == 0b101  # and one that did so is parsed again


def test_only_what_has_arrived_is_compared() -> None:
    before = request(b"Host: h", b"A: 1")
    for size in range(len(before)):
        parser = Parser()
        parser.parse(before)
        parser.follow()
        assert parser.parse(before[:size]) == Verdict.MORE
        assert parser.parse(before) == Verdict.DONE
        assert parser.meaning() == alone(before)[1]
