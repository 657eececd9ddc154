"""`gunicorn.errors`."""

from __future__ import annotations

from fastwsgi.errors import AppLoadError as AppImportError
from fastwsgi.errors import ConfigError

__all__ = ["AppImportError", "ConfigError", "HaltServer"]


class HaltServer(ConfigError):
    """Raised by a hook to end the server: `reason` is what is said, `exit_status` the exit code."""

    def __init__(self, reason: str, exit_status: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exit_code = self.exit_status = exit_status
