"""What an idle keep-alive connection costs a worker, in bytes of its heap: counted, not estimated by pages.

Under PYTHONMALLOC=malloc every byte that CPython and the compiled core hold comes from malloc, whose own
count glibc tells. An application that reports it stands in the worker.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.server import ServerProcess

CONNECTIONS = 500
MOST = 450  # bytes for each of them; 396 with CPython 3.11
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: session=0123456789abcdef\r\n\r\n"
BODY = b"\r\n\r\nhello"

# mallinfo2 returns ten size_t; `uordblks`, the bytes in use, is the eighth, `hblkhd`, those mapped, the fifth.
APP = """
import ctypes, gc

class Info(ctypes.Structure):
    _fields_ = [(f"field{n}", ctypes.c_size_t) for n in range(10)]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Info

def app(environ, start_response):
    if environ["PATH_INFO"] != "/heap":
        answer = b"hello"
    else:
        gc.collect()
        info = mallinfo2()
        answer = str(info.field7 + info.field4).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="no mallinfo2 (glibc 2.33)"
)


@pytest.fixture(params=[(), ("--threads", "2")], ids=["inline", "threads"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    (tmp_path / "heap.py").write_text(APP)
    args = ["heap:app", "-b", "127.0.0.1:0", "--worker-connections", "5000", *request.param]
    args += ["--keep-alive", "600"]
    counted = {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"}
    with ServerProcess.start(args, tmp_path, counted) as running:
        yield running


def open_and_keep(server: ServerProcess, number: int, stack: ExitStack) -> None:
    """Connections that had one answer each."""
    for _ in range(number):
        client = stack.enter_context(server.connect())
        client.sendall(REQUEST)
        received = b""
        while not received.endswith(BODY):
            data = client.recv(65536)
            assert data, received
            received += data


def heap(server: ServerProcess) -> int:
    """Bytes in use."""
    return int(server.get("/heap")[1])


def test_an_idle_connection_costs_no_more_than_it_should(server: ServerProcess) -> None:
    with ExitStack() as stack:
        open_and_keep(server, 100, stack)  # tables grow, caches fill
        heap(server)
        before = heap(server)
        open_and_keep(server, CONNECTIONS, stack)
        each = (heap(server) - before) / CONNECTIONS
    assert 100 < each <= MOST, f"{each:,.0f} bytes for each idle connection, at most {MOST:,}"
