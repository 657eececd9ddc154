"""A server process under test: started, awaited by its own words, signalled, and always ended.

Readiness is the line "Listening at" on standard error, so nothing here sleeps or polls: a thread
per stream reads lines and wakes whoever waits for one. The process leads a group of its own, and
`close` kills that group, so no worker outlives its test.

    with ServerProcess.start(["app:app", "-b", "127.0.0.1:0"], cwd=tmp_path) as server:
        status, body = server.get("/")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
"""

import fcntl
import http.client
import importlib.util
import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

COMMAND = (sys.executable, "-m", "fastwsgi")
PATIENCE = 15.0  # seconds a test waits for an event before it fails

# What a developer's or a build machine's environment may hold that changes the server's settings.
SCRUBBED = re.compile(r"PORT|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS|SENDFILE|(GUNICORN|FASTWSGI)_\w+")

BOOTED = r"Booting worker with pid: (\d+)"


class Lines:
    """The lines of one stream, read by a thread of their own; waiting ends at a match or at EOF."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.ended = False
        self._stream = stream
        self._lines: list[str] = []
        self._received = 0  # bytes
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        ready = select.poll()
        ready.register(self._stream, select.POLLIN)
        begun = b""
        while not self.ended:
            ready.poll()
            with self._changed:  # what is not in the pipe any more is in the lines
                data = os.read(self._stream.fileno(), 1 << 16)
                *lines, begun = (begun + data).split(b"\n")
                if not data:
                    self.ended = True
                    self._stream.close()
                    lines = [begun] if begun else []
                self._received += len(data)
                self._lines += [
                    line.decode("utf-8", "backslashreplace").rstrip("\r") for line in lines
                ]
                self._changed.notify_all()

    @property
    def lines(self) -> list[str]:
        """All that have been written by now."""
        with self._changed:
            if not self.ended:
                unread = array("i", [0])
                fcntl.ioctl(self._stream, termios.FIONREAD, unread)
                written = self._received + unread[0]
                self._changed.wait_for(lambda: self.ended or self._received >= written, PATIENCE)
            return list(self._lines)

    def wait_for(self, pattern: str, timeout: float = PATIENCE, *, count: int = 1) -> re.Match[str]:
        """Wait for the `count`-th match of `pattern`, return it; AssertionError at EOF or late."""
        search = re.compile(pattern).search
        deadline = time.monotonic() + timeout
        matches: list[re.Match[str]] = []
        seen = 0
        with self._changed:
            while True:
                matches += filter(None, map(search, self._lines[seen:]))
                seen = len(self._lines)
                if len(matches) >= count:
                    return matches[count - 1]
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "the stream ended" if self.ended else f"{timeout} s passed"
                    raise AssertionError(
                        f"{why} before match {count} of {pattern!r}; lines:\n{self.text()}"
                    )
                self._changed.wait(left)

    def __iter__(self) -> Iterator[str]:
        """`lines`."""
        return iter(self.lines)

    def count(self, pattern: str) -> int:
        return sum(1 for line in self.lines if re.search(pattern, line))

    def text(self) -> str:
        return "\n".join(self.lines)

    def join(self, timeout: float = PATIENCE) -> None:
        """Wait for EOF: every process that held the stream has gone."""
        self._thread.join(timeout)
        assert self.ended, f"a process still holds the stream; lines:\n{self.text()}"


class ServerProcess:
    """One running server.

    `log` is its standard error and `out` its standard output (`Lines`). After `ready` the addresses
    it printed are known: `addresses`, and of the first TCP one `host`, `port` and `url`.
    """

    def __init__(
        self,
        args: Iterable[str | os.PathLike[str]] = (),
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = COMMAND,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.args = [*command, *(os.fspath(arg) for arg in args)]
        self.process = subprocess.Popen(
            self.args,
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout)
        self.log = Lines(self.process.stderr)
        self.addresses: list[str] = []
        self.host = ""
        self.port = 0

    @classmethod
    def start(
        cls,
        args: Iterable[str | os.PathLike[str]] = (),
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = COMMAND,
        pass_fds: Sequence[int] = (),
    ) -> "ServerProcess":
        """Start a server, return it when it listens; AssertionError with its log if it does not."""
        server = cls(args, cwd, env, command=command, pass_fds=pass_fds)
        try:
            return server.ready()
        except BaseException:
            server.close()
            raise

    def ready(self, timeout: float = PATIENCE) -> "ServerProcess":
        """Wait until it listens. Under a wrapper (strace) `pid` becomes the server's own."""
        line = self.wait_for(r"Listening at: (\S+) \((\d+)\)", timeout)
        self.addresses = line[1].split(",")
        self.pid = int(line[2])
        for address in self.addresses:
            if tcp := re.fullmatch(r"https?://(.+):(\d+)", address):
                self.host = tcp[1].strip("[]")
                self.port = int(tcp[2])
                break
        return self

    @property
    def url(self) -> str:
        return next(address for address in self.addresses if "://" in address)

    @property
    def workers(self) -> list[int]:
        """Pids of all the workers it said it booted, in order, dead ones included."""
        return [int(m[1]) for line in self.log.lines if (m := re.search(BOOTED, line))]

    def worker(self, place: int) -> int:
        """The pid of one of the workers, from 0 in the order they booted; waits for it to be logged."""
        return int(self.wait_for(BOOTED, count=place + 1)[1])

    def wait_for(self, pattern: str, timeout: float = PATIENCE, *, count: int = 1) -> re.Match[str]:
        """The `count`-th line of the log that matches."""
        return self.log.wait_for(pattern, timeout, count=count)

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        """A connected client socket to the first address."""
        if self.port:
            return socket.create_connection((self.host, self.port), timeout)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(timeout)
        try:
            client.connect(self.addresses[0].removeprefix("unix:"))
        except OSError:
            client.close()
            raise
        return client

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """One GET on a connection of its own: status and body. TCP only."""
        client = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            client.request("GET", path, headers={"Connection": "close", **(headers or {})})
            response = client.getresponse()
            return response.status, response.read()
        finally:
            client.close()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end and that of all it started; the exit code (negative: a signal's)."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.log.text()}") from None
        self.log.join()
        self.out.join()
        return code

    def close(self) -> None:
        """Kill it and what it started. Any number of calls."""
        with suppress(ProcessLookupError):  # the whole group has gone already
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.join()
        self.out.join()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def status(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) after the name: state, parent, group, session, terminal ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def wait_gone(pid: int) -> None:
    """Wait for the end of a process that is nobody's child here."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], PATIENCE)[0], f"the process {pid} is still there"
    finally:
        os.close(fd)


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a server under test: without settings, with this very fastwsgi."""
    env = {name: value for name, value in os.environ.items() if not SCRUBBED.fullmatch(name)}
    spec = importlib.util.find_spec("fastwsgi")
    assert spec is not None
    assert spec.origin is not None
    home = str(Path(spec.origin).parents[1])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [home, env.get("PYTHONPATH")]))
    env.update(changes or {})
    return env


def foreign_environment() -> dict[str, str]:
    """The environment of a program that is not ours: what is preloaded for the server is not for it."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
