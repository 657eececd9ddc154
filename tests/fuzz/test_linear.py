"""The parser's work grows with its input and not faster, counted in edges between blocks of code.

Each input is made for what a careless parser would look at again and again; twice the size may take
twice the work. Nothing here depends on the speed of the machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from fastwsgi._parser import Verdict
from tests.fuzz.native import GENERATED, HARNESSES

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
    pytest.mark.skipif(not GENERATED.exists(), reason="fastwsgi was not built here"),
]

START = b"GET / HTTP/1.1\r\nHost: a\r\n"
WHOLE = 1 << 30
TOLERANCE = 1.05  # of what twice the size takes, over twice the work

Work = Callable[[str, bytes, int], tuple[int, int]]


def one_value(size: int) -> bytes:
    return START + b"X: " + b" a" * (size // 2) + b"\r\n\r\n"


def blanks(size: int) -> bytes:
    return START + b"X:" + b" " * size + b"\r\n\r\n"


def options(size: int) -> bytes:
    return START + b"Connection: " + b"," * size + b"\r\n\r\n"


def codings(size: int) -> bytes:
    return START + b"Transfer-Encoding: " + b"a," * (size // 2) + b"chunked\r\n\r\n"


def fields(size: int) -> bytes:
    return START + b"X:\r\n" * (size // 4) + b"\r\n"


def target(size: int) -> bytes:
    return b"GET /" + b"?" * size + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def authority(size: int) -> bytes:
    host = b"%41" * (size // 6)
    return b"GET http://" + host + b"/ HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def small_chunks(size: int) -> bytes:
    return b"1\r\na\r\n" * (size // 6) + b"0\r\n\r\n"


def extensions(size: int) -> bytes:
    return b"1;a=b;c\r\na\r\n" * (size // 12) + b"0\r\n\r\n"


def trailers(size: int) -> bytes:
    return b"0\r\n" + b"X:\r\n" * (size // 4) + b"\r\n"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """`work(kind, data, piece)`: the verdict, and the edges taken."""
    folder = tmp_path_factory.mktemp("work")
    program, file = folder / "work", folder / "input"
    command = [
        *("gcc", "-O1", "-fsanitize-coverage=trace-pc", f'-DGENERATED="{GENERATED}"'),
        *("-isystem", sysconfig.get_paths()["include"], str(HARNESSES / "work.c")),
        *("-o", str(program), "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    ]
    subprocess.run(command, check=True)

    def counted(kind: str, data: bytes, piece: int) -> tuple[int, int]:
        Path(file).write_bytes(data)
        words = [program, kind, file, str(piece)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        verdict, edges = map(int, done.stdout.split())
        return verdict, edges

    return counted


@pytest.mark.parametrize(
    "make",
    [one_value, blanks, options, codings, fields, target, authority],
    ids=lambda f: f.__name__,
)
def test_a_head_of_64_kib(work: Work, make: Callable[[int], bytes]) -> None:
    (verdict, half), (same, whole) = (work("head", make(n), WHOLE) for n in (32_000, 64_000))
    assert verdict == same
    assert verdict in (Verdict.DONE, Verdict.UNKNOWN_TRANSFER_ENCODING)
    assert half > 32_000 / 16
    assert whole <= 2 * half * TOLERANCE


def test_lines_that_arrive_byte_by_byte(work: Work) -> None:
    """A line costs a second look with each piece of it, but no line before it does."""
    (_, half), (verdict, whole) = (work("head", fields(n), 1) for n in (32_000, 64_000))
    assert verdict == Verdict.DONE
    assert whole <= 2 * half * TOLERANCE


def test_more_than_that_is_noticed(work: Work) -> None:
    """One line that arrives byte by byte is what the parser looks at again; limits bound it."""
    (_, half), (_, whole) = (work("head", one_value(n), 1) for n in (4_000, 8_000))
    assert whole > 3 * half


MILLION = 6_000_000  # bytes of so many chunks of one byte


@pytest.mark.parametrize(
    ("make", "size", "piece"),
    [
        (small_chunks, MILLION, WHOLE),
        (small_chunks, 60_000, 1),
        (extensions, 24_000, WHOLE),
        (extensions, 24_000, 1),
        (trailers, 64_000, WHOLE),
        (trailers, 64_000, 1),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_chunks(work: Work, make: Callable[[int], bytes], size: int, piece: int) -> None:
    (_, half), (verdict, whole) = (work("chunks", make(n), piece) for n in (size // 2, size))
    assert verdict == Verdict.DONE
    assert half > size // 2
    assert whole <= 2 * half * TOLERANCE
