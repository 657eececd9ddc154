"""S12: an upload of gigabytes to an application that never reads it. It costs disk, not memory, and no trace stays.

Where the body has a limit, its client is told 413 and not listened to for long.
"""

import os
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer, free_bytes, read_answer, request
from tests.chaos.figures import CannotRun, Figure

TITLE: Final = "large uploads"

MEBIBYTE: Final = 1 << 20
BLOCK: Final = bytes(MEBIBYTE)
CHUNK: Final = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)
LIMIT: Final = MEBIBYTE
TAKEN: Final = 24  # MiB that buffers on both sides and the draining of a refused body may swallow


@dataclass(frozen=True)
class Size:
    """Bytes of the upload."""

    upload: int


SHORT: Final = Size(96 * MEBIBYTE)
LONG: Final = Size(10_000 * MEBIBYTE)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """The memory that an upload takes, and what is left of it."""
    if free_bytes(arena.folder) < 2 * size.upload:
        raise CannotRun(f"{2 * size.upload:,} bytes are wanted in {arena.folder}")
    spool = arena.folder / "spool"
    spool.mkdir()
    with arena.server("--tmp-upload-dir", str(spool)) as server:
        yield from spooled(arena, server, spool, size.upload)
    with arena.server("--limit-request-body", str(LIMIT)) as server:
        yield from refused(server, size.upload)


def spooled(arena: Arena, server: RunningServer, spool: Path, size: int) -> Iterator[Figure]:
    """An upload that is taken whole."""
    server.get("/hello")
    resident = server.worker.resident()
    server.worker.forget_peak()
    with server.connect(timeout=60) as client:
        client.sendall(request("/ignore", f"Content-Length: {size}", method="POST"))
        for sent in range(0, size, len(BLOCK)):
            client.sendall(BLOCK)
            if sent % (1000 * MEBIBYTE) == 0:
                arena.say(f"{sent // MEBIBYTE:,} MiB sent")
        status = read_answer(client, "POST").status
    grown = (server.worker.peak() - resident) / MEBIBYTE
    yield Figure(f"uploads of {size // MEBIBYTE:,} MiB not answered 200", status != 200, 0)
    yield Figure("resident memory more at its peak", grown, 32, "MiB")
    yield Figure("files left", len(os.listdir(spool)), 0)
    yield Figure("descriptors left", server.descriptors_left(), 0)


def refused(server: RunningServer, size: int) -> Iterator[Figure]:
    """Uploads above the limit, announced and not."""
    server.get("/hello")
    resident = server.worker.resident()
    server.worker.forget_peak()
    for name, field, block in (
        ("announced", f"Content-Length: {size}", BLOCK),
        ("chunked", "Transfer-Encoding: chunked", CHUNK),
    ):
        with server.connect() as client:
            client.sendall(request("/ignore", field, method="POST"))
            status, sent = push(client, block, size)
        yield Figure(f"{name} uploads above the limit not answered 413", status != 413, 0)
        yield Figure(f"{name} upload above the limit taken", sent / MEBIBYTE, TAKEN, "MiB")
    grown = (server.worker.peak() - resident) / MEBIBYTE
    yield Figure("resident memory more at the peak of both", grown, 32, "MiB")
    yield Figure("descriptors left after both", server.descriptors_left(), 0)


def push(client: socket.socket, block: bytes, size: int) -> tuple[int, int]:
    """Send up to `size` bytes, whatever is answered; the status of the answer and the bytes sent."""
    client.setblocking(False)
    status, sent, view = 0, 0, memoryview(b"")
    while sent < size:
        readable, writable, _ = select.select([] if status else [client], [client], [])
        try:
            if readable:
                client.setblocking(True)
                status = read_answer(client, "POST").status
                client.setblocking(False)
            elif writable:
                view = view or memoryview(block)
                taken = client.send(view)
                view, sent = view[taken:], sent + taken
        except ConnectionError:
            break
    return status, sent
