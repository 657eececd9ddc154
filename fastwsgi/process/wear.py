"""When a worker has lived long enough, by its memory or by its age."""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Final

from fastwsgi.config.settings import Settings
from fastwsgi.observe.logs import ERROR

MEBIBYTE: Final = 1 << 20
SPREAD: Final = 10  # a lifetime is up to this part of it longer


class Wear:
    """The bounds of one worker, to be made when it is ready.

    A bound that a fresh worker is beyond would have it replaced for ever: it is warned of instead.
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_rss or math.inf
        self._born = time.monotonic()
        self._lifetime = math.inf
        if settings.max_lifetime:
            chance = int.from_bytes(os.urandom(2), "little") / 0xFFFF
            self._lifetime = settings.max_lifetime * (1 + chance / SPREAD)
        if settings.max_rss and (used := resident()) > self._most:
            self._most = math.inf
            logging.getLogger(ERROR).warning(
                "max_rss does nothing: a worker that is ready has %s MiB, and is to have no more than %s",
                used // MEBIBYTE,
                settings.max_rss // MEBIBYTE,
            )

    def why(self) -> str:
        """Why to replace the worker; an empty string while there is no reason."""
        age = time.monotonic() - self._born
        if age > self._lifetime:
            return f"it is {age:.0f} seconds old (max_lifetime)"
        if self._most < math.inf and (used := resident()) > self._most:
            return f"it has {used // MEBIBYTE} MiB of memory (max_rss)"
        return ""


def resident() -> int:
    """The memory of this process that is resident, in bytes (proc(5), statm)."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
