"""The access log: a line per finished request, in a form that is compiled once.

`compile_format` turns a format such as `%(h)s "%(r)s" %(s)s` into a `Line`, which computes the atoms
the format names and nothing else; `json_line` gives one that writes objects instead. Where somebody
has a part in the lines, by a logger class or by handlers and filters of his own, the logger is asked
to write them, as gunicorn's is: slower, and with all atoms in the record.

Laws:

1. What is missing is `-`. A request that was refused before it had an environ has a line too.
2. Nothing here raises while a request is finished: what a format can do wrong shows when it is
   compiled.
3. Whether a path is left out is known before anything is formatted.
"""

from __future__ import annotations

import binascii
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, Protocol

from fastwsgi._line import Line
from fastwsgi.errors import ConfigError

P = ParamSpec("P")

MISSING: Final = "-"

SPECIFIER: Final = re.compile(r"%(?:\((?P<name>[^)]*)\))?(?P<form>[-#0 +]*\d*(?:\.\d+)?[a-zA-Z%]?)")
MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905


class Finished(Protocol):
    """What an exchange offers when it is over; None for status and headers that there never were.

    `duration` is in seconds; `waited` in milliseconds, the part of it until a thread was free.
    """

    @property
    def environ(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> str | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, str]] | None: ...
    @property
    def body_bytes(self) -> int: ...
    @property
    def duration(self) -> float: ...
    @property
    def waited(self) -> int: ...
    @property
    def remote_addr(self) -> str: ...


Piece = tuple[str, object]  # of a `Line`
OnDone = Callable[[Any], object]  # is called with each exchange that is over


def compile_format(format: str) -> Line:
    """A function from a finished exchange to its line. ConfigError for a malformed format."""
    pieces: list[Piece] = []
    end = 0
    for match in SPECIFIER.finditer(format):
        name, form = match["name"], match["form"]
        add(pieces, literal(format[end : match.start()]))
        end = match.end()
        if name is None and form == "%":
            add(pieces, literal("%"))
        elif name is None:
            raise ConfigError(
                f"access_log_format: {match[0]!r} at {match.start()} is no atom; an atom is written"
                " %(NAME)s and a percent sign %%"
            )
        else:
            add(pieces, formed(name, form))
    add(pieces, literal(format[end:]))
    line = Line(pieces)
    try:
        line(Refused())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"access_log_format: {error} in {format!r}") from None
    return line


def add(pieces: list[Piece], piece: Piece) -> None:
    """Append a piece; texts that follow each other are one."""
    if pieces and pieces[-1][0] == piece[0] == "literal":
        piece = "literal", pieces.pop()[1] + piece[1]  # type: ignore[operator]
    pieces.append(piece)


def literal(text: str) -> Piece:
    return "literal", text.encode("ascii", "backslashreplace")


def formed(name: str, form: str) -> Piece:
    """The atom `name` in a form such as `s` or `05d`."""
    number = NUMBERS.get(name)
    if form == "s" or (form == "d" and number is not None):
        return find_atom(name)
    template = f"%{form}"
    value: Callable[[Any], object] = number or Line([find_atom(name)])
    return "ready", lambda exchange: template % (value(exchange),)


def find_atom(name: str) -> Piece:
    """The piece that is the atom `name`. One that is not known is always missing, as in gunicorn."""
    if name.startswith("{") and name[-2:-1] == "}" and len(name) > 3:
        find = IN_BRACES.get(name[-1])
        if find is not None:
            return find(name[1:-2])
    if name == "p":
        return literal(f"<{os.getpid()}>")  # whoever compiles a format is who logs by it
    return ATOMS.get(name, literal(MISSING))


def request_header(name: str) -> Piece:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    return "variable", key


def response_header(name: str) -> Piece:
    wanted = name.lower()

    def atom(exchange: Finished) -> str | None:
        found = None
        for key, value in exchange.headers or ():
            if key.lower() == wanted:
                found = value
        return found

    return "call", atom


def environ_variable(name: str) -> Piece:
    """The cases that occur: WSGI's own names are in capitals or all small."""
    keys = tuple(dict.fromkeys((name, name.upper(), name.lower())))

    def atom(exchange: Finished) -> object:
        environ = exchange.environ
        return next((environ[key] for key in keys if key in environ), None)

    return "call", atom


def user(exchange: Finished) -> str | None:
    """The name of Basic credentials; what is malformed is no name."""
    try:
        return basic_user(exchange.environ)
    except (binascii.Error, ValueError):
        return None


def basic_user(environ: Mapping[str, Any]) -> str | None:
    """The name of Basic credentials (RFC 7617), or None. Raises ValueError where they are malformed."""
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic" or not credentials:
        return None
    return binascii.a2b_base64(credentials.strip()).partition(b":")[0].decode() or None


def apache_time(now: int) -> str:
    """Local time as in Apache's common log format, whatever the locale."""
    local = time.localtime(now)
    return (
        f"[{local.tm_mday:02}/{MONTHS[local.tm_mon - 1]}/{local.tm_year}"
        f":{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {time.strftime('%z', local)}]"
    )


def iso_time(now: int) -> str:
    """Local time as RFC 3339 writes it."""
    zone = time.strftime("%z", time.localtime(now))
    return time.strftime(f"%Y-%m-%dT%H:%M:%S{zone[:3]}:{zone[3:]}", time.localtime(now))


def waited(exchange: Finished) -> int:
    return exchange.waited


def microseconds(exchange: Finished) -> int:
    return round(exchange.duration * 1_000_000)


IN_BRACES: Final[Mapping[str, Callable[[str], Piece]]] = {
    "i": request_header,
    "o": response_header,
    "e": environ_variable,
}

ATOMS: Final[Mapping[str, Piece]] = {
    "h": ("client", None),
    "u": ("user", user),
    "t": ("clock", apache_time),
    "r": ("request", None),
    "m": ("variable", "REQUEST_METHOD"),
    "U": ("variable", "PATH_INFO"),
    "q": ("variable", "QUERY_STRING"),
    "H": ("variable", "SERVER_PROTOCOL"),
    "s": ("status", None),
    "b": ("bytes", None),
    "B": ("bytes", None),
    "f": ("variable", "HTTP_REFERER"),
    "a": ("variable", "HTTP_USER_AGENT"),
    "T": ("seconds", None),
    "M": ("milliseconds", None),
    "D": ("microseconds", None),
    "L": ("decimal", None),
    "Q": ("waited", None),  # not gunicorn's, which has no queue to speak of
}

# Atoms that are numbers, for forms that pad them.
NUMBERS: Final[Mapping[str, Callable[[Any], int]]] = {
    "B": lambda exchange: exchange.body_bytes,
    "T": lambda exchange: microseconds(exchange) // 1_000_000,
    "M": lambda exchange: microseconds(exchange) // 1_000,
    "D": microseconds,
    "Q": waited,
}

# The fields of a JSON line. Names stay as they are; new ones may be added at the end.
FIELDS: Final[Mapping[str, Piece]] = {
    "timestamp": ("clock", iso_time),
    "remote_addr": ("client", None),
    "user": ("user", user),
    "method": ("variable", "REQUEST_METHOD"),
    "path": ("path", None),
    "query": ("variable", "QUERY_STRING"),
    "protocol": ("variable", "SERVER_PROTOCOL"),
    "host": ("variable", "HTTP_HOST"),
    "status": ("status", None),
    "bytes": ("bytes", None),
    "duration_us": ("microseconds", None),
    "queued_ms": ("waited", None),
    "referer": ("variable", "HTTP_REFERER"),
    "user_agent": ("variable", "HTTP_USER_AGENT"),
    "request_id": ("variable", "HTTP_X_REQUEST_ID"),
}


def json_line() -> Line:
    """A function from a finished exchange to an object in JSON (RFC 8259), on one line and in ASCII."""
    pieces = [literal(f'{{"pid": {os.getpid()}')]
    for name, piece in FIELDS.items():
        pieces += [literal(f', "{name}": '), piece]
    return Line([*pieces, literal("}")], json=True)


def leave_out(patterns: Sequence[str], log: OnDone) -> OnDone:
    """`log`, but not for paths that one of `patterns` matches, in which * stands for anything.

    The path is that of the request's target, as the client wrote it.
    """
    forms = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    matches = re.compile("|".join(f"(?:{form})" for form in forms), re.DOTALL).fullmatch

    def on_done(exchange: Finished) -> None:
        target: str = exchange.environ.get("RAW_URI", "")
        if not matches(target.partition("?")[0]):
            log(exchange)

    return on_done


def both(
    first: Callable[P, object] | None, second: Callable[P, object] | None
) -> Callable[P, object] | None:
    """Return what calls both, of two that may be None."""
    if first is None or second is None:
        return first or second

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        first(*args, **kwargs)
        second(*args, **kwargs)

    return call


class Refused:
    """A request refused before anything of it was known: what a format is tried with."""

    environ: Mapping[str, Any] = {}
    status = "400 Bad Request"
    headers: Sequence[tuple[str, str]] = ()
    body_bytes = 0
    duration = 0.0
    waited = 0
    remote_addr = ""
