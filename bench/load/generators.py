"""The load generators by name, and which of them this machine has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.load import Outcome, h2load, python, wrk
from bench.workloads import Workload

Generator = Callable[[int, Workload, int, int, Sequence[int]], Outcome]
"""(port, workload, connections, seconds, cores): raises LoadError."""

TABLE: dict[str, Generator] = {"wrk": wrk.run, "h2load": h2load.run, "python": python.run}


def best_here() -> str:
    """wrk where it is installed, which can ask everything; else the bundled one."""
    return "wrk" if wrk.present() else "python"
