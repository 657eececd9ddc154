"""System calls of a worker while it serves, as the kernel sees them: counted by strace.

A keep-alive request costs `epoll_wait`, one receive and one send; connections that are ready
together share the first, pipelined requests all three. Nothing else, no `epoll_ctl` above all.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import client_context, localhost
from tests.support.server import PATIENCE, ServerProcess

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
REPEATED = 50
RECEIVE = frozenset({"recvfrom", "recvmsg", "read", "readv"})
SEND = frozenset({"sendto", "sendmsg", "write", "writev"})
WAIT = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})
CALL = re.compile(
    r"(?:\d+ +)?(?:\d+\.\d+ +)?(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\w+)"
)

APP = """
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""


class Trace:
    """The calls of one thread in order, without waits that ended with nothing (once a second)."""

    def __init__(self, text: str) -> None:
        calls = [match for match in map(CALL.match, text.splitlines()) if match is not None]
        self.lines = [
            match[0] for match in calls if not (match["name"] in WAIT and match["result"] == "0")
        ]
        self.kinds = [kind(line.split("(")[0].split()[-1]) for line in self.lines]
        self.counts = Counter(self.kinds)


def kind(name: str) -> str:
    for label, names in (("wait", WAIT), ("receive", RECEIVE), ("send", SEND)):
        if name in names:
            return label
    return name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "traced.py").write_text(APP)
    with ServerProcess.start(["traced:app", "-b", "127.0.0.1:0"], folder) as running:
        running.get("/")
        yield running


@contextmanager
def traced(server: ServerProcess, out: Path) -> Iterator[None]:
    """Attach strace to the worker for the time of the block; its calls are in `out` afterwards."""
    assert STRACE is not None
    (worker,) = server.workers
    command = [STRACE, "-p", str(worker), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        try:
            line = strace.stderr.readline()
            if "attached" not in line:
                pytest.skip(f"strace may not attach here: {line.strip()}")
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(PATIENCE)


def ask(clients: list[socket.socket], request: bytes, answers: int = 1) -> None:
    """Send the request on every client, then read `answers` whole responses from each."""
    for client in clients:
        client.sendall(request)
    for client in clients:
        received = b""
        while received.count(b"\r\n\r\nhello") < answers:
            data = client.recv(65536)
            assert data, received
            received += data


@pytest.fixture
def clients(server: ServerProcess) -> Iterator[list[socket.socket]]:
    """Sixteen keep-alive connections, each of which has had an answer."""
    made = [server.connect() for _ in range(16)]
    try:
        for client in made:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ask([client], REQUEST)
        yield made
    finally:
        for client in made:
            client.close()


def record(
    server: ServerProcess, out: Path, clients: list[socket.socket], request: bytes, answers: int = 1
) -> Trace:
    with traced(server, out):
        # strace stops the worker to attach; a first exchange is the proof that it runs again.
        for _ in range(REPEATED):
            ask(clients, request, answers)
    return Trace(out.read_text())


@pytest.mark.parametrize("request_", [REQUEST, POST], ids=["get", "post"])
def test_three_calls_for_a_request(
    server: ServerProcess, clients: list[socket.socket], tmp_path: Path, request_: bytes
) -> None:
    trace = record(server, tmp_path / "trace", clients[:1], request_)
    kinds = trace.kinds[trace.kinds.index("receive") :]
    pattern = ["receive", "send", "wait"] * REPEATED
    # The client has its answer before the send returns: strace may let go without the last calls.
    assert kinds in (pattern, pattern[:-1], pattern[:-2]), "\n".join(trace.lines[:30])


def test_connections_that_are_ready_together_share_the_wait(
    server: ServerProcess, clients: list[socket.socket], tmp_path: Path
) -> None:
    trace = record(server, tmp_path / "trace", clients, REQUEST)
    requests = REPEATED * len(clients)
    assert set(trace.counts) <= {"wait", "receive", "send"}
    assert trace.counts["receive"] == requests
    assert trace.counts["send"] in (requests, requests - 1)  # as above
    assert trace.counts["wait"] <= requests + 1


def test_pipelined_requests_share_all_three(
    server: ServerProcess, clients: list[socket.socket], tmp_path: Path
) -> None:
    trace = record(server, tmp_path / "trace", clients[:1], REQUEST * 16, answers=16)
    kinds = trace.kinds[trace.kinds.index("receive") :]
    pattern = ["receive", "send", "wait"] * REPEATED
    assert kinds in (pattern, pattern[:-1], pattern[:-2]), "\n".join(trace.lines[:30])


def test_a_connection_that_closes_costs_no_more_than_it_must(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Where it has to be waited for: accept, epoll_ctl to watch and to forget, receive, send, shutdown, close."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    server.get("/")  # what the test before has closed is closed here, too
    with traced(server, tmp_path / "trace"):
        for _ in range(REPEATED):
            with server.connect() as client:
                ask([client], request)
                assert client.recv(1) == b""
    counts = Trace((tmp_path / "trace").read_text()).counts
    # The client sees the end before the worker's calls return: the last may be missed, those before be seen.
    assert REPEATED - 1 <= counts["close"] <= REPEATED + 1
    assert REPEATED - 1 <= counts["shutdown"] <= REPEATED + 1
    assert counts["accept4"] <= REPEATED + 1  # none finds the queue empty
    assert counts["receive"] <= 2 * REPEATED
    assert counts["send"] == REPEATED
    assert counts["epoll_ctl"] <= 2 * REPEATED
    assert counts["fcntl"] == counts["ioctl"] == counts["setsockopt"] == 0


def test_a_request_that_comes_with_its_connection_is_no_matter_of_epoll(
    server: ServerProcess, tmp_path: Path
) -> None:
    """accept, receive, send, shutdown and close, and a turn of the loop for each."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with traced(server, tmp_path / "trace"), ExitStack() as stack:
        server.get("/")  # the worker runs again
        with stopped(server):
            clients = [stack.enter_context(server.connect()) for _ in range(REPEATED)]
            for client in clients:
                client.sendall(request)
        for client in clients:
            ask([client], b"")
            assert client.recv(1) == b""
    kinds = Trace((tmp_path / "trace").read_text()).kinds
    each = ["accept4", "receive", "send", "shutdown", "close"]
    found = [kind for kind in kinds[kinds.index("close") + 1 :] if kind in {*each, "epoll_ctl"}]
    assert "epoll_ctl" not in found
    counts = Counter(found)
    assert counts["receive"] == counts["send"] == REPEATED
    assert counts["accept4"] <= REPEATED + 1


@contextmanager
def stopped(server: ServerProcess) -> Iterator[None]:
    """The worker does nothing for the time of the block."""
    (worker,) = server.workers
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def test_a_chunk_that_is_not_copied_leaves_by_one_call(tmp_path: Path) -> None:
    """Its size line, the block where it lies, and its end together; with the last one what ends the response."""
    made = APP.replace('[b"hello"]', '(b"x" * 20000 for _ in range(3))').replace(
        ', ("Content-Length", "5")', ""
    )
    (tmp_path / "traced.py").write_text(made)
    with (
        ServerProcess.start(["traced:app", "-b", "127.0.0.1:0"], tmp_path) as server,
        server.connect() as client,
        client.makefile("rb") as stream,
    ):

        def ask_once() -> None:
            client.sendall(REQUEST)
            while stream.readline() != b"0\r\n":
                pass
            assert stream.readline() == b"\r\n"

        ask_once()
        with traced(server, tmp_path / "trace"):
            for _ in range(REPEATED):
                ask_once()
    counts = Trace((tmp_path / "trace").read_text()).counts
    assert 4 * REPEATED - 1 <= counts["send"] <= 4 * REPEATED


def test_a_greenlet_for_each_request_takes_no_memory_from_the_system(tmp_path: Path) -> None:
    """CPython maps the memory of its first frames, unless some of those that ended is kept."""
    pytest.importorskip("gevent")
    (tmp_path / "traced.py").write_text(APP)
    words = ["traced:app", "-b", "127.0.0.1:0", "-k", "gevent"]
    with ServerProcess.start(words, tmp_path) as server:
        clients = [server.connect() for _ in range(4)]
        ask(clients, REQUEST)
        trace = record(server, tmp_path / "trace", clients, REQUEST)
        for client in clients:
            client.close()
    requests = REPEATED * len(clients)
    assert trace.counts["send"] >= requests - 1
    assert trace.counts["mmap"] + trace.counts["munmap"] < requests / 10


def test_the_reading_of_a_trace() -> None:
    text = (
        "epoll_wait(5, [{events=EPOLLIN, data={u32=9, u64=9}}], 256, 812) = 1\n"
        'recvfrom(9, "GET / HTTP/1.1\\r\\n"..., 65536, MSG_DONTWAIT, NULL, NULL) = 27\n'
        'sendto(9, "HTTP/1.1 200 OK\\r\\n"..., 120, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0) = 120\n'
        "epoll_wait(5, [], 256, 1000)            = 0\n"
        "recvfrom(9, 0x55, 65536, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN (Resource temporarily)\n"
        "strace: Process 12 detached\n"
        "epoll_wait(5,  <detached ...>\n"
    )
    assert Trace(text).kinds == ["wait", "receive", "send", "receive"]


def test_a_block_over_tls_leaves_by_one_call(tmp_path: Path) -> None:
    """Its head and all its records together, as far as the socket takes them."""
    block = APP.replace('"5"', '"65536"').replace('b"hello"', 'b"hello" + b"x" * 65531')
    (tmp_path / "traced.py").write_text(block)
    words = ["traced:app", "-b", "127.0.0.1:0", *localhost().options]
    with (
        ServerProcess.start(words, tmp_path) as server,
        client_context().wrap_socket(server.connect(), server_hostname="localhost") as client,
        traced(server, tmp_path / "trace"),
        client.makefile("rb") as stream,
    ):
        for _ in range(REPEATED):
            client.sendall(REQUEST)
            while stream.readline() != b"\r\n":
                pass
            assert stream.read(65536).startswith(b"hello")
    counts = Trace((tmp_path / "trace").read_text()).counts
    assert counts["receive"] >= REPEATED - 1
    assert counts["send"] < 1.5 * REPEATED


def test_the_end_of_tls_leaves_with_the_last_answer(tmp_path: Path) -> None:
    (tmp_path / "traced.py").write_text(APP)
    words = ["traced:app", "-b", "127.0.0.1:0", *localhost().options]
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    context = client_context()

    def converse() -> None:
        with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
            ask([client], request)
            assert client.recv(1) == b""

    with ServerProcess.start(words, tmp_path) as server:
        converse()
        with traced(server, tmp_path / "trace"):
            for _ in range(10):
                converse()
    kinds = Trace((tmp_path / "trace").read_text()).kinds
    assert kinds.count("shutdown") >= 9  # strace may let go without the last
    assert ("send", "send") not in set(itertools.pairwise(kinds))
