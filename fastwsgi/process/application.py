"""The application of one reading of the settings, in the master and in its workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastwsgi.config.settings import Settings

# Gives the application that some settings name.
Load = Callable[[Settings], Callable[..., Any]]


class Application:
    """What hooks know as `server.app` and `worker.app`.

    `callable` is the application, None until it was loaded. Where the master loads it, all workers
    forked later have it.
    """

    def __init__(self, settings: Settings, load: Load) -> None:
        self.cfg = settings
        self.callable: Callable[..., Any] | None = None
        self.load = load

    def wsgi(self) -> Callable[..., Any]:
        """The application, loaded now if it was not. Raises AppLoadError."""
        if self.callable is None:
            self.callable = self.load(self.cfg)
        return self.callable
