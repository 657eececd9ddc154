"""The handler for syslog. Imported only where the logs go there: `logging.handlers` brings much along."""

from __future__ import annotations

import logging
import logging.handlers
from socket import SocketKind

from fastwsgi.errors import ConfigError
from fastwsgi.observe.destinations import Peer


class SyslogHandler(logging.handlers.SysLogHandler):
    """Sends records to syslog (RFC 3164). Raises ConfigError where a TCP peer cannot be reached.

    `kind` is the type of the socket, None for whichever the unix socket has. What cannot be sent
    is dropped.
    """

    def __init__(self, address: Peer, facility: int, kind: SocketKind | None) -> None:
        try:
            super().__init__(address, facility, kind)
        except OSError as error:
            raise ConfigError(f"syslog at {address!r}: {error.strerror or error}") from None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A log that cannot be written stops nothing."""
