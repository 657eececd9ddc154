"""What settings change around an application: its folder, its import path, its environment, patches."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError


def enter_folder(settings: Settings) -> None:
    """Change to the folder of `settings` and put it and `pythonpath` on the import path."""
    try:
        os.chdir(settings.chdir)
    except OSError as error:
        raise ConfigError(f"cannot change to {settings.chdir!r}: {error.strerror}") from None
    folders = [settings.chdir]
    if settings.pythonpath:
        folders += [os.path.abspath(path) for path in settings.pythonpath.split(",") if path]
    for folder in folders:
        if folder not in sys.path:
            sys.path.insert(0, folder)


def take_back_variables(settings: Settings, environ: Mapping[str, str]) -> None:
    """Undo `set_variables`. `environ` is the environment as it was."""
    for pair in settings.raw_env:
        name = pair.partition("=")[0]
        os.environ.pop(name, None)
        if name in environ:
            os.environ[name] = environ[name]


def set_variables(settings: Settings) -> None:
    """Set the variables of `raw_env`, which hooks of the master read, too."""
    for pair in settings.raw_env:
        name, _, value = pair.partition("=")
        os.environ[name] = value


def require_execution(settings: Settings) -> None:
    """Import what `execution` needs. Raises ConfigError where that is not installed."""
    if settings.execution == "gevent":
        import fastwsgi.execution.gevent  # noqa: F401, PLC0415


def prepare(settings: Settings) -> None:
    """Make the process what the application is to find when it is imported.

    Sets the variables of `raw_env`; with gevent, patches the standard library. What is printed goes
    out line by line where the log has it, or a daemon's parent. Raises ConfigError where gevent is
    not installed.
    """
    if settings.execution == "gevent":
        from fastwsgi.execution.gevent import patch  # noqa: PLC0415

        patch()
    if settings.capture_output or settings.enable_stdio_inheritance:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)
    set_variables(settings)
