"""The logger of a server: of which class it is, and how it comes to new settings."""

from __future__ import annotations

import contextlib
import importlib
from typing import Final

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.observe.logger import Logger
from fastwsgi.process import privileges

# gunicorn's names of the class that is there without a setting.
OURS: Final = frozenset(
    {"simple", "#simple", "egg:gunicorn#simple", "gunicorn.glogging.Logger"}
    | {"fastwsgi.gunicorn.glogging.Logger", "fastwsgi.observe.logger.Logger"}
)
STATSD: Final = frozenset(
    {"gunicorn.instrument.statsd.Statsd", "fastwsgi.gunicorn.instrument.statsd.Statsd"}
)


def make_logger(settings: Settings) -> Logger:
    """The logger that `settings` want; it writes from now on. Raises ConfigError."""
    kind = logger_class(settings)
    install = getattr(kind, "install", None)
    try:
        if install is not None:
            install()
        made: Logger = kind(settings)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"the logs cannot be set up: {told(error)}") from error
    return made


def renew_logger(logger: Logger, settings: Settings, present: Settings) -> Logger:
    """The logger for `settings`, where `logger` is the one for `present`: the same where it can be.

    Raises ConfigError, and then `logger` writes as before.
    """
    try:
        if type(logger) is logger_class(settings):
            logger.setup(settings)
            return logger
        close_logger(logger)
        return make_logger(settings)
    except Exception as error:
        with contextlib.suppress(Exception):
            logger.setup(present)
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"the logs cannot be set up: {told(error)}") from error


def give_files(logger: Logger, settings: Settings) -> None:
    """Let the files of a logger belong to the workers; one of another class sees to that itself."""
    if isinstance(logger, Logger):
        for file in logger.files():
            privileges.give(file.fileno(), settings)


def close_logger(logger: Logger) -> None:
    """Close the files of a logger, which may be of a class that knows no such thing."""
    close = getattr(logger, "close", None)
    if close is not None:
        close()


def logger_class(settings: Settings) -> type:
    """The class that `settings` name. Raises ConfigError where it cannot be loaded."""
    named = settings.logger_class
    if isinstance(named, type):
        return named
    if named in STATSD or (named in OURS and settings.statsd_host is not None):
        from fastwsgi.observe.statsd import Statsd  # noqa: PLC0415

        return Statsd
    if named in OURS:
        return Logger
    module, _, name = named.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ConfigError(f"logger_class {named!r} cannot be loaded: {told(error)}") from error
    if not isinstance(found, type):
        raise ConfigError(f"logger_class {named!r} is no class")
    return found


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
