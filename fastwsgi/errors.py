"""Every error of the server: whom it blames is its type, what the client is told is its class's status.

`REFUSALS` says what each negative verdict of `_parser` means on the wire. The parser knows only numbers, so that the
same C serves as a fuzz target; its enum `Verdict` and this table name the same things.
"""

from collections.abc import Iterable
from typing import NamedTuple


class FastWSGIError(Exception):
    """Base of the server's own errors; `status` is the HTTP status a client would see."""

    status = 500


class ApplicationError(FastWSGIError):
    """The application broke PEP 3333; nothing of what it asked for reaches the wire."""


class RequestTimeout(BaseException):
    """The application spent too long on one request: raised in the midst of it.

    No Exception, so that an application that catches those lets it through.
    """


class ClientGone(FastWSGIError):
    """The client left, or stopped reading, while the application was writing. Nobody's fault."""


class RequestBodyError(FastWSGIError, OSError):
    """The client did not send the body it announced, while the application was reading it.

    An OSError, as applications expect of a read that fails; `refusal` is what the client is told.
    """

    def __init__(self, refusal: "Refusal") -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class CutOffError(FastWSGIError):
    """The exchange was taken from the thread that runs the application; it is answered already."""


class ConfigError(FastWSGIError):
    """A setting, an address or a file of the configuration is wrong; `exit_code` ends the program."""

    exit_code = 1


class UsageError(ConfigError):
    """The command line cannot be understood."""

    exit_code = 2


class BootError(ConfigError):
    """A worker cannot start."""

    exit_code = 3


class AppLoadError(ConfigError):
    """The application cannot be found or loaded."""

    exit_code = 4


def closest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return what was probably meant by `word`, the one of `known` that is most like it; or None.

    `likeness` is how much they have in common at least, from 0 to 1.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    return next(iter(get_close_matches(word, known, n=1, cutoff=likeness)), None)


class Refusal(NamedTuple):
    """What a refused client is told."""

    status: int
    message: str


REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}

# What a client is told that gets no answer of the application's.
APPLICATION_FAILED = Refusal(500, "the application failed")
BUSY = Refusal(503, "too many requests wait for the application")
TOO_SLOW = Refusal(504, "the application took too long")

REFUSALS = {
    -10: Refusal(400, "the request line is malformed"),
    -11: Refusal(400, "the method is no token in upper case"),
    -12: Refusal(501, "the method is longer than 32 bytes"),
    -13: Refusal(400, "the request target is malformed"),
    -14: Refusal(414, "the request line is too long"),
    -15: Refusal(400, "the HTTP version is malformed"),
    -16: Refusal(505, "this port speaks HTTP/1.0 and HTTP/1.1"),
    -17: Refusal(400, "a TLS handshake arrived on a port that speaks plain HTTP"),
    -18: Refusal(501, "this server opens no tunnels"),
    -20: Refusal(400, "a line does not end in CR LF"),
    -21: Refusal(400, "a field name is malformed"),
    -22: Refusal(400, "a field value has a control character"),
    -23: Refusal(400, "a field line is folded"),
    -24: Refusal(431, "a field line is too long"),
    -25: Refusal(431, "there are too many field lines"),
    -26: Refusal(431, "the head of the request is too large"),
    -30: Refusal(400, "Content-Length is malformed or repeated"),
    -31: Refusal(400, "Content-Length and Transfer-Encoding exclude each other"),
    -32: Refusal(400, "Transfer-Encoding is malformed or repeated"),
    -33: Refusal(501, "the only transfer coding known here is chunked"),
    -34: Refusal(400, "Transfer-Encoding needs HTTP/1.1"),
    -35: Refusal(400, "Host is missing"),
    -36: Refusal(400, "Host is malformed or repeated"),
    -37: Refusal(400, "Host differs from the authority of the request target"),
    -38: Refusal(400, "Content-Type is repeated"),
    -39: Refusal(417, "the only expectation known here is 100-continue"),
    -50: Refusal(400, "a chunk size is malformed"),
    -51: Refusal(400, "a chunk extension is malformed"),
    -52: Refusal(400, "the chunk extensions are too long"),
    -53: Refusal(400, "chunk data does not end in CR LF"),
    -54: Refusal(400, "a trailer field is malformed"),
    -55: Refusal(400, "a trailer names a field that must stand in the head"),
    -56: Refusal(431, "the trailers are too large"),
    -60: Refusal(413, "the request body is too large"),
    -61: Refusal(400, "the request ended before it was complete"),
    -62: Refusal(408, "the head of the request did not arrive in time"),
    -63: Refusal(408, "the request body did not arrive in time"),
    -64: Refusal(507, "there is no room to store the request body"),
    -65: Refusal(400, "the PROXY header is malformed"),
    -66: Refusal(403, "a PROXY header came from an address that proxy_allow_ips does not have"),
    -67: Refusal(400, "a plain HTTP request arrived on a port that speaks TLS; use https"),
    -70: Refusal(400, "a field name has an underscore, and header_map refuses those"),
    -71: Refusal(400, "the headers of the proxy contradict each other on the scheme"),
    -72: Refusal(500, "the path does not lie under SCRIPT_NAME"),
    -73: Refusal(400, "SCRIPT_NAME is repeated"),
}
