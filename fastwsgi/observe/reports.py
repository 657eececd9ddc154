"""What went wrong with a request, in the error log; in gunicorn's words where it has the same.

Laws:

1. What a client can cause at will, without the application, is one line a second of each kind, however
   often it happens (`Repeats`). What an application raises is always logged.
2. Nothing that a client sent stands in a line unescaped.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Hashable
from types import FrameType
from typing import Any

from fastwsgi._line import escape
from fastwsgi.errors import Refusal
from fastwsgi.observe.logs import Log

Write = Callable[[str], object]


class Repeats:
    """Lines that may come in floods: of each kind the first at once, then one a second for all the others.

    A kind is whatever two such lines are alike in; there is to be a bounded number of kinds. No line
    is lost where there are two in a second. For any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Of each kind that was written: how many came after that, and what writes the last of them.
        self._kinds: dict[Hashable, tuple[int, Write]] = {}

    def say(self, kind: Hashable, write: Write) -> None:
        """Call `write(addition)` now or in `sweep`; `addition` says how many there were besides."""
        with self._lock:
            count, _ = self._kinds.get(kind, (-1, write))
            self._kinds[kind] = count + 1, write
        if count < 0:
            write("")

    def sweep(self) -> None:
        """Write what is left of the last second. To be called once a second, and in the end."""
        with self._lock:
            left = {kind: said for kind, said in self._kinds.items() if said[0]}
            self._kinds = {kind: (0, write) for kind, (_, write) in left.items()}
        for count, write in left.values():
            write(f" (and {count - 1:,} more like this in the last second)" if count > 1 else "")


class Reports:
    """The reports of one worker, to `log`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._repeats = Repeats()
        self.sweep = self._repeats.sweep

    def refusal(self, remote_addr: str, refusal: Refusal) -> None:
        """A request was refused before the application saw it; of late clients only for debugging."""
        log = self._log.debug if refusal.status == 408 else self._log.warning
        self._repeats.say(
            refusal,
            lambda more: log(
                "Invalid request from ip=%s: %s%s", remote_addr, refusal.message, more
            ),
        )

    def application_error(self, environ: dict[str, Any], error: BaseException | str) -> None:
        """The application raised `error`, or did something wrong that was put right, and `error` says what."""
        if isinstance(error, BaseException):
            self._log.exception("Error handling request %s", named(environ), exc_info=error)
        else:
            request = named(environ)
            self._repeats.say(
                error,
                lambda more: self._log.error(
                    "Error handling request %s: %s%s", request, error, more
                ),
            )

    def overdue(
        self, environ: dict[str, Any], where: str, frame: FrameType | None, seconds: float
    ) -> None:
        """A request was taken from its thread or greenlet, which is at `frame`; None where nobody can say."""
        stack = "".join(traceback.format_stack(frame)) if frame else "a place that is not known\n"
        self._log.error(
            "Request %s overran request_timeout: %.0f s in %s, which is here:\n%s",
            named(environ),
            seconds,
            where,
            stack.rstrip(),
        )

    def stuck(self, stuck: int, threads: int) -> None:
        """Too many threads do not come back."""
        self._log.error("%s of %s threads are stuck; the worker is replaced", stuck, threads)

    def out_of_memory(self) -> None:
        """The application had none."""
        self._log.error("The worker is out of memory and is replaced")


def named(environ: dict[str, Any]) -> str:
    """A request by its method and target."""
    return escape(f"{environ.get('REQUEST_METHOD', '-')} {environ.get('RAW_URI', '-')}")
