"""What the master measures, for a logger that sends metrics: its workers, and who waits to be accepted."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterable
from typing import Final

from fastwsgi.observe.logs import Log

BACKLOG_SECONDS: Final = 1.0

# tcp(7), struct tcp_info: of a listening socket, tcpi_unacked is the length of its queue.
TCP_INFO_BYTES: Final = 104
UNACKED: Final = slice(24, 28)


class Gauges:
    """Measurements, in records that have gunicorn's names. `due` is when the backlog may be measured next."""

    def __init__(self) -> None:
        self.due = 0.0
        self._workers = -1

    def tell_workers(self, log: Log, count: int) -> None:
        """There are `count` workers; said when it changes."""
        if count != self._workers:
            self._workers = count
            log.debug(
                "%s workers",
                count,
                extra={"metric": "gunicorn.workers", "value": count, "mtype": "gauge"},
            )

    def tell_backlog(self, log: Log, sockets: Iterable[socket.socket]) -> None:
        """So many connections wait in the kernel, at those of `sockets` that are TCP; said once a second."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + BACKLOG_SECONDS
        lengths = [backlog(sock) for sock in sockets if sock.family != socket.AF_UNIX]
        if lengths:
            log.debug(
                "socket backlog: %s",
                sum(lengths),
                extra={"metric": "gunicorn.backlog", "value": sum(lengths), "mtype": "histogram"},
            )


def backlog(sock: socket.socket) -> int:
    """How many connections a listening TCP socket has queued; 0 where the kernel does not say."""
    with contextlib.suppress(OSError):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        return int.from_bytes(info[UNACKED], sys.byteorder)
    return 0
