"""The application under all scenarios, and what it counts.

/hello   one short block
/large   LARGE bytes in one block, which all its requests share
/stream  LARGE bytes in blocks of BLOCK, by an iterable whose close() is counted
/hold    tells `started`, waits for `hold` (FIFOs in $CHAOS_FOLDER), then as /brief
/brief   one short block, by an iterable whose close() is counted
/flood   FLOOD bytes by a generator, each block made when it is asked for
/ignore  reads nothing of its input
/upload  the number of bytes read from its input
/counts  what was counted, as JSON
/whoami  the process and the query
/spin    never returns
/deaf    never returns, whatever is raised in it
/hog     keeps as many bytes as the query says, for ever, as a leak would: little by little
/orphans leaves as many processes without a parent as the query says, which exit with 0 to 255; their number
/echo    the query, the field Mark and the body, in one block
/pieces  the same by a generator
/fail    raises at once
/break   raises when half of its answer is said
/slow    tells `started` (a FIFO in $CHAOS_FOLDER), sleeps for the seconds of the query
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

BLOCK: Final = 65536
LARGE: Final = 64 * BLOCK
FLOOD: Final = 1 << 30
GREETING: Final = b"hello"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Counts:
    """What happened so far in this process; a lock, because threads count too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = {"made": 0, "closed": 0, "closed_again": 0, "blocks": 0}
        self._closings: list[float] = []

    def add(self, name: str) -> None:
        with self._lock:
            self._numbers[name] += 1

    def note_closing(self) -> None:
        """Keep the moment at which a flood was closed, on the clock that all processes share."""
        with self._lock:
            self._closings.append(time.monotonic())

    def report(self) -> bytes:
        with self._lock:
            return json.dumps({**self._numbers, "closings": self._closings}).encode()


counts: Final = Counts()


class Counted:
    """A response body that must be closed exactly once."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = blocks
        self._closed = False
        counts.add("made")

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def close(self) -> None:
        counts.add("closed_again" if self._closed else "closed")
        self._closed = True


def flood() -> Iterator[bytes]:
    try:
        for number in range(FLOOD // BLOCK):
            counts.add("blocks")
            yield bytes([number % 256]) * BLOCK
    finally:
        counts.note_closing()


def hold() -> Iterable[bytes]:
    """Say that the call has begun and wait to be let go: events, not times."""
    folder = Path(os.environ["CHAOS_FOLDER"])
    # Each for reading and writing, as opening waits for nobody then.
    with (folder / "started").open("r+b", 0) as started, (folder / "hold").open("r+b", 0) as held:
        started.write(b"x")
        held.read(1)
    return Counted([GREETING])


def slow(environ: Environ) -> Iterable[bytes]:
    """Say that the call has begun, and take its time."""
    with (Path(os.environ["CHAOS_FOLDER"]) / "started").open("r+b", 0) as started:
        started.write(b"x")
    time.sleep(float(environ["QUERY_STRING"]))
    return [GREETING]


def spin() -> Iterable[bytes]:
    while True:
        pass


def deaf() -> Iterable[bytes]:
    while True:
        with contextlib.suppress(BaseException):
            while True:
                pass


def leave_orphans(environ: Environ) -> Iterable[bytes]:
    """Each is begun by a process that ends before it, or at the same time."""
    count = int(environ["QUERY_STRING"])
    script = f"i=0; while [ $i -lt {count} ]; do ( (exit $((i % 256))) & ); i=$((i + 1)); done"
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ)
    _, status = os.waitpid(pid, 0)
    return [b"%d" % (count if status == 0 else 0)]


def hog(environ: Environ) -> Iterable[bytes]:
    for _ in range(int(environ["QUERY_STRING"]) // MEBIBYTE):
        KEPT.append(b"x" * MEBIBYTE)
    return [GREETING]


def pieces(environ: Environ) -> Iterator[bytes]:
    for name in ("QUERY_STRING", "HTTP_MARK"):
        yield environ[name].encode()
        yield b" "
    yield environ["wsgi.input"].read()


def fail() -> Iterable[bytes]:
    raise RuntimeError("on purpose")


def break_off() -> Iterator[bytes]:
    yield GREETING
    raise RuntimeError("on purpose")


def read_all(stream: Any) -> int:
    return sum(map(len, iter(lambda: stream.read(BLOCK), b"")))


MEBIBYTE: Final = 1 << 20
KEPT: Final[list[bytes]] = []
ONE_BLOCK: Final = b"a" * LARGE
BLOCKS: Final = (b"a" * BLOCK,) * (LARGE // BLOCK)

PATHS: Final[dict[str, Callable[[Environ], Iterable[bytes]]]] = {
    "/hello": lambda _: [GREETING],
    "/large": lambda _: [ONE_BLOCK],
    "/stream": lambda _: Counted(BLOCKS),
    "/hold": lambda _: hold(),
    "/brief": lambda _: Counted([GREETING]),
    "/flood": lambda _: flood(),
    "/ignore": lambda _: [GREETING],
    "/upload": lambda environ: [b"%d" % read_all(environ["wsgi.input"])],
    "/counts": lambda _: [counts.report()],
    "/whoami": lambda environ: [f"{os.getpid()} {environ['QUERY_STRING']}".encode()],
    "/spin": lambda _: spin(),
    "/deaf": lambda _: deaf(),
    "/hog": hog,
    "/orphans": leave_orphans,
    "/slow": slow,
    "/echo": lambda environ: [b"".join(pieces(environ))],
    "/pieces": pieces,
    "/fail": lambda _: fail(),
    "/break": lambda _: break_off(),
}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one of PATHS, with the field Mark where the request has one."""
    body = PATHS[environ["PATH_INFO"]](environ)
    marks = [("Mark", environ["HTTP_MARK"])] if "HTTP_MARK" in environ else []
    start_response("200 OK", [("Content-Type", "text/plain"), *marks])
    return body
