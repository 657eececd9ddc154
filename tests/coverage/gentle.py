"""A pytest plugin for measuring coverage.

A server under test ends by TERM, as only then its coverage is written. And the wire cases are not
split at every offset: under tracing that takes many minutes and reaches no line that the other
feeds do not reach.
"""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress

from tests.support.server import ServerProcess
from tests.wire import feeding

PATIENCE = 10.0  # seconds; then it is killed as ever, and what it measured is lost

kill = ServerProcess.close


def close(self: ServerProcess) -> None:
    if self.process.poll() is None:
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
    kill(self)


setattr(ServerProcess, "close", close)  # noqa: B010  (a method is not to be assigned, says mypy)

# A few offsets of each kind are left.
feeding.EVERY_OFFSET = 0
feeding.LINES = 2
