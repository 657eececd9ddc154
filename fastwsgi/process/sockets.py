"""The listening sockets of a master: opened once, handed to every worker, kept through reloads.

With `reuse_port` every worker has a TCP socket of its own, by its seat (0, 1, 2 ...). The master
keeps those open as well: a worker that dies leaves what its socket has queued to its successor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.net.listener import bind, display, parse_address

WORTH_WAITING = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})


class Address:
    """One bind address and its sockets: one, or one for each seat. Raises OSError, ConfigError."""

    def __init__(self, text: str, settings: Settings) -> None:
        self.text = text
        self._backlog = settings.backlog
        self._scheme = settings.url_scheme
        self._by_seat = settings.reuse_port and isinstance(parse_address(text), tuple)
        self._sockets = [bind(text, backlog=self._backlog, reuse_port=self._by_seat)]

    @property
    def first(self) -> socket.socket:
        return self._sockets[0]

    def of_seat(self, seat: int) -> socket.socket:
        """The socket for the worker on `seat`, bound now if there was none yet."""
        if not self._by_seat:
            return self.first
        while len(self._sockets) <= seat:
            # By its real name: the port may have been chosen by the kernel.
            where = display(self.first).removeprefix("http://")
            self._sockets.append(bind(where, backlog=self._backlog, reuse_port=True))
        return self._sockets[seat]

    def keep_seats(self, count: int) -> None:
        """Close the sockets of seats that are no more; their workers empty them."""
        while len(self._sockets) > max(1, count):
            self._sockets.pop().close()

    def adopt(self, settings: Settings) -> Address:
        """The same sockets under new settings."""
        self._backlog = settings.backlog
        self._scheme = settings.url_scheme
        for sock in self._sockets:
            sock.listen(self._backlog)
        return self

    def close_except_of(self, seat: int) -> None:
        if self._by_seat:
            for index, sock in enumerate(self._sockets):
                if index != seat:
                    sock.close()

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()

    def __str__(self) -> str:
        return display(self.first, self._scheme)

    def unlink(self) -> None:
        """Remove the file of a unix socket."""
        path = self.first.getsockname() if self.first.family == socket.AF_UNIX else ""
        if path and isinstance(path, str) and self.text.startswith("unix:"):
            with contextlib.suppress(OSError):
                os.unlink(path)


class Sockets:
    """The addresses of one generation of workers."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self.addresses = tuple(addresses)

    @classmethod
    def open(cls, settings: Settings, present: Sockets | None = None) -> Sockets:
        """Bind what `settings` name, taking over what `present` has of it.

        Raises ConfigError for a malformed address and BindError where one cannot be had; then
        nothing has changed.
        """
        held = {} if present is None else {address.text: address for address in present.addresses}
        opened: dict[str, Address] = {}
        for text in settings.bind:
            if text in held or text in opened:
                continue
            try:
                opened[text] = Address(text, settings)
            except OSError as error:
                cls(opened.values()).close_except(None)
                raise BindError(text, error) from error
        return cls(
            opened[text] if text in opened else held[text].adopt(settings)
            for text in dict.fromkeys(settings.bind)
        )

    def of_seat(self, seat: int) -> list[socket.socket]:
        """What the worker on `seat` listens on. Raises OSError if binding one fails."""
        return [address.of_seat(seat) for address in self.addresses]

    def keep_seats(self, count: int) -> None:
        for address in self.addresses:
            address.keep_seats(count)

    def close_except(self, kept: Sockets | None) -> None:
        """Close what `kept` does not share, and remove its files."""
        shared = () if kept is None else kept.addresses
        gone = [address for address in self.addresses if address not in shared]
        self.addresses = tuple(address for address in self.addresses if address in shared)
        for address in gone:
            address.unlink()
            address.close()

    def close_except_of(self, seat: int) -> None:
        """In the worker on `seat`: close the copies of the other workers' sockets.

        Were they kept, the kernel would go on queueing connections on them when the master and
        their worker have closed theirs.
        """
        for address in self.addresses:
            address.close_except_of(seat)

    def __str__(self) -> str:
        return ",".join(map(str, self.addresses))


class BindError(ConfigError):
    """An address cannot be listened on. `worth_waiting`: it may be free in a moment."""

    def __init__(self, text: str, error: OSError) -> None:
        self.worth_waiting = error.errno in WORTH_WAITING
        super().__init__(f"cannot listen on {text}: {advice(text, error)}")


def advice(text: str, error: OSError) -> str:
    """What is wrong, and what to do."""
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{reason}; stop what listens there, or choose another address with --bind"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}; no interface of this machine has it"
    if error.errno == errno.EACCES and ":" in text and not text.startswith("unix:"):
        return f"{reason}; ports below 1024 need a privilege, choose one above with --bind"
    return reason
