"""Where lines of log go: two loggers, `fastwsgi.error` and `fastwsgi.access`, and their files.

Laws:

1. A line is one write to a descriptor opened for appending, so lines of several processes never
   mix, and nothing is lost in a buffer when a process dies.
2. A log that cannot be written (a full disk, a reader that went away) stops nothing: the line is
   dropped.
3. `reopen` keeps the descriptor's number, so whatever else writes to it (faulthandler) follows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Final

from fastwsgi.errors import ConfigError

ERROR: Final = "fastwsgi.error"
ACCESS: Final = "fastwsgi.access"
STANDARD: Final = "-"

LINE_FORMAT: Final = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
BARE_FORMAT: Final = "%(message)s"
DATE_FORMAT: Final = "[%Y-%m-%d %H:%M:%S %z]"


class LogFile:
    """A file, or a standard stream, that lines are appended to. A stream for logging's handlers.

    `path` is the file, or empty for the descriptor `fd` of a standard stream, which is never
    reopened. Raises ConfigError where the file cannot be opened.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.path = path
        self._fd = fd
        if path:
            # What is relative stays so to the folder of now, wherever the process goes later.
            self.path = os.path.abspath(path)
            self._fd = self._open()

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str) -> None:
        """Append `text`, which ends its own line."""
        data = text.encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]

    def flush(self) -> None:
        """Nothing is ever held back; logging's handlers call this."""

    def reopen(self) -> None:
        """Go on in a new file of the same name; where it cannot be opened, in the old one."""
        if not self.path:
            return
        try:
            fd = self._open()
        except ConfigError as error:
            logging.getLogger(ERROR).error("%s; going on in the old one", error)
            return
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)

    def close(self) -> None:
        """Write nothing more. The number goes first: it may soon be another file's."""
        fd, self._fd = self._fd, -1
        if self.path:
            os.close(fd)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ConfigError(f"the log file {self.path!r}: {error.strerror}") from None


class Logs:
    """The logs of a server: opened by the master, inherited by the workers.

    `error` and `access` are the files; `access` is None where there is no access log. Raises
    ConfigError where a file cannot be opened.
    """

    def __init__(self, errorlog: str, level: str, accesslog: str | None) -> None:
        self.error = open_log(errorlog, 2)
        self.access = None if accesslog is None else open_log(accesslog, 1)
        self._level = level.upper()

    def install(self) -> None:
        """Let the two loggers write here from now on."""
        send(ERROR, self.error, logging.Formatter(LINE_FORMAT, DATE_FORMAT), self._level)
        if self.access is not None:
            send(ACCESS, self.access, logging.Formatter(BARE_FORMAT), "INFO")

    def reopen(self) -> None:
        """Open the files anew, after they were renamed."""
        self.error.reopen()
        if self.access is not None:
            self.access.reopen()

    def close(self) -> None:
        """Write nothing more to the files; the standard streams stay open."""
        self.error.close()
        if self.access is not None:
            self.access.close()


def open_log(path: str, standard: int) -> LogFile:
    """The file at `path`, or for - the standard stream of the descriptor `standard`."""
    if path != STANDARD:
        return LogFile(path)
    stream = sys.stdout if standard == 1 else sys.stderr
    if stream is not None:
        # What the program printed so far goes first.
        stream.flush()
    return LogFile("", standard)


def plain_file(logger: logging.Logger) -> LogFile | None:
    """The file of a logger that writes bare messages to it and does nothing else; else None."""
    if logger.filters or logger.propagate or logger.disabled or len(logger.handlers) != 1:
        return None
    handler = logger.handlers[0]
    if type(handler) is not logging.StreamHandler or handler.filters or handler.level:
        return None
    bare = handler.formatter is not None and handler.formatter._fmt == BARE_FORMAT
    return handler.stream if bare and isinstance(handler.stream, LogFile) else None


def send(name: str, file: LogFile, formatter: logging.Formatter, level: str) -> None:
    """Let the logger `name` write to `file` alone."""
    handler = logging.StreamHandler(file)
    handler.setFormatter(formatter)
    logger = logging.getLogger(name)
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
