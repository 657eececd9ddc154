"""Bytes that end where memory ends: who reads one too many dies there.

`python -m tests.fuzz.guarded` reads inputs as the harnesses read them, control bytes first, from its
standard input (a JSON list of pairs, the target and the input in hexadecimal), and feeds each to the
extension whole, as every prefix by itself, and as growing prefixes. It prints what was read
differently. A line on standard error names the input that killed it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import sys
from collections.abc import Callable, Iterable, Iterator
from ctypes import byref
from typing import Any, Final

from tests.support.parser import (
    ChunkDecoder,
    Field,
    Limits,
    RequestHead,
    decode_chunks,
    parse_head,
    reset_chunks,
    reset_head,
)

CONTROLS: Final = 8  # as in harness/parser.h, LIMITS too
LIMITS: Final = ((4094, 8190, 100, 65536), (64, 64, 8, 256), (20, 30, 2, 96), (1, 1, 1, 1))
MORE, DONE, DATA = 0, 1, 2
EVERY_PREFIX: Final = 512  # of a longer input, the prefixes near its ends and one in STRIDE
STRIDE: Final = 61
PROT_NONE: Final = 0


class Page:
    """Memory that ends before a page nobody may touch."""

    def __init__(self, size: int) -> None:
        pages = -(-size // mmap.PAGESIZE) or 1
        self.size = pages * mmap.PAGESIZE
        self.memory = mmap.mmap(-1, self.size + mmap.PAGESIZE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        libc = ctypes.CDLL(None, use_errno=True)
        guard = ctypes.c_void_p(self.start + self.size)
        if libc.mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, data: bytes) -> int:
        """The address of the data, which end with the memory."""
        address = self.start + self.size - len(data)
        ctypes.memmove(address, data, len(data))
        return address


def prefixes(data: bytes) -> Iterator[bytes]:
    near = EVERY_PREFIX // 2
    for length in range(len(data) + 1):
        is_near = length < near or length > len(data) - near
        if len(data) <= EVERY_PREFIX or is_near or length % STRIDE == 0:
            yield data[:length]


class Head:
    """The state of one head."""

    def __init__(self, page: Page, limits: Limits) -> None:
        self.page, self.limits = page, limits
        self.fields = (Field * limits.fields)()
        self.head = RequestHead(fields=self.fields)
        self.restart()

    def restart(self) -> None:
        reset_head(byref(self.head))

    def feed(self, data: bytes) -> tuple[Any, ...]:
        """What is known once all of `data` is there."""
        verdict = parse_head(self.page.put(data), len(data), byref(self.limits), byref(self.head))
        if verdict < MORE:
            return (verdict,)
        count = self.head.field_count * ctypes.sizeof(Field)
        known = bytes(self.head)[: RequestHead.fields.offset]
        return (verdict, known, bytes(self.fields)[:count])


class Chunks:
    """The state of one chunked body, and what came of it."""

    def __init__(self, page: Page, limits: Limits) -> None:
        self.page, self.limits = page, limits
        self.decoder = ChunkDecoder()
        self.restart()

    def restart(self) -> None:
        reset_chunks(byref(self.decoder))
        self.verdict, self.taken, self.body = MORE, 0, b""

    def feed(self, data: bytes) -> tuple[Any, ...]:
        used, body, size = ctypes.c_size_t(), ctypes.c_void_p(), ctypes.c_size_t()
        while self.verdict == DATA or (self.verdict == MORE and self.taken < len(data)):
            rest = data[self.taken :]
            self.verdict = decode_chunks(
                byref(self.decoder), self.page.put(rest), len(rest), byref(self.limits),
                byref(used), byref(body), byref(size),
            )  # fmt: skip
            self.taken += used.value
            if self.verdict == DATA:
                self.body += ctypes.string_at(body.value or 0, size.value)
            elif self.verdict == MORE:
                break
        return (self.verdict, self.taken, self.body)


READERS: Final[dict[str, Callable[[Page, Limits], Head | Chunks]]] = {
    "head": Head,
    "chunks": Chunks,
}


def differing(target: str, given: bytes) -> str:
    """Where growing prefixes tell something else than the same prefix by itself; "" where nowhere."""
    controls, data = given[:CONTROLS].ljust(CONTROLS, b"\0"), given[CONTROLS:]
    limits = Limits(*LIMITS[controls[1] % len(LIMITS)], leniency=controls[0] & 31)
    page = Page(len(data))
    alone, growing = (READERS[target](page, limits) for _ in range(2))
    for prefix in prefixes(data):
        alone.restart()
        expected, found = alone.feed(prefix), growing.feed(prefix)
        if expected != found:
            return f"{target}: the first {len(prefix)} bytes of {data!r}: {found}, not {expected}"
        if found[0] not in (MORE, DATA):
            break
    alone.restart()
    whole = alone.feed(data)
    return "" if whole == found else f"{target}: {data!r} as a whole: {whole}, not {found}"


def check(inputs: Iterable[tuple[str, bytes]]) -> list[str]:
    """What is wrong with any of them."""
    wrong = []
    for target, given in inputs:
        print(target, given.hex(), file=sys.stderr)
        wrong.append(differing(target, given))
    return [complaint for complaint in wrong if complaint]


if __name__ == "__main__":
    faulthandler.enable()
    asked = json.load(sys.stdin)
    print("\n".join(check((target, bytes.fromhex(given)) for target, given in asked)))
