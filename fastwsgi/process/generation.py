"""The workers of one reading of the settings."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastwsgi.config.settings import Settings
from fastwsgi.process.application import Application, Load
from fastwsgi.process.sockets import Sockets

if TYPE_CHECKING:
    from fastwsgi.net.tls import Endpoint


class Generation:
    """What a set of workers has in common.

    `count` is how many there should be, `begun` when it was made, in seconds of the monotonic clock.
    """

    __slots__ = ("app", "begun", "count", "endpoint", "settings", "sockets")

    def __init__(
        self, settings: Settings, sockets: Sockets, load: Load, endpoint: Endpoint | None
    ) -> None:
        self.settings = settings
        self.sockets = sockets
        self.app = Application(settings, load)
        self.endpoint = endpoint
        self.count = settings.workers
        self.begun = time.monotonic()

    @property
    def public(self) -> int:
        """How many of the addresses are the application's; those for metrics stand behind them."""
        return len(self.sockets.addresses) - len(self.settings.metrics_bind)

    @property
    def public_sockets(self) -> Iterator[socket.socket]:
        """The application's sockets, those of all seats."""
        return itertools.chain.from_iterable(self.sockets.addresses[: self.public])
