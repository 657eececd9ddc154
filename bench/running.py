"""A started server: its processes, what they have used, and their end whatever happens."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from bench.programs import FOLDER, last_line
from bench.servers import ServerError

SERVED = FOLDER / "served"
START = 15.0  # seconds a server may take until it accepts
STOP = 5.0  # seconds a server may take to leave after SIGTERM
POLL = 0.001  # seconds between two attempts to connect
# What a developer's environment may hold that changes a server's settings.
# Without bytecode every start would compile what it imports.
SCRUBBED = re.compile(
    r"(FASTWSGI|GUNICORN|GRANIAN|UVICORN|UWSGI)_\w+|WEB_CONCURRENCY|PORT|PYTHONDONTWRITEBYTECODE"
)
TICKS = os.sysconf("SC_CLK_TCK")

Processes = Iterator[tuple[int, list[str]]]


def all_processes() -> Processes:
    """Every process of the machine: its pid and the fields of its stat from the third on."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def kill_all(living: Callable[[], Processes]) -> None:
    """Kills what `living` finds until it finds nothing; gives up after STOP seconds."""
    deadline = time.monotonic() + STOP
    while (pids := [pid for pid, _ in living()]) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


@contextmanager
def no_orphans() -> Iterator[None]:
    """For a script's main: SIGTERM interrupts like Ctrl-C, and no child survives the block.

    An interrupt may come between the start of a process and the line that would remember it; so
    at the end the children of this process and their sessions are looked for, not remembered.
    """

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        kill_all(own_descendants)


def own_descendants() -> Processes:
    """The living children of this process, and whoever shares a session that they lead."""
    living = [(pid, fields) for pid, fields in all_processes() if fields[0] != "Z"]
    children = {pid for pid, fields in living if int(fields[1]) == os.getpid()}
    for pid, fields in living:
        if pid in children or int(fields[3]) in children:
            yield pid, fields


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not SCRUBBED.fullmatch(name)}


@contextmanager
def pinned(cpus: Sequence[int]) -> Iterator[None]:
    """Processes started inside run on these cores only; none named means no pinning."""
    before = os.sched_getaffinity(0)
    if cpus:
        os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Running:
    """A started server: a session of processes of its own. Ends with `stop` or the `with` block."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        cpus: Sequence[int] = (),
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        patience: float = START,
    ) -> None:
        """Returns when the server accepts connections on `port`. Raises ServerError.

        `environment` is added to this process's own, less what would change settings.
        """
        self.name, self.port = name, port
        require_unused(port)  # else whoever has it would be measured
        self.output = tempfile.TemporaryFile(prefix="bench-")  # noqa: SIM115 - closed by stop
        try:
            with pinned(cpus):
                self.process = subprocess.Popen(
                    command,
                    cwd=SERVED,
                    env={**clean_environment(), **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=self.output,
                    stderr=self.output,
                    start_new_session=True,
                )
        except OSError as error:
            self.output.close()
            raise ServerError(f"does not start: {error.strerror}") from error
        try:
            self.await_accept(patience)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def await_accept(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.check()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(POLL)
        raise ServerError(f"accepts nothing within {patience:.0f} s")

    def check(self) -> None:
        """Raises ServerError when the server has ended."""
        if self.process.poll() is not None:
            self.output.seek(0)
            message = last_line(self.output.read().decode(errors="replace"))
            raise ServerError(f"ended with {self.process.returncode}: {message}")

    def processes(self) -> Processes:
        """Every living process of the server: pid and the fields of its stat from the third on."""
        for pid, fields in all_processes():
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                yield pid, fields

    def spread(self, cpus: Sequence[int]) -> None:
        """Let all of the server's threads run on these CPUs."""
        for pid, _ in self.processes():
            with suppress(OSError):  # gone meanwhile
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), cpus)

    def cpu_seconds(self) -> float:
        """User and system time of all the server's processes, ended children included."""
        return sum(sum(map(int, fields[11:15])) for _, fields in self.processes()) / TICKS

    def workers(self) -> list[int]:
        """The pids of those that serve: all but a master, and but what Python's multiprocessing starts beside."""
        pids = [pid for pid, _ in self.processes()]
        below = [pid for pid in pids if pid != self.process.pid and not is_tracker(pid)]
        return below or pids

    def memory(self) -> int:
        """Private bytes of the workers."""
        return sum(private_bytes(pid) for pid in self.workers())

    def said(self) -> int:
        """Bytes of its standard output and error."""
        return os.fstat(self.output.fileno()).st_size

    def descriptors(self) -> int:
        """Open files of all the server's processes."""
        count = 0
        for pid, _ in self.processes():
            with suppress(OSError):
                count += len(os.listdir(f"/proc/{pid}/fd"))
        return count

    def stop(self) -> None:
        """Ends every process of the server; those that ignore SIGTERM are killed."""
        try:
            self.process.terminate()
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
        finally:
            kill_all(self.processes)
            self.process.wait()
            self.output.close()


def require_unused(port: int) -> None:
    """Raises ServerError where another process has the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ServerError(f"port {port} is in use by another process") from None


def private_bytes(pid: int) -> int:
    """What is the process's own: the pages that nobody shares. 0 where it has ended."""
    total = 0
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


def is_tracker(pid: int) -> bool:
    with suppress(OSError):
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
