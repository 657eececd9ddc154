"""S8: a worker that gets no more memory, by its own limit or by the kernel's. It is replaced, and the log says why."""

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer
from tests.chaos.figures import CannotRun, Figure

TITLE: Final = "out of memory"
MODELS: Final = ("inline", "threads")

MEBIBYTE: Final = 1 << 20
SPARE: Final = 64 * MEBIBYTE  # beyond what the worker has at first
TOO_MUCH: Final = 2 * SPARE

CGROUPS: Final = Path("/sys/fs/cgroup")
# The folder of the controller, and the file of the limit, in the two versions of cgroups.
LIMITS: Final = (
    (CGROUPS / "memory", "memory.limit_in_bytes"),
    (CGROUPS, "memory.max"),
)


@dataclass(frozen=True)
class Size:
    """How often."""

    rounds: int


SHORT: Final = Size(1)
LONG: Final = Size(20)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """What is answered, what is said, and who serves afterwards."""
    with arena.server() as server:
        wrong = sum(exceed_own_limit(server, number) for number in range(1, size.rounds + 1))
        named = server.process.log.count("MemoryError")
        yield Figure("RLIMIT_AS: wrong answers", wrong, 0)
        yield Figure("RLIMIT_AS: not named", max(0, size.rounds - named), 0)
        yield Figure(
            "RLIMIT_AS: workers not replaced", size.rounds + 1 - len(server.process.workers), 0
        )
        with memory_group() as group:
            for number in range(1, size.rounds + 1):
                be_killed(server, group, number)
        named = server.process.log.count(r"was sent SIGKILL! Perhaps out of memory\?")
        yield Figure("cgroup: not named", size.rounds - named, 0)
        yield Figure("cgroup: served afterwards", abs(server.get("/hello").status - 200), 0)


def exceed_own_limit(server: RunningServer, number: int) -> int:
    """Ask for more memory than the worker may have, await its successor; how many answers were wrong."""
    pid = server.process.workers[-1]
    virtual = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (virtual + SPARE, hard))
    wrong = server.get(f"/hog?{TOO_MUCH}").status != 500
    wrong += server.get("/hello").status != 200
    server.process.wait_for("Worker exiting", count=number)
    return wrong + (server.get("/hello").status != 200)


def be_killed(server: RunningServer, group: Path, number: int) -> None:
    """Have the kernel kill the worker for what it takes, and await its successor."""
    (group / "cgroup.procs").write_text(f"{server.process.workers[-1]}")
    booted = len(server.process.workers)
    with contextlib.suppress(AssertionError, OSError):
        server.get(f"/hog?{TOO_MUCH}")
    server.process.wait_for("Perhaps out of memory", count=number)
    server.process.wait_for("Booting worker", count=booted + 1)
    assert server.get("/hello").status == 200


@contextlib.contextmanager
def memory_group() -> Iterator[Path]:
    """A cgroup in which a process gets little memory. Raises CannotRun."""
    group = make_group()
    try:
        yield group
    finally:
        group.rmdir()


def make_group() -> Path:
    """Raises CannotRun."""
    for controller, limit in LIMITS:
        group = controller / f"fastwsgi-chaos-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(f"{SPARE}")
        except OSError:
            group.rmdir()
        else:
            return group
    raise CannotRun("no cgroup for memory can be made here; RLIMIT_AS was tried")
