"""The listening sockets of a master: opened once, handed to every worker, kept through reloads.

Through an upgrade as well, where the next master gets them as descriptors and finds out by their names
which of its addresses each of them is.

With `reuse_port` every worker has a TCP socket of its own, by its seat (0, 1, 2 ...). The master
keeps those open as well: a worker that dies leaves what its socket has queued to its successor.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
from collections.abc import Iterable, Iterator, Sequence

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.net.listener import adopt, bind, display, is_bound_to, parse_address
from fastwsgi.process.privileges import give

WORTH_WAITING = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})


class Address:
    """One bind address and its sockets: one, or one for each seat.

    They are bound now, unless another master left them. Raises OSError, ConfigError.
    """

    def __init__(
        self, text: str, settings: Settings, inherited: Sequence[socket.socket] = ()
    ) -> None:
        self.text = text
        self._target = parse_address(text)
        self._backlog = settings.backlog
        self._scheme = scheme(text, settings)
        self._umask = settings.umask
        by_name = isinstance(self._target, tuple)
        self._sockets = [*inherited] or [
            bind(
                text,
                backlog=self._backlog,
                # A scrape that the kernel gave to one worker would wait until that one is free.
                reuse_port=settings.reuse_port and by_name and text not in settings.metrics_bind,
                umask=self._umask,
            )
        ]
        self._by_seat = by_name and bool(
            self.first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        )
        if self.file and not inherited:
            give(self.file, settings)

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

    def __iter__(self) -> Iterator[socket.socket]:
        return iter(self._sockets)

    def keep_seats(self, count: int) -> None:
        """Close the sockets of seats that are no more; their workers empty them."""
        while len(self._sockets) > max(1, count):
            self._sockets.pop().close()

    def adopt(self, settings: Settings) -> Address:
        """The same sockets under new settings."""
        self._backlog = settings.backlog
        self._scheme = scheme(self.text, settings)
        if not isinstance(self._target, int):  # whoever opened it said how long its queue is
            for sock in self._sockets:
                sock.listen(self._backlog)
        if self.file and settings.umask != self._umask:
            self._umask = settings.umask
            with contextlib.suppress(OSError):
                os.chmod(self.file, 0o777 & ~self._umask)
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

    @property
    def file(self) -> str:
        """The file of a unix socket of ours; empty where there is none."""
        path = self._target
        return path if isinstance(path, str) and not path.startswith("\0") else ""

    def unlink(self) -> None:
        """Remove the file of a unix socket."""
        if self.file:
            with contextlib.suppress(OSError):
                os.unlink(self.file)

    def filenos(self) -> list[int]:
        return [sock.fileno() for sock in self._sockets]


def scheme(text: str, settings: Settings) -> str:
    """How an address begins where it is displayed; metrics are not encrypted."""
    return "http" if text in settings.metrics_bind else settings.url_scheme


class Sockets:
    """The addresses of one generation of workers."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self.addresses = tuple(addresses)

    @classmethod
    def open(
        cls, bind: Sequence[str], settings: Settings, present: Sockets | None = None
    ) -> Sockets:
        """Bind the addresses `bind`, taking over what `present` has of them.

        Raises ConfigError for a malformed address and BindError where one cannot be had; then
        nothing has changed.
        """
        held = {} if present is None else {address.text: address for address in present.addresses}
        opened: dict[str, Address] = {}
        for text in bind:
            if text in held or text in opened:
                continue
            try:
                opened[text] = Address(text, settings)
            except OSError as error:
                cls(opened.values()).close_except(None)
                raise BindError(text, error) from error
        return cls(
            opened[text] if text in opened else held[text].adopt(settings)
            for text in dict.fromkeys(bind)
        )

    @classmethod
    def inherit(cls, fds: Iterable[int], bind: Sequence[str], settings: Settings) -> Sockets:
        """What another master left, each socket under that of the addresses `bind` that it has.

        Those that no address wants are closed. Raises BindError where a descriptor is no listening
        socket.
        """
        sockets: dict[object, list[socket.socket]] = {}
        addresses: list[Address] = []
        try:
            for fd in fds:
                with told(f"fd://{fd}"):
                    sock = adopt(fd)
                sockets.setdefault(sock.getsockname(), []).append(sock)
            for text in dict.fromkeys(bind):
                with told(text):
                    found = [name for name, group in sockets.items() if is_bound_to(group[0], text)]
                if found:
                    addresses.append(Address(text, settings, sockets.pop(found[0])))
        except BindError:
            cls(addresses).close_except(None, unlink=False)
            raise
        finally:
            for sock in itertools.chain(*sockets.values()):
                sock.close()
        return cls(addresses)

    def __iter__(self) -> Iterator[socket.socket]:
        return (sock for address in self.addresses for sock in address)

    def of_seat(self, seat: int) -> list[socket.socket]:
        """What the worker on `seat` listens on. Raises OSError if binding one fails."""
        return [address.of_seat(seat) for address in self.addresses]

    def keep_seats(self, count: int) -> None:
        for address in self.addresses:
            address.keep_seats(count)

    def close_except(self, kept: Sockets | None, *, unlink: bool = True) -> None:
        """Close what `kept` does not share, and with `unlink` remove its files."""
        shared = () if kept is None else kept.addresses
        gone = [address for address in self.addresses if address not in shared]
        self.addresses = tuple(address for address in self.addresses if address in shared)
        for address in gone:
            if unlink:
                address.unlink()
            address.close()

    def filenos(self) -> list[int]:
        """The descriptors of all sockets, in the order of the addresses and their seats."""
        return [fd for address in self.addresses for fd in address.filenos()]

    def close_except_of(self, seat: int) -> None:
        """In the worker on `seat`: close the copies of the other workers' sockets.

        Were they kept, the kernel would go on queueing connections on them when the master and
        their worker have closed theirs.
        """
        for address in self.addresses:
            address.close_except_of(seat)

    def __str__(self) -> str:
        return ",".join(map(str, self.addresses))


@contextlib.contextmanager
def told(text: str) -> Iterator[None]:
    """Make of an OSError inside a BindError that names the address."""
    try:
        yield
    except OSError as error:
        raise BindError(text, error) from error


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
