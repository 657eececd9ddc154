"""What a scenario may not leave: processes, files in the folder for temporary ones, sockets of the runner.

A process of the scenario is known by its parent, or, where that has gone, by the variable CHAOS_FOLDER that all of them
inherit. A listening socket belongs to one of these processes or to the runner.
"""

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.chaos.figures import Figure

PATIENCE: Final = 3.0  # seconds that a process may take to end


class Traces:
    """What there is now, beside what there was when this was made."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        """The folder of the scenario, and where its processes put temporary files."""
        self._mark = f"CHAOS_FOLDER={folder}".encode()
        self._temporary = temporary
        self._processes = set(self._running())
        self._sockets = sockets()

    def judge(self, say: Callable[[str], object]) -> Figure:
        """How many things are left. Processes are ended, so that the next scenario has the machine for itself."""
        left = [f"process {pid}: {line}" for pid, line in self._end_processes()]
        left += [f"file {path}" for path in self._temporary.rglob("*")]
        left += [f"the runner's {name}" for name in sockets() - self._sockets]
        for trace in left:
            say(f"left: {trace}")
        return Figure("processes, files and sockets left", len(left), 0)

    def _end_processes(self) -> Iterator[tuple[int, str]]:
        """Those that do not end by themselves, with their command lines."""
        for pid in set(self._running()) - self._processes:
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                try:
                    if not select.select([fd], [], [], PATIENCE)[0]:
                        yield pid, read(pid, "cmdline").replace(b"\0", b" ").decode()
                        signal.pidfd_send_signal(fd, signal.SIGKILL)
                finally:
                    os.close(fd)

    def _running(self) -> Iterator[int]:
        """Processes of the scenario, and all that this one has started."""
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            # The second field of stat is a name in brackets and may contain spaces.
            state, parent = (read(pid, "stat").rpartition(b")")[2].split() or [b"Z", b"0"])[:2]
            ours = int(parent) == os.getpid() or self._mark in read(pid, "environ").split(b"\0")
            if ours and state != b"Z":
                yield pid


def read(pid: int, name: str) -> bytes:
    """What the kernel says about a process; nothing where it has gone, or is another user's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def sockets() -> set[str]:
    """The sockets that this process holds, as the kernel names them."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {name for name in found if name.startswith("socket:")}
