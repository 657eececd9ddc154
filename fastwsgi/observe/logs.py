"""Where lines of log go: two loggers, `gunicorn.error` and `gunicorn.access`, and their files.

The names are gunicorn's, as filters, handlers and configurations of logging know them.

Laws:

1. A line is one write to a descriptor opened for appending, so lines of several processes never
   mix, and nothing is lost in a buffer when a process dies.
2. A log that cannot be written (a full disk, a reader that went away) stops nothing: the line is
   dropped.
3. A line of the error log that begins as a record does is one. What a client sends and an application
   puts into an exception's message can neither look like a record nor steer a terminal.
4. `reopen` keeps the descriptor's number, so whatever else writes to it (faulthandler) follows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from fastwsgi.errors import ConfigError

ERROR: Final = "gunicorn.error"
ACCESS: Final = "gunicorn.access"
ALIASES: Final[Mapping[str, str]] = {"fastwsgi.error": ERROR, "fastwsgi.access": ACCESS}
STANDARD: Final = "-"

LINE_FORMAT: Final = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
BARE_FORMAT: Final = "%(message)s"
DATE_FORMAT: Final = "[%Y-%m-%d %H:%M:%S %z]"

# Controls but tab and line feed, what else ends a line for some reader (NEL, U+2028, U+2029), and
# what changes the direction of text.
UNPRINTABLE: Final = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]"
)


class Log(Protocol):
    """What is said to an error log: a `logging.Logger`, or a logger of gunicorn's interface."""

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None: ...
    def info(self, msg: object, *args: Any, **kwargs: Any) -> None: ...
    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None: ...
    def error(self, msg: object, *args: Any, **kwargs: Any) -> None: ...
    def critical(self, msg: object, *args: Any, **kwargs: Any) -> None: ...
    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None: ...


def harmless(trace: str) -> str:
    """Return the lines of a traceback without controls, and none beginning with the bracket of a record."""
    return UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], trace).replace("\n[", "\n [")


class ErrorFormatter(logging.Formatter):
    """Formats records of the error log. The lines of a traceback stay lines; see law 3."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback of `ei`, an exception as `sys.exc_info` has it."""
        return harmless(super().formatException(ei))


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
            try:
                self._fd = self._open()
            except OSError as error:
                raise ConfigError(f"the log file {path!r}: {error.strerror}") from None

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
        except OSError as error:
            complain(self.path, error)
            return
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)

    def close(self) -> None:
        """Write nothing more. The number goes first: it may soon be another file's."""
        fd, self._fd = self._fd, -1
        if self.path and fd >= 0:
            os.close(fd)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def open_log(path: str, standard: int) -> LogFile:
    """The file at `path`, or for - the standard stream of the descriptor `standard`."""
    if path != STANDARD:
        return LogFile(path)
    stream = sys.stdout if standard == 1 else sys.stderr
    if stream is not None:
        # What the program printed so far goes first.
        stream.flush()
    return LogFile("", standard)


def plain_handler(logger: logging.Logger) -> logging.StreamHandler[LogFile] | None:
    """The handler of a logger that appends bare messages to one of our files and does nothing else."""
    if logger.filters or logger.propagate or logger.disabled or len(logger.handlers) != 1:
        return None
    handler = logger.handlers[0]
    if type(handler) is not logging.StreamHandler or handler.filters or handler.level:
        return None
    bare = type(handler.formatter) is logging.Formatter and handler.formatter._fmt == BARE_FORMAT
    return handler if bare and isinstance(handler.stream, LogFile) else None


def all_handlers() -> Iterator[logging.Handler]:
    """Every handler of every logger of the process, once."""
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = (log for log in known if isinstance(log, logging.Logger))
    return iter(dict.fromkeys(handler for log in loggers for handler in log.handlers))


def reopen_handler(handler: logging.Handler) -> None:
    """Have a handler go on in a new file of the same name; one that writes to no file is left alone."""
    if not isinstance(handler, logging.StreamHandler):
        return
    if isinstance(handler.stream, LogFile):
        handler.stream.reopen()
    elif isinstance(handler, logging.FileHandler) and handler.stream is not None:
        with handler.lock or contextlib.nullcontext():
            handler.flush()
            try:
                with open(handler.baseFilename, "ab") as file:
                    os.dup2(file.fileno(), handler.stream.fileno(), inheritable=False)
            except OSError as error:
                complain(handler.baseFilename, error)


def complain(path: str, error: OSError) -> None:
    logging.getLogger(ERROR).error(
        "the log file %r: %s; going on in the old one", path, error.strerror
    )
