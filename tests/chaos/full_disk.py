"""S13: the folder for large request bodies is full. That costs the request its answer, and nobody else anything."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena, RunningServer, read_answer, request
from tests.chaos.figures import CannotRun, Figure

TITLE: Final = "a full disk"

KIBIBYTE: Final = 1024
DISK: Final = 64 * KIBIBYTE
IN_MEMORY: Final = 4 * KIBIBYTE
FITTING: Final = (100, IN_MEMORY, IN_MEMORY + 1, 20_000, DISK - IN_MEMORY)
# By a byte, within the file's own buffer, by a page, by far.
TOO_LARGE: Final = (DISK + 1, DISK + 100, DISK + IN_MEMORY, 2 * DISK, 16 * DISK)

PIECE: Final = 1000  # bytes of a chunk

# A mount in a namespace of the server's own, which goes with it. A user namespace where one must not mount without.
NAMESPACE: Final = ("unshare", "--mount")
NAMESPACE_OF_USER: Final = (*NAMESPACE, "--user", "--map-root-user")
MOUNT: Final = ("sh", "-c", f'mount -t tmpfs -o size={DISK} none "$0" && exec "$@"')


@dataclass(frozen=True)
class Size:
    """How often each body is sent."""

    rounds: int


SHORT: Final = Size(2)
LONG: Final = Size(200)


def run(arena: Arena, size: Size) -> Iterator[Figure]:
    """How bodies were answered that fit and that do not, and what is left of them."""
    spool = arena.folder / "spool"
    spool.mkdir()
    options = ("--tmp-upload-dir", str(spool), "--body-buffer-size", str(IN_MEMORY))
    with arena.server(*options, wrapper=mounting(spool)) as server:
        # The folder as the worker sees it.
        disk = Path(f"/proc/{server.worker.pid}/root{spool}")
        wrong_fitting = wrong_large = 0
        for send in (upload, upload_in_chunks) * size.rounds:
            for large, fitting in zip(TOO_LARGE, FITTING, strict=True):
                wrong_large += send(server, large) not in (500, 507)
                wrong_fitting += send(server, fitting) != 200
                wrong_fitting += server.get("/hello").status != 200
        yield Figure("bodies that do not fit and were not answered 507 or 500", wrong_large, 0)
        yield Figure("others that were not answered 200", wrong_fitting, 0)
        yield Figure("descriptors left", server.descriptors_left(), 0)
        yield Figure("files left", len(os.listdir(disk)), 0)
        found = os.statvfs(disk)
        yield Figure("bytes left on the disk", (found.f_blocks - found.f_bfree) * found.f_frsize, 0)
        yield Figure("errors in the log", server.errors(), 0)


def mounting(folder: Path) -> tuple[str, ...]:
    """A command that executes another one which sees a small disk in the folder. Raises CannotRun."""
    if shutil.which("unshare") is None:
        raise CannotRun("unshare (util-linux) is not installed")
    for namespace in (NAMESPACE, NAMESPACE_OF_USER):
        command = (*namespace, *MOUNT, str(folder))
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    raise CannotRun("mounting is not permitted here, not even in a user namespace")


def upload(server: RunningServer, size: int) -> int:
    """The status a body of so many bytes is answered with, 0 where the connection just ends."""
    return post(server, f"Content-Length: {size}", bytes(size))


def upload_in_chunks(server: RunningServer, size: int) -> int:
    """The same, in pieces each of which is stored on its own."""
    whole, rest = divmod(size, PIECE)
    chunks = [bytes(PIECE)] * whole + [bytes(rest)] * (rest > 0)
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return post(server, "Transfer-Encoding: chunked", body)


def post(server: RunningServer, framing: str, body: bytes) -> int:
    with server.connect() as client:
        with contextlib.suppress(ConnectionError):  # an answer may be there to read nonetheless
            client.sendall(request("/upload", framing, method="POST") + body)
        try:
            return read_answer(client, "POST").status
        except (AssertionError, ConnectionError):
            return 0
