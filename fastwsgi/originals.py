"""The standard library as it was before anybody patched it.

gevent replaces what blocks by what switches to another greenlet, in the whole process, and takes epoll away. The
server needs the real things, and it does not know who was imported first.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def original(module: str, name: str) -> Any:
    """Return what `name` in `module` is without gevent's monkey patching. Raises AttributeError."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(import_module(module), name)
