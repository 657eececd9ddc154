"""What is called with each exchange that is over: who writes its line, and who measures it.

The logger's own classes are known here, so that their lines take the short way, from the exchange
to the file. A subclass that has a part in the lines is asked to write them, as gunicorn asks it;
so is everybody who changed the handlers or filters of the access log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from fastwsgi._line import Line, LineLog
from fastwsgi.observe.access_log import (
    Finished,
    OnDone,
    both,
    compile_format,
    json_line,
    leave_out,
)
from fastwsgi.observe.faces import Request, Response
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import plain_handler

# What makes a line, of a logger.
PARTS: Final = ("access", "atoms", "atoms_wrapper_class", "now", "_get_user", "access_log_enabled")


def listener(log: Logger, *, format: str, as_json: bool, excluded: Sequence[str]) -> OnDone | None:
    """Return what to call with each exchange that is over, or None where nobody wants to know.

    `format` is the form of lines, unless they are JSON; `excluded` are patterns of paths that get no
    line.
    """
    measure: OnDone | None = None
    write: OnDone | None = asking(log)
    if has_own_lines(log):
        measure = log.measured
        write = writing(log, format, as_json) if log.access_log_enabled else None
    if write is not None and excluded:
        write = leave_out(excluded, write)
    return both(write, measure)


def has_own_lines(log: Logger) -> bool:
    """Whether the lines of `log` are the server's own: no subclass of somebody's has a part in them."""
    kind = type(log)
    bases = (base for base in kind.__mro__ if base.__module__.startswith(f"{__package__}."))
    ours = next(bases, None)
    return ours is not None and all(getattr(kind, part) is getattr(ours, part) for part in PARTS)


def writing(log: Logger, format: str, as_json: bool) -> OnDone:
    """What writes the line itself, or asks `log` to where the access log is not as it was made."""
    line = json_line() if as_json else compile_format(format)
    otherwise = saying(log, line) if as_json else asking(log)
    handler = plain_handler(log.access_log)
    return otherwise if handler is None else LineLog(line, log.access_log, handler, otherwise)


def saying(log: Logger, line: Line) -> OnDone:
    """What gives a whole line to the access log."""
    return lambda exchange: log.access_log.info(line(exchange))


def asking(log: Logger) -> Callable[[Finished], None]:
    """What has `log` write a line, by gunicorn's interface."""

    def on_done(exchange: Finished) -> None:
        environ = exchange.environ
        duration = timedelta(seconds=exchange.duration)
        log.access(Response(exchange), Request(environ), environ, duration)

    return on_done
