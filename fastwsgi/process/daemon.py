"""Serving in the background: the process that the terminal started ends, and another goes on.

The first one waits until the server listens or has failed, and ends with the exit code of that: so
whoever runs the command sees what went wrong, and may connect as soon as it has returned.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

from fastwsgi.originals import original
from fastwsgi.process.signals import ENDING

UMASK: Final = 0o022

fork: Final = original("os", "fork")
set_handler: Final = original("signal", "signal")


class Launch:
    """The going to the background; only the process that goes on returns from the constructor.

    It has a session of its own, without a terminal and unable to get one.
    """

    def __init__(self) -> None:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        if fork() != 0:
            for number in ENDING:
                set_handler(number, signal.SIG_DFL)
            os.close(self._writer)
            os._exit(outcome(reader))
        os.close(reader)
        os.setsid()
        if fork() != 0:
            os._exit(0)
        os.umask(UMASK)

    def succeed(self, *, keep_streams: bool) -> None:
        """The server listens: let go of the terminal.

        The standard streams become /dev/null; with `keep_streams` only standard input does, and what
        is a terminal.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        for fd in (0, 1, 2):
            if fd == 0 or not keep_streams or os.isatty(fd):
                os.dup2(null, fd)
        os.close(null)
        self._tell(0)
        os.close(self._writer)

    def fail(self, code: int) -> None:
        """The server cannot start: `code` will be what the command ends with, once this process has ended."""
        self._tell(code)

    def _tell(self, code: int) -> None:
        os.write(self._writer, bytes([code]))


def outcome(reader: int) -> int:
    """What the server tells, waiting until it has nothing more to tell; 1 where it died silently."""
    code = b"\1"
    while told := os.read(reader, 1):
        code = told
    return code[0]
