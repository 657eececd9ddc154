"""The machine: which cores do what, and what a record says of it."""

from __future__ import annotations

import os
import platform
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """Which cores the server and the load run on; empty means not pinned."""

    server: tuple[int, ...]
    load: tuple[int, ...]

    @classmethod
    def split(cls, available: Sequence[int], workers: int = 1) -> Cores:
        """The first ones for as many workers, all others for the load; both share where none is left."""
        ordered = tuple(sorted(available))
        if len(ordered) <= workers:
            return cls((), ())
        return cls(ordered[:workers], ordered[workers:])

    @classmethod
    def here(cls, workers: int = 1) -> Cores:
        """`split` of those that this process may use."""
        return cls.split(tuple(os.sched_getaffinity(0)), workers)

    def __str__(self) -> str:
        if not self.server:
            return "server and load share the cores: absolute figures mean little"
        named = [", ".join(map(str, cores)) for cores in (self.server, self.load)]
        return f"server on core {named[0]}, load on {named[1]}"


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def openssl() -> str:
    """What TLS is made of, in the interpreter that runs the harness and the servers."""
    name, version, *_ = ssl.OPENSSL_VERSION.split()
    return f"{name} {version}"


def facts() -> dict[str, str]:
    """The machine and the system in words."""
    return {
        "machine": f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()} "
        f"({platform.python_compiler()}), {openssl()}",
    }
