"""gunicorn's names, for code that was written for it; and a worker class for gunicorn itself.

Two ways lead here. Where gunicorn is not installed, `import gunicorn` of a configuration file or an
application finds this package in its place, module by module (`stand_in`): every module here has
the name of one of gunicorn's and holds the server's own classes. And where gunicorn is what runs,
`gunicorn -k fastwsgi.gunicorn.Worker` has its workers serve with the compiled core (`worker`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

__all__ = ["SERVER", "SERVER_SOFTWARE", "__version__", "version_info"]

# The version whose names these are: some code asks for it.
version_info: Final = (27, 0, 1)
__version__: Final = ".".join(map(str, version_info))
SERVER = "gunicorn"
SERVER_SOFTWARE = f"{SERVER}/{__version__}"


def __getattr__(name: str) -> object:
    """`Worker`, which needs gunicorn, is imported when it is asked for."""
    if name == "Worker":
        return import_module("fastwsgi.gunicorn.worker").Worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
