"""The measured servers: one row each, and what it takes to run one.

Every server runs the same application, alone on its core, with one worker, its access log off and
keep-alive on where it has it. They are started in this folder, so `apps:app` is importable.
Servers are compared with those of the same execution model.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

FOLDER = Path(__file__).parent
START = 15.0  # seconds a server may take until it accepts
STOP = 5.0  # seconds a server may take to leave after SIGTERM
THREADS = 8  # that run the application, in the model of that name
# What a developer's environment may hold that changes a server's settings.
SCRUBBED = re.compile(r"(FASTWSGI|GUNICORN|GRANIAN)_\w+|WEB_CONCURRENCY|PORT")
TICKS = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """The server cannot be measured; the message says why."""


@dataclass(frozen=True)
class Server:
    """A row of the table. `argv` may name {python}, {peers}, {bin}, {limit}, {port}, {certificate}, {key}."""

    name: str
    argv: tuple[str, ...]
    package: str = ""
    """The distribution that has to be installed, and whose version is recorded."""
    peer: bool = False
    model: str = "inline"
    """What runs the application: the event loop's own thread, a pool of threads, greenlets; or tls:
    whatever runs it, that is what is spoken."""
    module: str = ""
    """What its interpreter has to be able to import, where a part of the server may be missing."""


FASTWSGI = (
    *("{python}", "-m", "fastwsgi", "apps:app", "-b", "127.0.0.1:{port}"),
    *("--workers", "1", "--keep-alive", "65", "--worker-connections", "20000"),
)
GUNICORN = (
    *("{peers}", "-m", "gunicorn", "apps:app", "-b", "127.0.0.1:{port}"),
    *("--workers", "1", "--keep-alive", "65", "--worker-connections", "20000"),
    "--no-control-socket",
)
GRANIAN = (
    *("{peers}", "-m", "granian", "apps:app", "--interface", "wsgi", "--http", "1"),
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
    *("--backpressure", "20000", "--no-access-log", "--no-ws", "--http1-pipeline-flush"),
)
TLS = ("--certfile", "{certificate}", "--keyfile", "{key}")
BJOERN = "import bjoern; from apps import app; bjoern.run(app, '127.0.0.1', {port})"
CHEROOT = (
    "from cheroot.wsgi import Server; from apps import app; "
    "Server(('127.0.0.1', {port}), app, numthreads=1, max=1, timeout=65).safe_start()"
)
UWSGI = (
    *("{bin}/uwsgi", "--http11-socket", "127.0.0.1:{port}", "--virtualenv", "{bin}/.."),
    *("--module", "apps:app", "--need-app", "--master", "--processes", "1"),
    *("--die-on-term", "--disable-logging", "--http-auto-chunked"),
)
FASTPYSGI = "import fastpysgi; from apps import app; fastpysgi.run(app, '127.0.0.1', {port})"

TABLE = (
    Server("limit", ("{limit}", "{port}")),
    Server("fastwsgi", FASTWSGI),
    Server("bjoern", ("{peers}", "-c", BJOERN), package="bjoern", peer=True),
    Server("fastpysgi", ("{peers}", "-c", FASTPYSGI), package="fastpysgi", peer=True),
    Server("granian", (*GRANIAN, "--blocking-threads", "1"), package="granian", peer=True),
    Server("cheroot", ("{peers}", "-c", CHEROOT), package="cheroot", peer=True),
    Server("uwsgi", UWSGI, package="uWSGI", peer=True),
    Server(
        "waitress",
        (
            *("{peers}", "-m", "waitress", "--listen", "127.0.0.1:{port}"),
            *("--connection-limit", "1000", "apps:app"),
        ),
        package="waitress",
        peer=True,
    ),
    Server(
        "gunicorn-gthread",
        (*GUNICORN, "-k", "gthread", "--threads", "1"),
        package="gunicorn",
        peer=True,
    ),
    Server("gunicorn-sync", (*GUNICORN, "-k", "sync"), package="gunicorn", peer=True),
    Server("fastwsgi-threads", (*FASTWSGI, "--threads", f"{THREADS}"), model="threads"),
    Server(
        "granian-threads",
        (*GRANIAN, "--blocking-threads", f"{THREADS}"),
        package="granian",
        peer=True,
        model="threads",
    ),
    Server(
        "gunicorn-threads",
        (*GUNICORN, "-k", "gthread", "--threads", f"{THREADS}"),
        package="gunicorn",
        peer=True,
        model="threads",
    ),
    Server(
        "fastwsgi-gevent",
        (*FASTWSGI, "-k", "gevent"),
        model="gevent",
        module="fastwsgi.execution.gevent",
    ),
    Server(
        "gunicorn-gevent",
        (*GUNICORN, "-k", "gevent"),
        package="gunicorn",
        peer=True,
        model="gevent",
        module="gevent",
    ),
    Server("fastwsgi-tls", (*FASTWSGI, *TLS), model="tls"),
    Server("fastwsgi-threads-tls", (*FASTWSGI, "--threads", f"{THREADS}", *TLS), model="tls"),
    Server(
        "granian-tls",
        (
            *(*GRANIAN, "--blocking-threads", "1"),
            *("--ssl-certificate", "{certificate}", "--ssl-keyfile", "{key}"),
        ),
        package="granian",
        peer=True,
        model="tls",
    ),
    Server(
        "gunicorn-threads-tls",
        (*GUNICORN, "-k", "gthread", "--threads", f"{THREADS}", *TLS),
        package="gunicorn",
        peer=True,
        model="tls",
    ),
)
NAMES = tuple(server.name for server in TABLE)


def find(name: str) -> Server:
    """The row of that name. KeyError when there is none."""
    return {server.name: server for server in TABLE}[name]


@dataclass(frozen=True)
class Programs:
    """What the table's placeholders stand for on this machine."""

    python: Path
    """Runs fastwsgi."""
    peers: Path
    """Runs the peers, from their environment."""
    limit: Path
    """limit.c, compiled here. Beside it stand the certificate and the key of the TLS servers."""

    def version(self, server: Server) -> str:
        """The version of the server's distribution, "" where it has none.

        Raises ServerError when a peer's distribution, or a module the server needs, is missing.
        """
        python, version = self.python, ""
        if server.package:
            python = self.peers
            code = f"import importlib.metadata as m; print(m.version({server.package!r}))"
            version = printed(python, code, "not installed: run `make bench-peers`").strip()
        elif server.name.startswith("fastwsgi"):  # which may run from its sources
            with suppress(importlib.metadata.PackageNotFoundError):
                version = importlib.metadata.version("fastwsgi")
        if server.module:
            printed(python, f"import {server.module}", f"not available: no {server.module}")
        return version

    def compile_limit(self) -> None:
        """Raises ServerError without a C compiler or when it complains."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise ServerError("not built: no C compiler")
        self.limit.parent.mkdir(parents=True, exist_ok=True)
        source = FOLDER / "limit.c"
        done = subprocess.run(
            [compiler, "-O2", "-Wall", "-Wextra", "-o", self.limit, source],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"not built: {last_line(done.stderr)}")

    def make_certificate(self) -> None:
        """Raises ServerError without openssl or when it complains."""
        subject = ("-subj", "/CN=127.0.0.1", "-days", "365", "-nodes")
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        files = ("-out", self.certificate, "-keyout", self.key)
        self.certificate.parent.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ("openssl", "req", "-x509", *kind, *subject, *files),
                capture_output=True,
                timeout=60,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            raise ServerError("no certificate: openssl is missing, or failed") from None

    @property
    def certificate(self) -> Path:
        return self.limit.with_name("certificate.pem")

    @property
    def key(self) -> Path:
        return self.limit.with_name("key.pem")

    def command(self, server: Server, port: int) -> list[str]:
        values = {
            "python": self.python,
            "peers": self.peers,
            "bin": self.peers.parent,
            "limit": self.limit,
            "port": port,
            "certificate": self.certificate,
            "key": self.key,
        }
        return [word.format(**values) for word in server.argv]


def printed(python: Path, code: str, complaint: str) -> str:
    """What the code prints. Raises ServerError(complaint) when it, or the interpreter, fails."""
    try:
        return subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=START, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        raise ServerError(complaint) from None


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no message"


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
        self.output = tempfile.TemporaryFile(prefix="bench-")  # noqa: SIM115 - closed by stop
        try:
            with pinned(cpus):
                self.process = subprocess.Popen(
                    command,
                    cwd=FOLDER,
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
            time.sleep(0.02)
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

    def cpu_seconds(self) -> float:
        """User and system time of all the server's processes, ended children included."""
        return sum(sum(map(int, fields[11:15])) for _, fields in self.processes()) / TICKS

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


def default_programs() -> Programs:
    root = FOLDER.parent
    return Programs(
        python=Path(sys.executable),
        peers=root / ".venv-bench" / "bin" / "python",
        limit=root / "build" / "bench" / "limit",
    )
