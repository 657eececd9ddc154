"""The event loop of one worker: epoll under plain Python.

One call of `Reactor.turn` is one `epoll_wait` and one pass over what it returned. The handlers
stand in a list indexed by file descriptor, so the inner loop is an index, a method call, and
nothing else: `_loop` is the only Python frame of ours that a keep-alive request passes through.

Laws:

1. A handler that raises neither stops the loop nor costs another handler its event. It is taken out
   of the reactor, because a level-triggered event that is never consumed would spin, and `on_error`
   is told.
2. An event never reaches a handler that was removed earlier in the same batch, nor a handler that
   was added meanwhile under the same number (the kernel reuses the lowest free one): such a handler
   takes its place when the batch is over. Nothing is lost by that, its own events come with the
   next `epoll_wait`.
3. Events go before deadlines. Once a second the `every_second` callbacks run, after all that is
   ready, so bytes that waited in the kernel while an application was busy are read before their
   connection can be called late. There is no timer per connection and no other source of time than
   the clock, which is read once a turn.
4. `stop` and `wake` may be called from any thread and from a signal handler. Everything else
   belongs to the thread that runs the loop.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from operator import attrgetter
from types import FrameType
from typing import Final, Protocol

from fastwsgi._clock import Clock
from fastwsgi._epoll import BATCH, Poller
from fastwsgi.originals import original

epoll: Final = original("select", "epoll")

FLOOR: Final = __name__.removesuffix("reactor")
SWEEP_SECONDS: Final = 1.0

# Full batches that may go before a sweep that is due: a round of all the connections of a worker,
# and an end to the waiting where every batch is full for good.
BATCHES_BEFORE_SWEEP: Final = 64


class Handler(Protocol):
    """What stands behind a file descriptor in the reactor."""

    def on_event(self, events: int, /) -> None:
        """Take the ready `events`, an `EPOLL*` mask."""


Poll = Callable[[float | None], Poller]
OnError = Callable[[object, Exception], None]


def log_error(source: object, error: Exception) -> None:
    """Write an error that escaped `source`, with its traceback, to the logger `gunicorn.error`."""
    logging.getLogger("gunicorn.error").error("Unhandled error in %r", source, exc_info=error)


class _Vacant:
    """Stands where no handler is: an event for it is out of date and dropped."""

    __slots__ = ()

    def on_event(self, events: int, /) -> None:
        """Do nothing."""


VACANT: Final = _Vacant()


class _WakeUp:
    """The reading end of `Reactor.wake`: an eventfd, which adds up wake-ups until they are read."""

    __slots__ = ("callbacks", "fd")

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.callbacks: tuple[Callable[[], object], ...] = ()

    def on_event(self, events: int, /) -> None:
        """Take the wake-ups so that the next `epoll_wait` blocks again, then look what it is about."""
        os.eventfd_read(self.fd)
        for callback in self.callbacks:
            callback()

    def set(self) -> None:
        """Make the eventfd readable. Nothing happens after `close`, which may come in between."""
        try:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)
        except OSError:
            if self.fd >= 0:
                raise

    def close(self) -> None:
        """Release the eventfd; give its number up first, as a signal handler may call `set`."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def called(frame: FrameType | None) -> FrameType | None:
    """The frame that the reactor, or a handler of this floor for it, called on the way to `frame`.

    None where that itself is what runs, or no reactor does.
    """
    above = None
    while frame is not None and not frame.f_globals.get("__name__", "").startswith(FLOOR):
        above, frame = frame, frame.f_back
    return None if frame is None else above


class Reactor:
    """epoll, handlers by file descriptor, a sweep a second and a wake-up that any thread may send.

    `clock` is where time comes from, the system's monotonic clock unless a test brings its own.
    `on_error` is called with the handler or callback that raised and the exception; it logs unless
    something else is given, and should release what the handler held. `make_poll` turns a Poller
    into what is called in place of its `wait`.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        on_error: OnError = log_error,
        make_poll: Callable[[Poller], Poll] = attrgetter("wait"),
    ) -> None:
        self.clock = clock or Clock()
        self.on_error = on_error
        self._before_wait: Callable[[Poller], object] | None = None
        self._sweeps: tuple[Callable[[], object], ...] = ()
        self._postponed = 0
        self._later: list[Callable[[], object]] = []
        self._handlers: list[Handler] = [VACANT] * 64
        self._removed: set[int] = set()
        self._late: dict[int, Handler] = {}
        self._stopping = False
        self._epoll = epoll()
        self._poller = Poller(self._epoll.fileno(), self.clock, SWEEP_SECONDS)
        self._poll = make_poll(self._poller)
        self._wake_up = _WakeUp()
        self.add(self._wake_up.fd, self._wake_up, select.EPOLLIN)

    def add(self, fd: int, handler: Handler, events: int) -> None:
        """Call `handler.on_event` when one of `events` (an `EPOLL*` mask) is ready on `fd`.

        Raises FileExistsError where `fd` is registered already and OSError where it cannot be
        watched.
        """
        self._epoll.register(fd, events)
        handlers = self._handlers
        if fd >= len(handlers):
            handlers.extend([VACANT] * (fd + 1 - len(handlers) + len(handlers) // 2))
        if fd in self._removed:
            self._late[fd] = handler
        else:
            handlers[fd] = handler

    def modify(self, fd: int, events: int) -> None:
        """Watch `fd` for `events` instead. Raises OSError where `fd` is not registered."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget `fd`; its handler gets no further event, not even one of the present batch.

        To be called before `fd` is closed. Nothing happens where `fd` is not registered.
        """
        handlers = self._handlers
        if fd < 0 or fd >= len(handlers):
            return
        if self._late.pop(fd, None) is None:
            if handlers[fd] is VACANT:
                return
            handlers[fd] = VACANT
            self._removed.add(fd)
        self._epoll.unregister(fd)

    def every_second(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the reactor's thread, at most once in a second of the clock."""
        self._sweeps += (callback,)

    def later(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, behind the present batch. Safe in signal handlers."""
        self._later.append(callback)
        self._poller.asked = True

    def before_wait(self, callback: Callable[[Poller], object]) -> None:
        """Call `callback` on the reactor's thread before each `epoll_wait`, with what waits.

        It must not raise.
        """
        self._before_wait = callback

    def every_wake(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the reactor's thread after `wake` was called, once for many calls.

        It must not raise: that would take the wake-up out of the reactor.
        """
        self._wake_up.callbacks += (callback,)

    @property
    def moment(self) -> float:
        """The present of a sweep, in seconds of the clock: what was ready then has been handled.

        A batch may take long, and what arrives meanwhile is not late for it.
        """
        return self._poller.moment

    @property
    def ready(self) -> int:
        """How many descriptors were ready in the present batch."""
        return len(self._poller)

    def turn(self, timeout: float | None = None) -> int:
        """Wait for events, hand them out, sweep when a second has passed; return their number.

        Waits no longer than `timeout` seconds, and never longer than until the next sweep.
        """
        return self._loop(timeout, once=True)

    def run(self) -> None:
        """Turn until `stop` is called; where it was called before, return at once."""
        if not self._stopping:
            self._loop(None, once=False)
        self._stopping = False

    def _loop(self, timeout: float | None, *, once: bool) -> int:
        # What every turn needs is a local: each attribute read here is read for every request.
        poll, handlers, removed = self._poll, self._handlers, self._removed
        poller, before_wait = self._poller, self._before_wait
        is_due = poller.is_due
        while True:
            if removed:
                self._settle()
            if before_wait is not None:
                before_wait(poller)
            events = poll(timeout)
            try:
                for fd, mask in events:
                    handlers[fd].on_event(mask)
            except Exception as error:
                self._fail(fd, error)
            if is_due():
                self._catch_up(len(events) == BATCH)
            if once or self._stopping:
                return len(events)

    def stop(self) -> None:
        """Make `run` return after the present batch. Safe from threads and signal handlers."""
        self._stopping = True
        self._wake_up.set()

    def wake(self) -> None:
        """End the present or the next wait. Safe from any thread and from signal handlers."""
        self._wake_up.set()

    def close(self) -> None:
        """Release epoll and the wake-up. The registered descriptors stay open, not being ours."""
        self._wake_up.close()
        self._epoll.close()
        self._handlers.clear()
        self._late.clear()
        self._removed.clear()

    def _catch_up(self, full: bool) -> None:
        """Behind a batch, which was `full` or not: what waited for its end, and a sweep if it is time."""
        self._poller.asked = False
        while self._later:
            callback = self._later.pop(0)
            try:
                callback()
            except Exception as error:
                self.on_error(callback, error)
        if self._poller.is_sweep_due():
            self._sweep_due(full)

    def _settle(self) -> None:
        """Between two batches: what reused a number of the last batch takes its place."""
        self._removed.clear()
        for fd, handler in self._late.items():
            self._handlers[fd] = handler
        self._late.clear()

    def sweep(self) -> None:
        """Sweep now; the next is due a second later."""
        self._sweep_due(full=False)

    def _sweep_due(self, full: bool) -> None:
        """Sweep, unless the batch was `full`: then more handlers may be ready, and they go first."""
        if full and self._postponed < BATCHES_BEFORE_SWEEP:
            self._postponed += 1
            return
        self._postponed = 0
        self._poller.begin_period()
        for callback in self._sweeps:
            try:
                callback()
            except Exception as error:
                self.on_error(callback, error)

    def _fail(self, fd: int, error: Exception) -> None:
        """Take out the handler that raised, then serve those that stand behind it in the batch."""
        self._take_out(fd, error)
        for number, mask in self._poller:
            try:
                self._handlers[number].on_event(mask)
            except Exception as another:
                self._take_out(number, another)

    def _take_out(self, fd: int, error: Exception) -> None:
        handler = self._handlers[fd]
        # Vacant: it took itself out before it raised, and its number may have a new owner already.
        if handler is not VACANT:
            self.remove(fd)
        self.on_error(handler, error)
