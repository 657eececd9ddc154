"""Signals as a queue that a loop reads when it is ready for them.

The handler only notes the number; whoever owns the queue acts on it in its own loop, where logging,
forking and changing state are safe. The queue has a descriptor to wait on, so nobody polls.

Laws:

1. No signal is lost. Python's handler notes every one it runs for, however many come at once; the
   bytes in the pipe only wake, so a full pipe loses nothing.
2. No wake-up is lost. The byte is written by the C handler (`signal.set_wakeup_fd`), before any
   wait could begin, and once more by the noting handler, in case the application took the wake-up
   descriptor for itself, as asyncio does.
3. Around a fork the signals are blocked (`blocked`): what arrives then is delivered to the child's
   own queue, not to its copy of the parent's.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Final

from fastwsgi.originals import original

# From the master to a worker that is silent: say what it is doing, and end that. Not ABRT, which
# faulthandler has for itself; and nobody's meaning that a supervisor would send to all processes.
TIMEOUT: Final = signal.SIGRTMIN

set_handler: Final = original("signal", "signal")
make_poll: Final = original("select", "poll")

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class SignalQueue:
    """Takes `numbers` from the process until it is closed. Main thread only.

    `on_arrival(number, frame)` is called in the signal handler itself, for what cannot wait for the
    loop; what it raises, it raises in `frame`.
    """

    def __init__(
        self,
        numbers: Iterable[int],
        on_arrival: Callable[[int, FrameType | None], None] | None = None,
    ) -> None:
        self.numbers = frozenset(numbers)
        self._pending: list[int] = []
        self._on_arrival = on_arrival
        self.fd, self._ringer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._ringer, warn_on_full_buffer=False)
        self.take_back()

    def take_back(self) -> None:
        """Install our handlers, once more if others have installed theirs."""
        for number in self.numbers:
            set_handler(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pending.append(number)
        with contextlib.suppress(OSError):  # full: a wake-up is waiting already; or closed
            os.write(self._ringer, b"\0")
        if self._on_arrival is not None:
            self._on_arrival(number, frame)

    def take(self) -> list[int]:
        """What came since the last time: in order, but what ends the process goes first."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass
        taken = self._pending[:]
        del self._pending[: len(taken)]
        return sorted(taken, key=lambda number: number not in ENDING)

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Hold the signals back in the kernel; they are delivered at the end."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self.numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def abandon(self) -> None:
        """In a forked child: give up the parent's queue, leaving its handlers to be replaced."""
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._ringer)

    def close(self) -> None:
        """Take none any more. What comes now comes too late: it is not to end a process that ends."""
        for number in self.numbers - {signal.SIGCHLD}:
            set_handler(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.fd)
        os.close(self._ringer)


@contextlib.contextmanager
def handlers_kept(numbers: Iterable[int]) -> Iterator[None]:
    """Put the handlers of `numbers` back at the end, whoever took the signals meanwhile."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            set_handler(number, signal.SIG_DFL if handler is None else handler)


def wait_readable(fds: Iterable[int], seconds: float | None) -> None:
    """Sleep until one of `fds` is readable, at most `seconds`; None: however long it takes."""
    poll = make_poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    # Rounded up: a wait that ends before its time would be a loop that spins until then.
    poll.poll(None if seconds is None else max(0, int(seconds * 1000) + 1))
