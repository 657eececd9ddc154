"""Servers to be measured: stand-ins in Python, and the limit; and runs of sub-commands."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bench.__main__ import make_parser
from bench.machine import Cores
from bench.programs import Programs
from bench.run import Run, new_record
from bench.running import Running, free_port
from bench.servers import find

Answering = Callable[..., int]
MakeRun = Callable[..., Run]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """`answering(*answers)` starts a server of one connection after another and returns its port.

    On each connection it sends the answers, one after each receive, and then closes.
    """
    with ExitStack() as stack:
        yield lambda *answers: start(stack, answers)


def start(stack: ExitStack, answers: tuple[bytes, ...]) -> int:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):  # the client may leave at any moment
                for answer in answers:
                    if not client.recv(65536):
                        break
                    client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    stack.callback(thread.join)
    stack.callback(listener.shutdown, socket.SHUT_RDWR)
    port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    chosen = Programs(
        python=Path(sys.executable),
        peers=tmp_path_factory.mktemp("peers") / "python",
        limit=tmp_path_factory.mktemp("limit") / "limit",
    )
    chosen.compile_limit()
    return chosen


@pytest.fixture
def make_run(programs: Programs, tmp_path: Path) -> MakeRun:
    """`make_run("compare", "--rounds", "1")`: what the sub-command measures with; no peers are installed."""

    def make(name: str, *words: str) -> Run:
        options = make_parser().parse_args([name, *words, "--json", str(tmp_path / "found.json")])
        return Run(options, new_record(name, options), programs, Cores.here())

    return make


@pytest.fixture
def limit(programs: Programs) -> Iterator[Running]:
    """limit.c, compiled and running."""
    port = free_port()
    command = programs.command(find("limit"), port)
    with Running("limit", command, port) as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    return free_port()
