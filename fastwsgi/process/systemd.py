"""What systemd passes to a service, and what it is told: sd_listen_fds(3), sd_notify(3).

The variables of the protocol are read once. Those of the sockets are taken from the environment, as
they are meant for this process alone; where NOTIFY_SOCKET is stays there for the application.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import Final

from fastwsgi.originals import original

FIRST_FD: Final = 3
SOCKET_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

Socket: Final = original("socket", "socket")


def take_sockets(environ: MutableMapping[str, str]) -> tuple[int, ...]:
    """The descriptors of the sockets that systemd listens on for this process; their names go unused.

    Takes the variables from `environ` where they are for us, and leaves those of another process.
    """
    if number(environ, "LISTEN_PID") != os.getpid():
        return ()
    count = number(environ, "LISTEN_FDS")
    for name in SOCKET_VARIABLES:
        environ.pop(name, None)
    return tuple(range(FIRST_FD, FIRST_FD + count))


def pass_sockets(environ: MutableMapping[str, str], count: int) -> None:
    """Have `environ` give the next program of this process `count` sockets, as systemd does."""
    environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))


class Notifier:
    """Tells systemd how the service is; whatever cannot be told is not worth a word.

    `ping_at` is when the watchdog wants the next ping, in seconds of the monotonic clock; infinity
    where there is none.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        where = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + where[1:] if where.startswith("@") else where
        self._pause = watchdog_pause(environ) if where else math.inf
        self.ping_at = time.monotonic() + self._pause

    def ready(self, status: str) -> None:
        """The service has started, or its reload is over, whichever way that went."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reloading")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1", "STATUS=Stopping")

    def main_process(self, pid: int) -> None:
        """From now on the process `pid` is the service."""
        self._send(f"MAINPID={pid}")

    def ping(self) -> None:
        """The main loop is well; due at `ping_at`."""
        self.ping_at = time.monotonic() + self._pause
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            Socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)


def watchdog_pause(environ: Mapping[str, str]) -> float:
    """Seconds between two pings: half of what systemd allows, as sd_watchdog_enabled(3) advises."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    return number(environ, "WATCHDOG_USEC") / 2_000_000 or math.inf


def number(environ: Mapping[str, str], name: str) -> int:
    """The number in a variable; 0 where there is none."""
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else 0
