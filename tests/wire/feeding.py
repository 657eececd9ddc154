"""The ways in which bytes arrive: whole, byte by byte, and split in two at every offset."""

from collections.abc import Iterator

EVERY_OFFSET = 2048  # inputs up to this many bytes are split at every offset
BYTE_BY_BYTE = 8192  # inputs up to this many bytes are fed one by one
LINES = 24  # of a longer input, so many line ends from either end are interesting
LIMITS = (256, 4094, 8190, 16384, 65536)


def interesting_offsets(data: bytes) -> list[int]:
    """Where a long input is cut: at its ends, around line ends, and around the default limits."""
    ends = [index for index in range(len(data)) if data[index] in b"\r\n"]
    near = {0, len(data) // 2, len(data), *LIMITS, *ends[:LINES], *ends[-LINES:]}
    return sorted({at + by for at in near for by in (-1, 0, 1, 2) if 0 < at + by < len(data)})


def cut(data: bytes, offsets: list[int]) -> list[bytes]:
    return [data[a:b] for a, b in zip([0, *offsets], [*offsets, len(data)], strict=True)]


def feeds(data: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yields each feed with its name."""
    yield "whole", [data]
    short = len(data) <= BYTE_BY_BYTE
    yield (
        "byte by byte",
        cut(data, list(range(1, len(data))) if short else interesting_offsets(data)),
    )
    whole_range = range(1, len(data)) if len(data) <= EVERY_OFFSET else interesting_offsets(data)
    for offset in whole_range:
        yield f"split at {offset}", [data[:offset], data[offset:]]
