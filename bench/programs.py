"""What the placeholders of the table of servers stand for on this machine, and the versions found."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Server, ServerError

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
BUILT = ROOT / "build" / "bench"
"""Where the harness writes: what it compiles and what it records."""
PEERS = ROOT / ".venv-bench"
PATIENCE = 60.0  # seconds that an interpreter or a compiler may take


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
        """The versions of the server's distributions, "" where it has none.

        Raises ServerError when a peer's distribution, or a module or program it needs, is missing.
        """
        if server.program:
            return program_version(server.program)
        python, version = self.python, ""
        if server.packages:
            python = self.peers
            code = f"import importlib.metadata as m; print(*map(m.version, {server.packages!r}))"
            found = printed(python, code, "not installed: run `make bench-peers`").split()
            named = [" ".join(pair) for pair in zip(server.packages[1:], found[1:], strict=True)]
            version = " with ".join([found[0], *named])
        elif server.ours:  # which may run from its sources
            with suppress(importlib.metadata.PackageNotFoundError):
                version = importlib.metadata.version("fastwsgi")
        if server.module:
            printed(python, f"import {server.module}", f"not available: no {server.module}")
        return version

    def ready(self, server: Server) -> str:
        """Makes what the server needs; its version. Raises ServerError."""
        version = self.version(server)
        if server.name == "limit":
            self.compile_limit()
        if server.model == "tls":
            self.make_certificate()
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
            timeout=PATIENCE,
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
                timeout=PATIENCE,
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

    def command(
        self, server: Server, port: int, module: str = "apps", workers: int = 1
    ) -> list[str]:
        """The command line that serves `module`'s application at `port`."""
        values = {
            "python": self.python,
            "peers": self.peers,
            "bin": self.peers.parent,
            "limit": self.limit,
            "folder": self.limit.parent,
            "module": module,
            "port": port,
            "workers": workers,
            "certificate": self.certificate,
            "key": self.key,
        }
        return [word.format(**values) for word in server.argv]


def program_version(name: str) -> str:
    """The number that `name -v` prints. Raises ServerError where the program is missing."""
    program = shutil.which(name)
    if program is None:
        raise ServerError(f"{name} is not installed")
    done = subprocess.run(
        [program, "-v"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return last_line(done.stderr + done.stdout).rpartition("/")[2]


def printed(python: Path, code: str, complaint: str) -> str:
    """What the code prints. Raises ServerError(complaint) when it, or the interpreter, fails."""
    try:
        return subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        raise ServerError(complaint) from None


def last_line(text: str) -> str:
    """The last line of a program's complaint."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no message"


def default_programs(peers: Path | None = None) -> Programs:
    """fastwsgi by this interpreter, the peers from the environment `peers`."""
    return Programs(
        python=Path(sys.executable),
        peers=(peers or PEERS) / "bin" / "python",
        limit=BUILT / "limit",
    )
