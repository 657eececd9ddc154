"""The file that holds the master's process id."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from fastwsgi.errors import ConfigError

MODE: Final = 0o644
DRAFT_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Pidfile:
    """A pidfile at `path`, kept from `create` to `remove`."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def create(self) -> None:
        """Write our process id.

        Replaces the file of a process that is gone. Raises ConfigError where that process still
        runs, and where the file cannot be written.
        """
        owner = self.owner()
        if owner not in (0, os.getpid()) and is_running(owner):
            raise ConfigError(
                f"Already running on PID {owner}, as the pidfile {self.path!r} says;"
                " stop that process first, or name another file"
            )
        # Written aside and renamed, so that a reader finds a whole number or no file.
        draft = f"{self.path}.{os.getpid()}"
        try:
            fd = os.open(draft, DRAFT_FLAGS, MODE)
            try:
                os.fchmod(fd, MODE)  # whatever the umask: who may stop the server can read it
                os.write(fd, b"%d\n" % os.getpid())
            finally:
                os.close(fd)
            os.rename(draft, self.path)
        except OSError as error:
            raise ConfigError(f"the pidfile {self.path!r}: {error.strerror}") from None

    def move(self, path: str) -> None:
        """Become the file at `path`, in the place of whatever is there. Raises OSError."""
        path = os.path.abspath(path)
        os.rename(self.path, path)
        self.path = path

    def remove(self) -> None:
        """Remove the file if it is still ours."""
        if self.owner() == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def owner(self) -> int:
        """The process id in the file; 0 where there is no file or no number in it."""
        try:
            with open(self.path, "rb") as file:
                return max(0, int(file.read(32)))
        except (OSError, ValueError):
            return 0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
