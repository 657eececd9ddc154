"""What the kernel says about a process under test."""

import contextlib
import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SENDING = 2  # descriptors of a sending thread


class Watched:
    """A process by its pid. Sizes in bytes, times in seconds."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = Path(f"/proc/{pid}")

    def descriptors(self) -> int:
        """Without those of sending threads, which come with the first pieces that follow each other.

        Each reactor has its own.
        """
        return len(os.listdir(self._folder / "fd")) - SENDING * self._senders()

    def _senders(self) -> int:
        names = [(task / "comm").read_text() for task in (self._folder / "task").iterdir()]
        return names.count("fastwsgi-send\n")

    def epolls(self) -> int:
        """How many epoll descriptors it has."""
        found = 0
        for fd in (self._folder / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found += "[eventpoll]" in os.readlink(fd)
        return found

    def children(self) -> list[int]:
        """Pids of the processes that it started and that have not been buried."""
        return [
            int(pid) for pid in (self._folder / f"task/{self.pid}/children").read_text().split()
        ]

    def private(self) -> int:
        """Memory that is this process's alone."""
        return self._sizes("smaps_rollup", "Private_Clean:", "Private_Dirty:")

    def resident(self) -> int:
        return self._sizes("status", "VmRSS:")

    def forget_peak(self) -> None:
        """Let `peak` count from now on (proc(5), clear_refs)."""
        (self._folder / "clear_refs").write_text("5")

    def peak(self) -> int:
        """The most that was ever resident since `forget_peak`."""
        return self._sizes("status", "VmHWM:")

    def cpu(self) -> float:
        """Processor time used so far, in user and system mode."""
        # The second field is a name in brackets and may contain spaces.
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def cpu_share(self, seconds: float) -> float:
        """The percentage of one core used during the next `seconds`."""
        before, begin = self.cpu(), time.monotonic()
        time.sleep(seconds)  # what is measured is this very time
        return 100 * (self.cpu() - before) / (time.monotonic() - begin)

    def _sizes(self, file: str, *names: str) -> int:
        """The sum of fields that the kernel gives in KiB."""
        lines = (self._folder / file).read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))
