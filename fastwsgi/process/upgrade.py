"""An upgrade in place: a new master beside the old one, on the same sockets.

USR2 has the old master fork and execute its own command anew. The sockets go along, and two
variables of gunicorn's say so: GUNICORN_PID, the old master, and GUNICORN_FD, the descriptors; of
sockets that systemd opened its own variables say it.

Both serve until one of them is told to leave. If the old one goes, the kernel tells the new one
(PR_SET_PDEATHSIG), which then takes the name and the pidfile of its parent. If the new one goes,
the old one buries it, and all is as it was. While both are there neither removes what both use.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Final, NoReturn

from fastwsgi._prctl import signal_when_parent_dies
from fastwsgi.errors import ConfigError
from fastwsgi.originals import original
from fastwsgi.process import systemd

PARENT_VARIABLE: Final = "GUNICORN_PID"
SOCKETS_VARIABLE: Final = "GUNICORN_FD"
SUFFIX: Final = ".2"

# What is meant for one process alone, and wrong for the next.
PERSONAL: Final = (PARENT_VARIABLE, SOCKETS_VARIABLE, *systemd.SOCKET_VARIABLES)

set_handler: Final = original("signal", "signal")


class Succession:
    """The masters before and after this one.

    `parent` is the master that this one is to succeed, and `successor` the one that USR2 made: pids,
    0 where there is none. Of what the parent left, `fds` are the sockets it opened; `activated` are
    sockets that systemd opened, which take the place of `bind`. Takes its variables from `environ`. Raises
    ConfigError where they make no sense.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.successor = 0
        self.activated = systemd.take_sockets(environ)
        # Another number is that of a master that is gone already, or was never ours.
        self.parent = os.getppid() if environ.get(PARENT_VARIABLE) == str(os.getppid()) else 0
        self.fds = descriptors(environ.get(SOCKETS_VARIABLE, ""))
        environ.pop(PARENT_VARIABLE, None)
        environ.pop(SOCKETS_VARIABLE, None)

    @property
    def peer(self) -> int:
        """The other master on the same sockets; 0 where this is the only one."""
        return self.successor or self.parent

    @property
    def suffix(self) -> str:
        """What the names of the process and of its pidfile end in, while the parent lives."""
        return SUFFIX if self.parent else ""

    def watch_parent(self) -> None:
        """Have the end of the parent wake the loop, as that of a child does."""
        if self.parent:
            signal_when_parent_dies(signal.SIGCHLD)

    def parent_left(self) -> bool:
        """Whether there was a parent and it is gone; true once."""
        if self.parent in (0, os.getppid()):
            return False
        self.parent = 0
        return True


def descriptors(text: str) -> tuple[int, ...]:
    """The descriptors that GUNICORN_FD lists."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ConfigError(
            f"the environment has {SOCKETS_VARIABLE}={text!r}, which is no list of descriptors; unset it"
        ) from None


def heirs_environment(
    environ: Mapping[str, str], parent: int, fds: Sequence[int], activated: Sequence[int]
) -> dict[str, str]:
    """The environment for the next program of this process: `environ` and what it inherits.

    `fds` are its sockets, those that systemd opened, `activated`, among them.
    """
    heirs = {name: value for name, value in environ.items() if name not in PERSONAL}
    heirs[PARENT_VARIABLE] = str(parent)
    if activated:
        systemd.pass_sockets(heirs, len(activated))
    if own := [fd for fd in fds if fd not in activated]:
        heirs[SOCKETS_VARIABLE] = ",".join(map(str, own))
    if "WATCHDOG_PID" in heirs:
        heirs["WATCHDOG_PID"] = str(os.getpid())
    return heirs


def execute(folder: str, environ: Mapping[str, str], fds: Iterable[int]) -> NoReturn:
    """Become this very command anew, in `folder`. Raises OSError.

    By the words that Python itself was started with, so that `python -m` finds its module again.
    """
    for fd in fds:
        os.set_inheritable(fd, True)
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)


def forget_handlers(numbers: frozenset[int]) -> None:
    """In a forked child, where they are blocked: let signals mean what they mean to any program.

    What is blocked stays so in the program that is executed.
    """
    for number in numbers:
        set_handler(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
