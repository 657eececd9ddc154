"""Connections on their way in: what has to pass on a socket before its protocol begins.

A PROXY header or a TLS handshake is an `Arrival`: a handler that takes events until it is through,
then gives the socket on, or closes it. `Arrivals` is all those of one worker. They count as its
connections, and none lasts longer than it may.

Laws:

1. An arrival owns its descriptor until `leave`; whoever was called next owns it from there.
2. Whatever an arrival raises closes it first.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any, Final

from fastwsgi.net.reactor import Reactor

# What is watched for. Edge-triggered: an arrival may leave in the kernel what it cannot use yet.
INPUT: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
OUTPUT: Final = select.EPOLLOUT | select.EPOLLET

DRAIN_SECONDS: Final = 1.0  # for what has not come when the worker drains


class Arrivals:
    """The arrivals of one worker, in the order of their deadlines.

    Each may last `seconds`; `on_change()` is called when one was closed. `len` says how many there
    are.
    """

    def __init__(self, reactor: Reactor, seconds: float, on_change: Callable[[], object]) -> None:
        self.reactor = reactor
        self._seconds = seconds
        self._on_change = on_change
        self._deadlines: dict[Arrival, float] = {}
        reactor.every_second(self._sweep)

    def __len__(self) -> int:
        return len(self._deadlines)

    def add(self, arrival: Arrival) -> None:
        """Count `arrival`, from now until it is removed."""
        self._deadlines[arrival] = self.reactor.clock.monotonic() + self._seconds

    def remove(self, arrival: Arrival) -> None:
        """Forget `arrival`, which is through."""
        del self._deadlines[arrival]

    def removed(self) -> None:
        """Say that there is room for another connection."""
        self._on_change()

    def drain(self) -> None:
        """Let none wait much longer from now on."""
        self._seconds = min(self._seconds, DRAIN_SECONDS)
        soon = self.reactor.clock.monotonic() + self._seconds
        for arrival, deadline in self._deadlines.items():
            self._deadlines[arrival] = min(deadline, soon)

    def close(self) -> None:
        """Close every one at once."""
        for arrival in list(self._deadlines):
            arrival.close()

    def _sweep(self) -> None:
        late = []
        for arrival, deadline in self._deadlines.items():
            if deadline > self.reactor.moment:
                break
            late.append(arrival)
        for arrival in late:
            arrival.expire()


class Arrival:
    """One connection on its way in: `fd`, and the `address` of its peer as accept returned it.

    A subclass says in `advance` what to do when the socket is ready.
    """

    __slots__ = ("address", "arrivals", "fd")

    def __init__(self, arrivals: Arrivals, fd: int, address: Any, events: int = INPUT) -> None:
        self.arrivals = arrivals
        self.fd = fd
        self.address = address
        arrivals.reactor.add(fd, self, events)
        arrivals.add(self)

    def on_event(self, events: int, /) -> None:
        """Go on; whatever that raises ends the connection."""
        try:
            self.advance()
        except BaseException:
            if self.fd >= 0:
                self.close()
            raise

    def advance(self) -> None:
        """Take what the socket has."""
        raise NotImplementedError

    def expire(self) -> None:
        """It has taken too long."""
        self.close()

    def leave(self) -> int:
        """Give up the descriptor and return it: the caller's from now on."""
        fd, self.fd = self.fd, -1
        self.arrivals.reactor.remove(fd)
        self.arrivals.remove(self)
        return fd

    def close(self) -> None:
        """End the connection."""
        os.close(self.leave())
        self.arrivals.removed()
