"""A pytest plugin: a server under test ends by TERM, as only then its coverage is written."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress

from tests.support.server import ServerProcess

PATIENCE = 10.0  # seconds; then it is killed as ever, and what it measured is lost

kill = ServerProcess.close


def close(self: ServerProcess) -> None:
    if self.process.poll() is None:
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
    kill(self)


setattr(ServerProcess, "close", close)  # noqa: B010  (a method is not to be assigned, says mypy)
