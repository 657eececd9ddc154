"""Calling the functions that a configuration file hooks into master and workers.

What a hook raises ends what cannot be right without it, a start or a boot (`require`). Everything
else goes on, and the error log has the traceback (`call`).
"""

from __future__ import annotations

import logging
import traceback

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.observe.logs import ERROR


def call(settings: Settings, name: str, *arguments: object) -> None:
    """Call the hook `name`, where it is set."""
    hook = getattr(settings, name)
    if hook is None:
        return
    try:
        hook(*arguments)
    except Exception:
        logging.getLogger(ERROR).exception("The hook %s failed", name)


def require(settings: Settings, name: str, *arguments: object) -> None:
    """Call the hook `name`, where it is set. ConfigError with the traceback of what it raises."""
    hook = getattr(settings, name)
    if hook is None:
        return
    try:
        hook(*arguments)
    except Exception as error:
        trace = error.__traceback__ and error.__traceback__.tb_next
        lines = "".join(traceback.format_exception(type(error), error, trace))
        raise ConfigError(f"the hook {name} failed:\n{lines.rstrip()}") from None
