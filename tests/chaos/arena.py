"""Where a scenario takes place: a running server and the means to speak to it."""

import contextlib
import json
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tests.chaos.figures import CannotRun
from tests.chaos.watched import Watched
from tests.package.checkout import ROOT
from tests.support.responses import Response, read_responses
from tests.support.server import COMMAND, PATIENCE, ServerProcess

# No limit of the server's own stands in the way of what a scenario measures.
OPTIONS: Final = (
    *("--bind", "127.0.0.1:0"),
    *("--worker-connections", "20000", "--keepalive-requests", "0"),
)
APPLICATION: Final = "tests.chaos.application:app"
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds
SPARE_DESCRIPTORS: Final = 200  # besides those of the clients


@dataclass(frozen=True)
class Arena:
    """What one run of a scenario is given."""

    model: tuple[str, ...]
    """The command line options of the execution model."""
    folder: Path
    """An empty folder of its own."""
    temporary: Path
    """Where its processes put temporary files: none may be left there."""
    say: Callable[[str], object]
    """Takes a line about the progress."""

    @contextlib.contextmanager
    def process(
        self,
        *options: str,
        app: str = APPLICATION,
        workers: int = 1,
        env: Mapping[str, str] = MappingProxyType({}),
        wrapper: Sequence[str] = (),
    ) -> Iterator[ServerProcess]:
        """A server that is ready, with these options more.

        `wrapper` is a command that executes the rest of its line, `env` variables more.
        """
        process = ServerProcess.start(
            [app, *OPTIONS, *self.model, "--workers", str(workers), *options],
            cwd=ROOT,
            env={
                "CHAOS_FOLDER": str(self.folder),
                "TMPDIR": str(self.temporary),
                "PYTHONDONTWRITEBYTECODE": "1",
                **env,
            },
            command=(*wrapper, *COMMAND),
        )
        with process:
            process.wait_for(f"Ready: {workers} workers")
            yield process

    @contextlib.contextmanager
    def server(self, *options: str, **words: Any) -> Iterator["RunningServer"]:
        """The same, whose processes are seen from here as from there."""
        with self.process(*options, **words) as process:
            yield RunningServer(process)


class RunningServer:
    """A server that serves, its one worker, and clients of it."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.port = process.port
        self.worker = Watched(process.worker(0))
        self._descriptors = self.worker.descriptors()

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        """A connected client."""
        return self.process.connect(timeout)

    def get(self, path: str) -> Response:
        """The answer to one GET on a connection of its own; AssertionError where it is malformed."""
        with self.connect() as client:
            client.sendall(request(path, "Connection: close"))
            return read_answer(client)

    def counts(self) -> dict[str, Any]:
        """What the application has counted."""
        found: dict[str, Any] = json.loads(self.get("/counts").body)
        return found

    def await_(self, condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Have the server answer until the condition holds; whether it does in `patience` seconds."""
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                return False
            self.get("/hello")
        return True

    def descriptors_left(self) -> int:
        """How many the worker holds more than before the first client, once it has closed the others."""
        self.await_(lambda: self.worker.descriptors() <= self._descriptors)
        return self.worker.descriptors() - self._descriptors

    def errors(self) -> int:
        """Lines of its log that tell of an error."""
        return self.process.log.count(r"\[(ERROR|CRITICAL)\]|Traceback")


def request(path: str, *fields: str, method: str = "GET") -> bytes:
    """A request head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *fields, "", ""]).encode()


def read_answer(client: socket.socket, method: str = "GET") -> Response:
    """Read one whole response, strictly; AssertionError where it is malformed or does not come."""
    received = b""
    while True:
        reader = read_responses(received, (method,), None)
        assert not reader.violations, reader.violations
        finals = [answer for answer in reader.responses if answer.status >= 200]
        if finals and finals[0].complete:
            return finals[0]
        data = client.recv(65536)
        assert data, f"the connection ended after {received[:200]!r}"
        received += data


def read_until(client: socket.socket, wanted: bytes) -> bytes:
    """Receive until `wanted` has come; AssertionError at the end of the stream before it."""
    received = b""
    while wanted not in received:
        data = client.recv(65536)
        assert data, f"the connection ended after {received[:200]!r}"
        received += data
    return received


def reset(client: socket.socket) -> None:
    """Close with a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    client.close()


@contextlib.contextmanager
def descriptors_for(clients: int) -> Iterator[None]:
    """Allow so many sockets in this process and in servers it starts. Raises CannotRun."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, clients + SPARE_DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError) as error:
        raise CannotRun(f"{wanted} descriptors are wanted, and {hard} allowed") from error
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(wanted, hard)))


def free_bytes(folder: Path) -> int:
    """What the file system of a folder has room for."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
