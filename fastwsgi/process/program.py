"""From what somebody asked for, on a command line or in a program, to a running master."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fastwsgi.config import application
from fastwsgi.config.settings import Settings
from fastwsgi.config.sources import Sources
from fastwsgi.errors import ConfigError, closest
from fastwsgi.process.application import Load
from fastwsgi.process.arbiter import SIGNALS, Arbiter
from fastwsgi.process.signals import handlers_kept
from fastwsgi.process.surroundings import enter_folder, prepare
from fastwsgi.wiring import secure

RUN_HOST: Final = "0.0.0.0"
RUN_PORT: Final = 5000
RUN_SOURCE: Final = "fastwsgi.run"

# The numbers that stood for levels in the earlier project of this name, 0 to 8.
NUMBERED_LEVELS: Final = (
    "critical",
    "critical",
    "critical",
    "error",
    "warning",
    "info",
    "info",
    "debug",
    "debug",
)


def run_command(words: Sequence[str], environ: Mapping[str, str], prog: str) -> int:
    """Do what a command line asks for, and return the exit code when it is done.

    Raises ConfigError, whose `exit_code` says which kind of wrong it was, and SystemExit(0) after
    --help and --version.
    """
    if words[:1] == ["translate"] and len(words) == 2 and not words[1].startswith("-"):
        from fastwsgi.translate.uwsgi import translate  # noqa: PLC0415

        print(translate(words[1]), end="")
        return 0
    sources = Sources.of_command_line(words, environ, prog)
    settings = sources.read()
    if settings.print_config:
        print(settings)
    if settings.wsgi_app is None and settings.paste is None:
        raise ConfigError(
            f"no application is named; write {prog} MODULE:NAME, or wsgi_app = 'MODULE:NAME' in the"
            " configuration file"
        )
    if settings.print_config or settings.check_config:
        return check(settings, sources.warnings, load_named)
    Arbiter(sources, settings, load_named).run()
    return 0


def check(settings: Settings, warnings: Sequence[str], load: Load) -> int:
    """Call `load` as a worker would. Raises ConfigError, always with the exit code 1."""
    for warning in warnings:
        sys.stderr.write(f"{warning}\n")
    enter_folder(settings)
    try:
        secure(settings)
        prepare(settings)
        load(settings)
    except ConfigError as error:
        raise ConfigError(str(error)) from None
    return 0


def load_named(settings: Settings) -> application.Application:
    """The application that `settings` name."""
    if settings.paste is not None:
        from fastwsgi.config import paste  # noqa: PLC0415  # an optional extra

        return paste.load(settings.paste, settings.raw_paste_global_conf)
    return application.load(settings.wsgi_app or "")


def run_application(app: object, words: Mapping[str, object], warnings: Sequence[str] = ()) -> None:
    """Serve `app`, an application or its name, with the settings `words`. Raises ConfigError.

    `warnings` are lines for the log.
    """
    require_main_thread("fastwsgi.run")
    layer = as_settings(words)
    load: Load
    if isinstance(app, str):
        layer["wsgi_app"] = app
        load = load_named
    elif callable(app):
        given: Callable[..., Any] = app

        def load(settings: Settings) -> application.Application:
            return given
    else:
        raise ConfigError(f"fastwsgi.run serves a WSGI application, not {app!r}")
    defaults = {"bind": address(RUN_HOST, RUN_PORT)}
    sources = Sources(
        [(RUN_SOURCE, layer)],
        os.environ,
        defaults=[(RUN_SOURCE, defaults)],
        warnings=warnings,
    )
    with handlers_kept(SIGNALS):
        Arbiter(sources, sources.read(), load).run()


def require_main_thread(caller: str) -> None:
    """Raise ConfigError in any other thread, as `caller` takes the signals of the process."""
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(f"{caller} takes the signals of the process: call it in the main thread")


def as_settings(words: Mapping[str, object]) -> dict[str, object]:
    """The keyword words of `fastwsgi.run` by setting name. ConfigError for an unknown one."""
    layer = dict(words)
    host, port = layer.pop("host", None), layer.pop("port", None)
    if host is not None or port is not None:
        layer["bind"] = address(
            RUN_HOST if host is None else host, RUN_PORT if port is None else port
        )
    level = layer.get("loglevel")
    if isinstance(level, int) and 0 <= level < len(NUMBERED_LEVELS):
        layer["loglevel"] = NUMBERED_LEVELS[level]
    for name in layer:
        if name not in Settings.ROWS:
            close = closest(name, Settings.ROWS)
            hint = f"; did you mean {close!r}?" if close else ""
            raise ConfigError(f"fastwsgi.run knows no setting {name!r}{hint}")
    return layer


def address(host: object, port: object) -> str:
    """A bind address of a host, which may be an IPv6 address, and a port."""
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
