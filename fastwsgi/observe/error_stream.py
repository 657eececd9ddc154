"""wsgi.errors: the application's text goes where the error log goes (PEP 3333, "Input and Error Streams")."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import TextIO


class ErrorStream:
    """A text stream over every stream that `logger` writes to; standard error where it has none."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, text: str) -> None:
        """Write `text` at once; an error log is not worth losing a line of."""
        for stream in self._streams():
            stream.write(text)
            stream.flush()

    def _streams(self) -> list[TextIO]:
        """Those of now: handlers come and go, and open their files anew."""
        return [
            handler.stream
            for handler in self._logger.handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is not None
        ] or [sys.stderr]

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every one of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing waits."""
