"""Configurations of Python's logging: a dictionary, a JSON file, an INI file.

Each is applied as gunicorn applies it. A logger may be named as `fastwsgi.error` or
`fastwsgi.access`, too. Imported only where there is one.
"""

from __future__ import annotations

import configparser
import json
import logging
import logging.config
import os
from collections.abc import Mapping
from typing import Any

from fastwsgi.errors import ConfigError
from fastwsgi.observe.logs import ALIASES, ERROR


def apply_dict(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Apply a dictionary of logging.config.dictConfig, whose keys go before those of `defaults`."""
    configure("logconfig_dict", defaults, given)


def apply_json(defaults: Mapping[str, Any], path: str) -> None:
    """Apply the same from a JSON file; one that is not there is no error in gunicorn."""
    try:
        with open(path, encoding="utf-8") as file:
            given = json.load(file)
    except FileNotFoundError:
        logging.getLogger(ERROR).warning("logconfig_json: there is no file %r", path)
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"logconfig_json, the file {path!r}: {error}") from None
    configure(f"logconfig_json, the file {path!r}", defaults, given)


def apply_file(path: str) -> None:
    """Apply a file of logging.config.fileConfig. `%(here)s` in it is its folder."""
    parser = configparser.ConfigParser({"__file__": path, "here": os.path.dirname(path)})
    try:
        if not parser.read(path):
            raise ConfigError(f"logconfig: there is no file {path!r}")
        for section in parser.sections():
            name = parser.get(section, "qualname", raw=True, fallback="")
            if name in ALIASES:
                parser.set(section, "qualname", ALIASES[name])
        logging.config.fileConfig(parser, disable_existing_loggers=False)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"logconfig, the file {path!r}: {told(error)}") from error


def configure(source: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Apply `given` over `defaults`. Raises ConfigError."""
    try:
        merged = {**defaults, **given}
        loggers = merged.get("loggers", {})
        merged["loggers"] = {ALIASES.get(name, name): logger for name, logger in loggers.items()}
        logging.config.dictConfig(merged)
    except Exception as error:
        raise ConfigError(f"{source}: {told(error)}") from error


def told(error: BaseException) -> str:
    """What is wrong, with what logging says only in the cause."""
    words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return f"{words}: {error.__cause__}" if error.__cause__ else words
