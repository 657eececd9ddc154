"""The applications as uvicorn can run them: through a2wsgi, in one thread or in eight."""

from __future__ import annotations

import importlib
from typing import Any

from a2wsgi import WSGIMiddleware

THREADS = 8


def __getattr__(name: str) -> Any:
    """`asgi:MODULE` and `asgi:MODULE_in_threads` are the application of that module."""
    module = name.removesuffix("_in_threads")
    if module.startswith("_"):
        raise AttributeError(name)
    app = importlib.import_module(module).app
    return WSGIMiddleware(app, workers=1 if module == name else THREADS)
