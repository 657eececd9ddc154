"""Where else lines and numbers of a log go: the addresses of syslog and of statsd, as gunicorn has them."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping
from typing import Final

from fastwsgi.errors import ConfigError

SYSLOG_PORT: Final = 514
STATSD_PORT: Final = 8125

Peer = tuple[str, int] | str  # host and port, or the path of a unix socket

# The names of RFC 5424, 6.2.1, as syslog.h spells them; security is an old name of auth.
FACILITIES: Final[Mapping[str, int]] = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "security": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}

HOST_AND_PORT: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s/@?#:\[\]]*))(?::(?P<port>[0-9]{1,5}))?"
)


def default_syslog_address() -> str:
    """Where the system's own syslog listens."""
    for platform, address in (
        ("darwin", "unix:///var/run/syslog"),
        ("freebsd", "unix:///var/run/log"),
        ("dragonfly", "unix:///var/run/log"),
        ("openbsd", "unix:///dev/log"),
    ):
        if sys.platform.startswith(platform):
            return address
    return "udp://localhost:514"


def parse_syslog_address(address: str) -> tuple[socket.SocketKind | None, Peer]:
    """The type of the socket, None for whichever there is, and the peer.

    Forms: `unix://PATH`, `unix://PATH#dgram`, `unix://PATH#stream`, `udp://HOST:PORT`,
    `tcp://HOST:PORT`; the port is 514 where none is given. Raises ConfigError.
    """
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        path, hash_, kind = rest.partition("#")
        if not path or (hash_ and kind not in ("dgram", "stream")):
            raise ConfigError(f"syslog address {address!r}: write unix://PATH, unix://PATH#dgram")
        # With #stream both are tried, too: gunicorn takes no notice of the word.
        return (socket.SOCK_DGRAM if kind == "dgram" else None), path
    if scheme not in ("udp", "tcp"):
        raise ConfigError(
            f"syslog address {address!r}: write udp://HOST:PORT, tcp://HOST:PORT or unix://PATH"
        )
    kind_of_socket = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    return kind_of_socket, host_and_port("syslog", rest, SYSLOG_PORT, "localhost")


def parse_statsd_address(address: str) -> Peer:
    """Host and port, or the path of a unix socket.

    Forms: `unix://PATH`, `unix:PATH`, `HOST:PORT`, `[IPv6]:PORT`; the port is 8125 where none is
    given. `unix:NUMBER` is a host of that name, as it was in gunicorn before it knew unix sockets.
    Raises ConfigError.
    """
    if address.startswith("unix:") and not re.fullmatch(r"unix:\d+", address):
        path = address.removeprefix("unix:").removeprefix("//")
        if not path:
            raise ConfigError(f"statsd address {address!r}: write unix://PATH")
        return path
    return host_and_port("statsd", address, STATSD_PORT, "0.0.0.0")


def host_and_port(what: str, text: str, port: int, host: str) -> tuple[str, int]:
    """Read HOST, HOST:PORT or [IPv6]:PORT, with `port` and `host` where they are not given."""
    match = HOST_AND_PORT.fullmatch(text)
    if match is None or int(match["port"] or port) > 65535:
        raise ConfigError(f"{what} address {text!r}: write HOST:PORT, with a port up to 65535")
    return (match["v6"] or match["host"] or host).lower(), int(match["port"] or port)
