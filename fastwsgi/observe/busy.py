"""How many calls of the application are under way in a worker.

A module of its own, as a request that takes too long is ended where its code is what runs, and what
stands around the application must be told from the rest of the server by its module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Application = Callable[..., Any]


class Busy:
    """Counts in `cell`, a memory of one number that nobody else writes."""

    def __init__(self, cell: memoryview) -> None:
        self._cell = cell
        self._lock = threading.Lock()

    def around(self, app: Application) -> Application:
        """Return `app` with what counts its calls before it."""
        cell, lock = self._cell, self._lock

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            with lock:
                cell[0] += 1
            return app(environ, start_response)

        return counted

    def over(self, exchange: object, environ: object) -> None:
        """A call is over, the iterable's close() included."""
        with self._lock:
            self._cell[0] -= 1
