"""Listening sockets: the addresses they are named by, and the accepting.

A `Listener` takes connections in batches, and hands each as a file descriptor and an address to a
factory. A batch is half as many as all descriptors that were ready, so that a flood of them does not
keep the established ones waiting; a single one where nothing else is to be done, for the kernel makes
a file before it looks whether anybody waits, and an accept in vain costs as much as another. The next
`epoll_wait` tells what is left. Several workers may share a socket: then each watches it with
EPOLLEXCLUSIVE, and the kernel wakes one of them for a connection, not all.

Laws:

1. Out of file descriptors is a state, not an error: accepting rests until a connection is closed,
   or the next sweep. Once a second the spare descriptor is given up and one waiting client is
   accepted and closed, so that it gets a clear end instead of silence. One line is logged in
   `LOG_SECONDS`, however long it lasts.
2. An error that concerns only the connection that was about to be accepted is passed over.
3. A descriptor the factory failed on is closed; it is the factory's once it returned.
4. Draining accepts what the kernel had queued, then leaves the socket alone for good.
"""

from __future__ import annotations

import enum
import errno
import logging
import os
import re
import select
import socket
import stat
import threading
from collections.abc import Callable
from typing import Any, Final

from fastwsgi._accept import Acceptor
from fastwsgi.errors import ConfigError
from fastwsgi.net.reactor import Reactor
from fastwsgi.originals import original

Socket: Final = original("socket", "socket")
getaddrinfo: Final = original("socket", "getaddrinfo")

DEFAULT_PORT: Final = 8000
DEFAULT_BACKLOG: Final = 2048

# Connections accepted at once where workers share the socket: what one of them takes, the others cannot.
SHARED_BATCH: Final = 8

LOG_SECONDS: Final = 10.0

# Bytes that the kernel takes of an answer before it can send them (tcp(7)). Without a bound it
# takes megabytes for a client that reads nothing, and keeps them after the connection is closed.
UNSENT: Final = 262144

# What accept(2) returns for a connection that failed while it was queued, or that a firewall
# refused.
PASSED_OVER: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)

NO_DESCRIPTOR_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})

# The length of sun_path, less the end of the string.
UNIX_PATH_BYTES: Final = 107

Address = Any  # as the socket module gives it: a tuple for TCP, a str or bytes for unix sockets
Factory = Callable[[int, Address], object]


def parse_address(address: str) -> tuple[str, int] | str | int:
    """Read a bind address: (host, port), the path of a unix socket, or an inherited descriptor.

    Forms: `HOST`, `HOST:PORT`, `:PORT`, `[IPv6]:PORT`, each also behind `tcp://`, the port being
    8000 where none is given and the host 0.0.0.0; `unix:PATH`, `unix://PATH`, `unix:@NAME` for the
    abstract namespace (its path begins with NUL, which is understood as well); `fd://N`. Raises
    ConfigError.
    """
    if address.startswith("unix:"):
        return _unix_path(address, address.removeprefix("unix:").removeprefix("//"))
    if address.startswith("\0"):
        return _unix_path(address, address)
    if address.startswith("fd://"):
        return _inherited(address, address.removeprefix("fd://"))
    return _host_and_port(address, address.removeprefix("tcp://"))


def bind(
    address: str, *, backlog: int = DEFAULT_BACKLOG, reuse_port: bool = False, umask: int = 0
) -> socket.socket:
    """Return a listening, non-blocking socket for `address` (see `parse_address`).

    `backlog` is the number of connections the kernel queues, `umask` holds for the file of a unix
    socket. The file of a unix socket that nobody answers on is replaced. Raises ConfigError for a
    malformed address and OSError where the socket cannot be had.
    """
    target = parse_address(address)
    if isinstance(target, int):
        return adopt(target)
    if isinstance(target, str):
        return _bind_unix(target, backlog, umask)
    return _bind_tcp(target, backlog, reuse_port)


def display(sock: socket.socket, scheme: str = "http") -> str:
    """Name a bound socket as people write it: `http://127.0.0.1:8000`, `unix:/run/app.sock`."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        path = os.fsdecode(name)
        return f"unix:@{path[1:]}" if path.startswith("\0") else f"unix:{path}"
    host, port = name[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_bound_to(sock: socket.socket, address: str) -> bool:
    """Whether a socket that somebody else bound is what `bind` would make of `address`.

    Port 0 is any port. Raises ConfigError for a malformed address, OSError for an unknown host.
    """
    target = parse_address(address)
    if isinstance(target, int):
        return sock.fileno() == target
    name = sock.getsockname()
    if isinstance(target, str):
        return sock.family == socket.AF_UNIX and os.fsdecode(name) == target
    family, _, _, _, where = _resolve(target)
    return sock.family == family and name[0] == where[0] and where[1] in (0, name[1])


class State(enum.Enum):
    """What a `Listener` is doing."""

    ACCEPTING = "accepting"
    FULL = "full"  # until resume(): the worker has as many connections as it may
    STARVED = "starved"  # until resume() or the next sweep: no descriptor or memory was to be had
    STOPPED = "stopped"


class Complaints:
    """When listeners last complained that they cannot accept; those of one socket have it in common."""

    def __init__(self) -> None:
        self._after = 0.0
        self._lock = threading.Lock()

    def are_due(self, now: float) -> bool:
        """Whether one is to be logged at `now`, in seconds of the clock."""
        with self._lock:
            due = now >= self._after
            if due:
                self._after = now + LOG_SECONDS
        return due


class Listener:
    """A bound socket in a reactor; every connection goes to `factory(fd, address)`.

    `fd` is a blocking, close-on-exec socket that belongs to the factory once it returned. `shared`
    says that other reactors accept from the same socket; `backlog` bounds what a drain accepts at
    once. `complaints` are those of the process about this socket. `greet()` is called behind each
    batch; `on_starved()` when descriptors or memory are wanting, so that it waits for a `resume`.
    Accepting begins with the construction. The socket itself stays the property of whoever bound it.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        factory: Factory,
        *,
        shared: bool = False,
        backlog: int = DEFAULT_BACKLOG,
        complaints: Complaints | None = None,
        greet: Callable[[], object] = lambda: None,
        on_starved: Callable[[], object] = lambda: None,
    ) -> None:
        self.sock = sock
        self.state = State.STOPPED
        self._reactor = reactor
        self._factory = factory
        self._greet = greet
        self._on_starved = on_starved
        self._accept_one = Acceptor(sock.fileno()).accept
        self._events = select.EPOLLIN | (select.EPOLLEXCLUSIVE if shared else 0)
        self._shared = shared
        self._backlog = backlog
        self._draining = False
        self._spare = -1
        self._may_turn_away = True
        self._log = logging.getLogger("gunicorn.error")
        self._complaints = complaints or Complaints()
        sock.setblocking(False)
        self._keep_spare()
        self._start()
        reactor.every_second(self._each_second)

    def on_event(self, events: int, /) -> None:
        """Accept one batch, when those that are open have had their turn."""
        self._reactor.later(self._accept_batch)

    @property
    def stopped(self) -> bool:
        """Whether it has accepted its last connection."""
        return self.state is State.STOPPED

    @property
    def paused(self) -> bool:
        """Whether `pause` was the last that it was told."""
        return self.state is State.FULL

    def pause(self) -> None:
        """Leave new connections in the kernel's queue until `resume`; for a worker that is full."""
        if self.state in (State.ACCEPTING, State.STARVED):
            self._leave(State.FULL)

    def resume(self) -> None:
        """Accept again after `pause`, or when what was wanting may have been given back."""
        if self.state in (State.FULL, State.STARVED):
            self._start()

    def drain(self) -> None:
        """Accept what is queued in the kernel, then stop for good.

        Where the listener is paused before the queue is empty, the drain goes on when it resumes.
        """
        self._draining = True
        if self.state is State.ACCEPTING:
            self._reactor.remove(self.sock.fileno())
            self._drain()

    def close(self) -> None:
        """Stop accepting at once and release the spare descriptor. The socket stays open."""
        self._leave(State.STOPPED)
        self._drop_spare()

    def _start(self) -> None:
        self.state = State.ACCEPTING
        if self._draining:
            self._drain()
        else:
            self._reactor.add(self.sock.fileno(), self, self._events)

    def _leave(self, state: State) -> None:
        if self.state is State.ACCEPTING and not self._draining:
            self._reactor.remove(self.sock.fileno())
        self.state = state

    def _drain(self) -> None:
        self._accept(self._backlog)
        if self.state is State.ACCEPTING:
            self.close()

    def _accept_batch(self) -> None:
        half = max(self._reactor.ready // 2, 1)
        self._accept(min(half, SHARED_BATCH) if self._shared else half)

    def _accept(self, most: int) -> None:
        """Accept up to `most` connections, fewer where the queue is empty or the state changes."""
        while most > 0 and self.state is State.ACCEPTING:
            most -= 1
            try:
                accepted = self._accept_one()
            except OSError as error:
                if error.errno not in PASSED_OVER:
                    self._starve(error)
                continue
            if accepted is None:
                break
            try:
                self._factory(*accepted)
            except Exception:
                self._discard(accepted[0])
        self._greet()

    def _discard(self, fd: int) -> None:
        self._reactor.remove(fd)
        os.close(fd)
        self._log.exception("Could not take a connection on %s", display(self.sock))

    def _starve(self, error: OSError) -> None:
        """Rest for a while; without it, the event that cannot be answered would spin."""
        self._leave(State.STARVED)
        self._on_starved()
        if error.errno in NO_DESCRIPTOR_LEFT and self._may_turn_away:
            self._may_turn_away = False
            self._turn_one_away()
        if self._complaints.are_due(self._reactor.clock.monotonic()):
            self._log.error(
                "Cannot accept on %s: %s; trying again every second",
                display(self.sock),
                error.strerror,
            )

    def _turn_one_away(self) -> None:
        self._drop_spare()
        try:
            accepted = self._accept_one()
        except OSError:
            accepted = None  # another thread was quicker to take the descriptor
        if accepted is not None:
            os.close(accepted[0])
        self._keep_spare()

    def _each_second(self) -> None:
        self._may_turn_away = True
        if self._spare < 0 and self.state is not State.STOPPED:
            self._keep_spare()
        if self.state is State.STARVED:
            self._start()
        elif self._shared and self.state is State.ACCEPTING:
            # The kernel woke one worker for a connection. If that one was full, or died, nobody
            # else hears of it before the next connection arrives.
            self._accept(SHARED_BATCH)

    def _keep_spare(self) -> None:
        try:
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._spare = -1

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, -1
        if spare >= 0:
            os.close(spare)


def _unix_path(address: str, path: str) -> str:
    if path.startswith("@"):
        path = "\0" + path[1:]
    if path in ("", "\0"):
        raise ConfigError(f"bind address {address!r}: there is no path after 'unix:'")
    if "\0" in path[1:]:
        raise ConfigError(f"bind address {address!r}: a path cannot contain NUL")
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise ConfigError(
            f"bind address {address!r}: the path is longer than {UNIX_PATH_BYTES} bytes, "
            "which is all a unix socket takes"
        )
    return path


def _inherited(address: str, number: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", number, re.ASCII):
        raise ConfigError(f"bind address {address!r}: 'fd://' takes a number, as in 'fd://3'")
    return int(number)


def _host_and_port(address: str, rest: str) -> tuple[str, int]:
    if "://" in rest:
        raise ConfigError(
            f"bind address {address!r}: {rest.partition('://')[0]!r} is not known here; "
            "write HOST:PORT, unix:PATH or fd://N"
        )
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or not _is_ipv6(host):
            raise ConfigError(f"bind address {address!r}: an IPv6 address is written '[::1]:8000'")
        return host, _port(address, port[1:] if port else None)
    if rest.count(":") > 1:
        raise ConfigError(
            f"bind address {address!r}: more than one ':'; an IPv6 address is written '[::1]:8000'"
        )
    host, colon, port = rest.partition(":")
    if not re.fullmatch(r"[^\s/@?#\[\]\x00-\x20]*", host):
        raise ConfigError(f"bind address {address!r}: {host!r} is not a host name")
    return host or "0.0.0.0", _port(address, port if colon else None)


def _port(address: str, text: str | None) -> int:
    if text is None:
        return DEFAULT_PORT
    if not re.fullmatch("[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:
        raise ConfigError(f"bind address {address!r}: {text!r} is not a port from 0 to 65535")
    return int(text)


def _is_ipv6(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return False
    return True


def _resolve(target: tuple[str, int]) -> Any:
    """The first answer of getaddrinfo that a socket is bound to."""
    host, port = target
    # As bytes, an ASCII name does not pull in the IDNA codec and its tables.
    name = host.encode() if host.isascii() else host
    try:
        found = getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:
        raise ConfigError(f"bind address: {host!r} is not a host name") from None
    # A name with both kinds of address is bound as gunicorn binds it, by IPv4.
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)


def _bind_tcp(target: tuple[str, int], backlog: int, reuse_port: bool) -> socket.socket:
    family, kind, proto, _, where = _resolve(target)
    sock: socket.socket = Socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _tune(sock)
        sock.setblocking(False)
        sock.bind(where)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket) -> None:
    """Set what accepted sockets inherit: one call here instead of one for each connection."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)


def _bind_unix(path: str, backlog: int, umask: int) -> socket.socket:
    if not path.startswith("\0"):
        _remove_stale(path)
    sock: socket.socket = Socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        before = os.umask(umask)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove the file of a unix socket nobody listens on; FileExistsError where it is no socket."""
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "The file exists and is not a socket", path)
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass  # somebody is there, with a full queue or for others only: bind will tell


def adopt(fd: int) -> socket.socket:
    """Take over a listening socket that another process opened. Raises OSError where it is none."""
    sock: socket.socket = Socket(fileno=fd)
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, f"File descriptor {fd} is not a listening socket")
        if sock.family != socket.AF_UNIX:
            _tune(sock)
        sock.set_inheritable(False)
        sock.setblocking(False)
    except BaseException:
        sock.detach()
        raise
    return sock
