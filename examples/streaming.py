"""A CSV table of any length that is never in memory whole: `fastwsgi streaming:app`.

The server asks the generator for the next block only when the client has taken what is there,
so `?rows=100000000` costs no more memory than `?rows=10`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

ROWS_PER_BLOCK = 500


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    wanted = parse_qs(environ.get("QUERY_STRING", "")).get("rows", ["1000"])[0]
    if not (wanted.isascii() and wanted.isdigit()):
        start_response("400 Bad Request", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"rows is a number, as in /?rows=1000\n"]
    start_response("200 OK", [("Content-Type", "text/csv; charset=utf-8")])
    return table(int(wanted))


def table(rows: int) -> Iterator[bytes]:
    """Yields the header line, then the rows in blocks of ROWS_PER_BLOCK."""
    yield b"number,square\n"
    for first in range(1, rows + 1, ROWS_PER_BLOCK):
        last = min(first + ROWS_PER_BLOCK - 1, rows)
        yield "".join(f"{n},{n * n}\n" for n in range(first, last + 1)).encode()
