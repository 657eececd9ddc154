"""The harness is a folder of scripts, not a package: its modules are imported from there."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from servers import Programs, Running, find, free_port

Answering = Callable[..., int]


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
def limit(programs: Programs) -> Iterator[Running]:
    """limit.c, compiled and running."""
    port = free_port()
    command = programs.command(find("limit"), port)
    with Running("limit", command, port) as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    return free_port()
