"""`import gunicorn` where it is not installed: this package takes its place.

The finder goes last, so it is asked only where nobody else has a gunicorn, and costs nothing until
somebody asks for one. What was imported stays, and finds its further modules by its own path.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

from fastwsgi import __path__ as folders

NAME: Final = "gunicorn"


class Finder:
    """Finds `fastwsgi/gunicorn` by the name `gunicorn`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As of `importlib.abc.MetaPathFinder`."""
        return PathFinder.find_spec(name, folders) if name == NAME else None


@contextlib.contextmanager
def standing_in() -> Iterator[None]:
    """While code is loaded that may have been written for gunicorn."""
    finder = Finder()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # somebody has replaced the list
            sys.meta_path.remove(finder)
