"""What went wrong with a request, in the error log; in gunicorn's words where it has the same."""

from __future__ import annotations

import traceback
from types import FrameType
from typing import Any

from fastwsgi._line import escape
from fastwsgi.errors import Refusal
from fastwsgi.observe.logs import Log


class Reports:
    """The reports of one worker, to `log`."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def refusal(self, remote_addr: str, refusal: Refusal) -> None:
        """A request was refused before the application saw it; of late clients only for debugging."""
        log = self._log.debug if refusal.status == 408 else self._log.warning
        log("Invalid request from ip=%s: %s", remote_addr, refusal.message)

    def application_error(self, environ: dict[str, Any], error: BaseException | str) -> None:
        """The application did something wrong, or raised `error`."""
        if isinstance(error, BaseException):
            self._log.exception("Error handling request %s", named(environ), exc_info=error)
        else:
            self._log.error("Error handling request %s: %s", named(environ), error)

    def overdue(
        self, environ: dict[str, Any], where: str, frame: FrameType | None, seconds: float
    ) -> None:
        """A request was taken from its thread or greenlet, which is at `frame`."""
        stack = "".join(traceback.format_stack(frame)) if frame else "it has ended meanwhile\n"
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
