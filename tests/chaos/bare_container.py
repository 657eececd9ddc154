"""S18: what a hardened container leaves: nothing to write to, no /dev/shm, no home, a user that nobody has heard of."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer, read_answer, request
from tests.chaos.figures import CannotRun, Figure

TITLE: Final = "a read-only container"
MODELS: Final = ("inline", "threads", "gevent")

USER: Final = 1_234_567
IN_MEMORY: Final = 4096
FOLDERS: Final = ("/", "/tmp", "/dev", "/dev/shm", "/var/tmp")

# In a mount namespace of the server's own. /dev/shm is covered by what nobody may enter. All that is mounted becomes
# read-only; /proc and what cannot be mounted anew stay as they are. The user may read everything, as the sources
# may be where only their owner looks, and write nothing.
HARDENED: Final = (
    *("unshare", "--mount", "sh", "-c"),
    "{ [ ! -d /dev/shm ] || mount -t tmpfs -o size=4k,mode=000 none /dev/shm; } &&"
    " while read -r _ _ _ _ point _; do"
    ' mount -o remount,bind,ro "$point" 2>/dev/null; done </proc/self/mountinfo;'
    f" exec setpriv --reuid {USER} --regid 0 --clear-groups"
    " --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search --bounding-set -all,+dac_read_search"
    ' env -u HOME -u TMPDIR "$@"',
    "hardened",
)


@dataclass(frozen=True)
class Size:
    """How often it is started."""

    starts: int


SHORT: Final = Size(1)
LONG: Final = Size(10)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """Whether it starts, serves and ends."""
    require_namespace()
    found: Counter[str] = Counter()
    for _ in range(size.starts):
        with arena.server("--body-buffer-size", f"{IN_MEMORY}", wrapper=HARDENED) as server:
            found["what the container has more"] += len(list(unlike(server)))
            found["GET answered otherwise"] += server.get("/hello").status != 200
            found["small body answered otherwise"] += upload(server, IN_MEMORY) != 200
            # There is nowhere to put it. That is the request's misfortune, and nobody else's.
            found["large body answered otherwise"] += upload(server, 64 * IN_MEMORY) not in (
                500,
                507,
            )
            found["GET answered otherwise then"] += server.get("/hello").status != 200
            server.process.signal(signal.SIGTERM)
            found["exit codes but 0"] += server.process.wait() != 0
    for what, count in found.items():
        yield Figure(what, count, 0)


def require_namespace() -> None:
    """Raises CannotRun."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        raise CannotRun("unshare and setpriv (util-linux) are not installed")
    tried = subprocess.run(
        [*HARDENED, sys.executable, "-c", ""], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        raise CannotRun(f"no such namespace here: {tried.stderr.strip()}")


def unlike(server: RunningServer) -> Iterator[str]:
    """What the server's process has that it should not."""
    process = Path(f"/proc/{server.worker.pid}")
    for folder in FOLDERS:
        seen = Path(f"{process}/root{folder}")
        if seen.is_dir() and not os.statvfs(seen).f_flag & os.ST_RDONLY:
            yield f"{folder} can be written to"
    if f"Uid:\t{USER}" not in (process / "status").read_text():
        yield "another user"
    if b"\0HOME=" in (process / "environ").read_bytes():
        yield "a home"


def upload(server: RunningServer, size: int) -> int:
    """The status a body of so many bytes is answered with."""
    with server.connect() as client:
        client.sendall(request("/upload", f"Content-Length: {size}", method="POST") + bytes(size))
        return read_answer(client, "POST").status
