"""A server in the background: its log is a FIFO, so its words can be waited for as those of a child."""

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.support.server import COMMAND, PATIENCE, Lines, environment, wait_gone


class BackgroundServer:
    """The server that `command` with -D leaves behind; `pid` is its master, `log` its error log.

    Ready when it listens; `code` is what the command itself ended with, `output` what it wrote.
    """

    def __init__(
        self,
        args: Iterable[str | os.PathLike[str]],
        folder: Path,
        *,
        command: Sequence[str] = COMMAND,
    ) -> None:
        fifo = folder / "error.fifo"
        os.mkfifo(fifo)
        # Open for both, so that neither side waits for the other; lines end when the server does.
        keep = os.open(fifo, os.O_RDWR)
        self.log = Lines(fifo.open("rb"))
        try:
            done = subprocess.run(
                [*command, *map(os.fspath, args), "-D", "--error-logfile", str(fifo)],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            line = self.log.wait_for(r"Listening at: \S+:(\d+) \((\d+)\)")
        finally:
            os.close(keep)
        self.code = done.returncode
        self.output = done.stdout + done.stderr
        self.port = int(line[1])
        self.pid = int(line[2])

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        """End it, and wait until the last process that writes to its log has gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                self.signal(number)
            with suppress(AssertionError):
                wait_gone(self.pid)
                break
        self.log.join()

    def __enter__(self) -> "BackgroundServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
