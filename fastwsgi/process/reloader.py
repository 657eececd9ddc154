"""Noticing that a file of the application has changed.

What is watched are the files of all loaded modules, also of those that are loaded later, and what
the settings add. Two ways lead there. inotify tells at once, but not everywhere: a folder that a
virtual machine or a network shares has no events. So every second the files are looked at, too,
unless the settings want one way only. Both are called by the reactor; there is no thread.

Law: a file is missed by nobody between its import and the first look. One that was written while the
application was loaded counts as changed.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import cache_from_source
from select import EPOLLIN
from typing import Any, Final

from fastwsgi.config.checks import is_pattern
from fastwsgi.config.settings import Settings
from fastwsgi.errors import AppLoadError
from fastwsgi.net.reactor import Reactor
from fastwsgi.observe.logs import ERROR
from fastwsgi.process.application import Application

# inotify(7)
CLOSE_WRITE: Final = 0x8
MOVED_TO: Final = 0x80
OVERFLOW: Final = 0x4000
EVENT: Final = struct.Struct("iIII")
EVENTS_BYTES: Final = 65536

OnChange = Callable[[str], object]
Stamp = tuple[int, int, int]


class Reloader:
    """Loads the application of a worker and watches its files. To be made before anything is loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since = time.time()
        self._failed: set[str] = set()

    def load(self, app: Application) -> Callable[..., Any]:
        """The application; where it cannot be loaded, one that says why, until a file changes."""
        try:
            return app.wsgi()
        except AppLoadError as error:
            logging.getLogger(ERROR).error("%s", error)
            self._failed = files_of(error, sys.path)
            if name := self._settings.wsgi_app:
                self._failed |= places(name.partition(":")[0], sys.path)
            return failure_page(str(error))

    def watch(self, reactor: Reactor, give_way: OnChange) -> None:
        """Have `reactor` call `give_way(path)` when a file has changed; perhaps it has by now."""

        def on_change(path: str) -> None:
            # Its date is of whole seconds, so it might be taken for that of a file saved twice in one.
            with contextlib.suppress(NotImplementedError, OSError):
                os.unlink(cache_from_source(path))
            give_way(path)

        engine = self._settings.reload_engine
        files = Files(self._settings.reload_extra_files, self._failed)
        if engine != "poll":
            try:
                inotify = Inotify(files, on_change)
            except (ImportError, OSError) as error:
                logging.getLogger(ERROR).warning("Polling, as there is no inotify: %s", error)
                engine = "poll"
            else:
                reactor.add(inotify.fd, inotify, EPOLLIN)
                reactor.every_second(inotify.keep_up)
        look = Look(files, on_change, self._since)
        look()
        if engine != "inotify":
            reactor.every_second(look)


class Files:
    """What there is to watch. `extra` are paths and patterns, `failed` files of what could not be loaded."""

    def __init__(self, extra: Sequence[str], failed: Iterable[str]) -> None:
        self._patterns = list(filter(is_pattern, extra))
        self._named = {*extra, *failed}.difference(self._patterns)

    def __iter__(self) -> Iterator[str]:
        """The paths as of now. A pattern is expanded each time, so new files are found."""
        yield from modules()
        yield from self._named
        for pattern in self._patterns:
            yield from glob.iglob(pattern, recursive=True)


class Look:
    """Looks at the files each time it is called. `since` is when the load began, in seconds of time.time."""

    def __init__(self, files: Iterable[str], on_change: OnChange, since: float) -> None:
        self._files = files
        self._on_change = on_change
        self._seen = {path: stamp(path) for path in files}
        now = time.time_ns()
        for path in modules():
            found = self._seen.get(path)
            # Not what is dated in the future: that would be changed for ever.
            if found is not None and since * 1e9 < found[0] <= now:
                self._seen[path] = (0, 0, 0)

    def __call__(self) -> None:
        """Say which file has changed, if one has; one that is gone may be on its way."""
        for path in self._files:
            found = stamp(path)
            if found is not None and self._seen.setdefault(path, found) != found:
                self._seen[path] = found
                self._on_change(path)
                return


class Inotify:
    """Hears of the files' changes; a handler for the reactor. Raises OSError where it cannot be had."""

    def __init__(self, files: Iterable[str], on_change: OnChange) -> None:
        from ctypes import CDLL, get_errno  # noqa: PLC0415

        library = CDLL(None, use_errno=True)
        self._library = library
        self._errno = get_errno
        self._files = files
        self._on_change = on_change
        self._names: set[str] = set()  # as modules and settings have them
        self._watched: set[str] = set()  # as events have them
        self._folders: dict[int, str] = {}  # by the number of their watch
        self.fd = self._checked(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._find_more()

    def keep_up(self) -> None:
        """Watch what is new. What cannot be watched is for others to see."""
        with contextlib.suppress(OSError):
            self._find_more()

    def _find_more(self) -> None:
        names = set(self._files) - self._names
        self._names |= names
        # A link is watched at both its ends.
        paths = set(map(os.path.abspath, names)) | set(map(os.path.realpath, names))
        self._watched |= paths
        for folder in set(map(os.path.dirname, paths)).difference(self._folders.values()):
            if os.path.isdir(folder):
                add = self._library.inotify_add_watch
                watch = add(self.fd, os.fsencode(folder), CLOSE_WRITE | MOVED_TO)
                self._folders[self._checked(watch)] = folder

    def on_event(self, events: int, /) -> None:
        """Say which file has changed, if it is one of ours."""
        for watch, mask, name in self._read():
            path = os.path.join(self._folders.get(watch, ""), name)
            if mask & OVERFLOW or path in self._watched or os.path.dirname(path) in self._watched:
                self._on_change(path)
                return

    def _read(self) -> Iterator[tuple[int, int, str]]:
        data = os.read(self.fd, EVENTS_BYTES)
        start = 0
        while start < len(data):
            watch, mask, _, length = EVENT.unpack_from(data, start)
            start += EVENT.size
            yield watch, mask, os.fsdecode(data[start : start + length].rstrip(b"\0"))
            start += length

    def _checked(self, result: int) -> int:
        if result < 0:
            raise OSError(self._errno(), os.strerror(self._errno()))
        return result


def modules() -> Iterator[str]:
    """The source files of all loaded modules."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            yield re.sub(r"\.py[co]$", ".py", path)


def stamp(path: str) -> Stamp | None:
    """What changes when a file does; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def files_of(error: BaseException, folders: Iterable[str]) -> set[str]:
    """The files that an import failed in, and those that it did not find in `folders`."""
    found: set[str] = set()
    cause: BaseException | None = error
    while cause is not None:
        trace = cause.__traceback__
        while trace is not None:
            found.add(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
        if isinstance(cause, SyntaxError) and cause.filename:
            found.add(cause.filename)
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            found |= places(cause.name, folders)
        cause = cause.__cause__ or cause.__context__
    return {path for path in found if not path.startswith("<")}


def places(module: str, folders: Iterable[str]) -> set[str]:
    """Where the source of `module` may be, or come to be."""
    bases = [os.path.join(folder, module.replace(".", os.sep)) for folder in folders]
    return {f"{base}.py" for base in bases} | {os.path.join(base, "__init__.py") for base in bases}


def failure_page(text: str) -> Callable[..., list[bytes]]:
    """An application that answers every request with 500 and `text`."""
    body = text.encode("utf-8", "backslashreplace")

    def application(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response(
            "500 Internal Server Error",
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
            ],
        )
        return [body]

    return application
