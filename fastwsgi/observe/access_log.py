"""The access log: a line per finished request, in a form that is compiled once.

`compile_format` turns a format such as `%(h)s "%(r)s" %(s)s` into a function that computes the
atoms the format names and nothing else. The result is one % operation over a tuple.

Laws:

1. A line cannot be forged. Whatever a client or the application chose is escaped: the quotation
   mark, the backslash, and everything that is not printable ASCII, so that no reader, whatever it
   takes for the end of a line, sees two where one was written.
2. What is missing is `-`. A request that was refused before it had an environ has a line too.
3. Nothing here raises while a request is finished: what a format can do wrong shows when it is
   compiled.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from fastwsgi.errors import ConfigError
from fastwsgi.observe.logs import plain_file

MISSING: Final = "-"

SPECIFIER: Final = re.compile(r"%(?:\((?P<name>[^)]*)\))?(?P<form>[-#0 +]*\d*(?:\.\d+)?[a-zA-Z%]?)")
UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")
MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905


class Finished(Protocol):
    """What an exchange offers when it is over.

    `duration` is in seconds; `waited` in milliseconds, the part of it until a thread was free.
    """

    @property
    def environ(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> str: ...
    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def body_bytes(self) -> int: ...
    @property
    def duration(self) -> float: ...
    @property
    def waited(self) -> int: ...
    @property
    def remote_addr(self) -> str: ...


class Sink(Protocol):
    """Where lines go: a `LogFile`, or any text stream."""

    def write(self, text: str, /) -> object: ...


Atom = Callable[[Finished], object]


class AccessLog:
    """Called with each finished exchange, it writes its line. Raises ConfigError for the format."""

    __slots__ = ("_line", "_write")

    def __init__(self, format: str, sink: Sink | logging.Logger) -> None:
        self._line = compile_format(format)
        self._write = line_writer(sink)

    def __call__(self, exchange: Finished) -> None:
        self._write(self._line(exchange))


def line_writer(sink: Sink | logging.Logger) -> Callable[[str], object]:
    """What writes one line to `sink`.

    A logger that does nothing but append lines to one of our files is passed by: it would make a
    record of each line, for nobody.
    """
    if isinstance(sink, logging.Logger):
        file = plain_file(sink)
        if file is None:
            return sink.info
        sink = file
    write = sink.write
    return lambda line: write(f"{line}\n")


def compile_format(format: str) -> Callable[[Finished], str]:
    """A function from a finished exchange to its line. ConfigError for a malformed format."""
    atoms: list[Atom] = []

    def place(match: re.Match[str]) -> str:
        name, form = match["name"], match["form"]
        if name is None and form == "%":
            return "%%"
        if name is None:
            raise ConfigError(
                f"access_log_format: {match[0]!r} at {match.start()} is no atom; an atom is written"
                " %(NAME)s and a percent sign %%"
            )
        atoms.append(find_atom(name))
        return f"%{form}"

    template = SPECIFIER.sub(place, format)
    chosen = tuple(atoms)

    def line(exchange: Finished) -> str:
        return template % tuple([atom(exchange) for atom in chosen])

    try:
        line(Refused())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"access_log_format: {error} in {format!r}") from None
    return line


class Refused:
    """A request refused before anything of it was known: what a format is tried with."""

    environ: Mapping[str, Any] = {}
    status = "400 Bad Request"
    headers: Sequence[tuple[str, str]] = ()
    body_bytes = 0
    duration = 0.0
    waited = 0
    remote_addr = ""


def escape(text: str) -> str:
    """`text` with everything escaped that could end a quotation or a line; never empty."""
    if not text:
        return MISSING
    return UNSAFE.sub(escape_one, text) if UNSAFE.search(text) else text


def escape_one(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return f"\\{character}"
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def find_atom(name: str) -> Atom:
    """What computes the atom `name`. One that is not known is always missing, as in gunicorn."""
    if name.startswith("{") and name[-2:-1] == "}" and len(name) > 3:
        kind, inner = name[-1], name[1:-2]
        if kind == "i":
            return request_header(inner)
        if kind == "o":
            return response_header(inner)
        if kind == "e":
            return environ_variable(inner)
    if name == "t":
        return clock_time()
    return ATOMS.get(name, missing)


def missing(exchange: Finished) -> str:
    return MISSING


def request_header(name: str) -> Atom:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    return variable(key)


def variable(key: str) -> Atom:
    def atom(exchange: Finished) -> str:
        return escape(str(exchange.environ.get(key, "")))

    return atom


def environ_variable(name: str) -> Atom:
    """The cases that occur: WSGI's own names are in capitals or all small."""
    keys = tuple(dict.fromkeys((name, name.upper(), name.lower())))

    def atom(exchange: Finished) -> str:
        environ = exchange.environ
        for key in keys:
            if key in environ:
                return escape(str(environ[key]))
        return MISSING

    return atom


def response_header(name: str) -> Atom:
    wanted = name.lower()

    def atom(exchange: Finished) -> str:
        found = MISSING
        for key, value in exchange.headers:
            if key.lower() == wanted:
                found = escape(value)
        return found

    return atom


def clock_time() -> Atom:
    """Local time as in Apache's common log format. Made once a second; locales change nothing."""
    made, text = -1, ""

    def atom(exchange: Finished) -> str:
        nonlocal made, text
        now = int(time.time())
        if now != made:
            local = time.localtime(now)
            zone = time.strftime("%z", local)
            text = (
                f"[{local.tm_mday:02}/{MONTHS[local.tm_mon - 1]}/{local.tm_year}"
                f":{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {zone}]"
            )
            made = now
        return text

    return atom


def user(exchange: Finished) -> str:
    """The name of Basic credentials (RFC 7617)."""
    scheme, _, credentials = exchange.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return MISSING
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return MISSING
    return escape(decoded.partition(b":")[0].decode("utf-8", "replace"))


def request_line(exchange: Finished) -> str:
    environ = exchange.environ
    if not environ:
        return MISSING
    return escape(
        f"{environ.get('REQUEST_METHOD', MISSING)} {environ.get('RAW_URI', MISSING)}"
        f" {environ.get('SERVER_PROTOCOL', MISSING)}"
    )


def microseconds(exchange: Finished) -> int:
    """All atoms of duration are cut from this number, so that they agree."""
    return round(exchange.duration * 1_000_000)


def decimal_seconds(exchange: Finished) -> str:
    return "{}.{:06}".format(*divmod(microseconds(exchange), 1_000_000))


def process(exchange: Finished) -> str:
    return f"<{os.getpid()}>"


ATOMS: Final[Mapping[str, Atom]] = {
    "h": lambda exchange: exchange.remote_addr or MISSING,
    "l": missing,
    "u": user,
    "r": request_line,
    "m": variable("REQUEST_METHOD"),
    "U": variable("PATH_INFO"),
    "q": variable("QUERY_STRING"),
    "H": variable("SERVER_PROTOCOL"),
    "s": lambda exchange: escape(exchange.status[:3]),
    "b": lambda exchange: str(exchange.body_bytes),
    "B": lambda exchange: exchange.body_bytes,
    "f": variable("HTTP_REFERER"),
    "a": variable("HTTP_USER_AGENT"),
    "T": lambda exchange: microseconds(exchange) // 1_000_000,
    "M": lambda exchange: microseconds(exchange) // 1_000,
    "D": microseconds,
    "L": decimal_seconds,
    "Q": lambda exchange: exchange.waited,  # not gunicorn's, which has no queue to speak of
    "p": process,
}
