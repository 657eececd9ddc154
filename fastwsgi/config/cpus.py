"""How many CPUs the process may use: what `workers = auto` means.

Python's own count is that of the machine. A container is held to less by the scheduler's affinity,
or by a quota of the control group it is in or of any group around that: version 2 has it in cpu.max,
version 1 in cpu.cfs_quota_us and cpu.cfs_period_us (kernel documentation, "Control Group v2" and
"CFS Bandwidth Control").
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator


def usable_cpus(root: str = "/") -> int:
    """Return how many processes can run at once, 1 or more.

    `root` is where /proc and /sys are found. A part of a CPU that a quota leaves over counts as one.
    """
    quotas = [math.ceil(quota) for quota in found_quotas(root)]
    return min([len(os.sched_getaffinity(0)), *quotas])


def found_quotas(root: str) -> Iterator[float]:
    """The quotas of the process's control group and of those around it, in CPUs."""
    for line in read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount = "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            mount = "sys/fs/cgroup/cpu"
        else:
            continue
        # The path may be that of the host, while a container has its files at the mount itself.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            yield from quota(os.path.join(root, mount, *parts[:depth]))


def quota(group: str) -> Iterator[float]:
    """The quota of one control group, where it has one."""
    words = read(os.path.join(group, "cpu.max")).split() or [
        *read(os.path.join(group, "cpu.cfs_quota_us")).split(),
        *read(os.path.join(group, "cpu.cfs_period_us")).split(),
    ]
    # Without a quota the first is "max" or -1.
    if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
        yield int(words[0]) / int(words[1])


def read(path: str) -> str:
    """A file of the kernel's, or nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
