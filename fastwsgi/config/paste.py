"""Applications of a PasteDeploy file. Imported where such a file is named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from configparser import RawConfigParser
from importlib import import_module
from typing import Any

from fastwsgi.errors import AppLoadError, ConfigError

EXTRA = "PasteDeploy is not installed; pip install 'fastwsgi[paste]'"


def load(target: str, assignments: Sequence[str]) -> Callable[..., Any]:
    """Return the application of `target`, the absolute path of a file or PATH#NAME.

    `assignments` are values for the file's [DEFAULT], each KEY=VALUE. Raises AppLoadError, and
    whatever the application raises.
    """
    try:
        loadapp = import_module("paste.deploy").loadapp
    except ModuleNotFoundError:
        raise AppLoadError(f"cannot load the application {target!r}: {EXTRA}") from None
    try:
        app: Callable[..., Any] = loadapp(
            f"config:{target}", relative_to=os.getcwd(), global_conf=as_mapping(assignments)
        )
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError of the application's, say
            raise
        raise AppLoadError(f"cannot load the application {target!r}: {error}") from None
    return app


def as_mapping(assignments: Sequence[str]) -> dict[str, str]:
    """The pairs of KEY=VALUE, in which \\= is no sign of assignment. Raises ConfigError."""
    found: dict[str, str] = {}
    for text in assignments:
        key, *rest = re.split(r"(?<!\\)=", text, maxsplit=1)
        if not rest:
            raise ConfigError(f"the setting raw_paste_global_conf takes KEY=VALUE, not {text!r}")
        found[key.replace("\\=", "=")] = rest[0].replace("\\=", "=")
    return found


def defaults(target: str) -> dict[str, object]:
    """What a file says of a server by being there: its name, and how to log where it has [loggers]."""
    file = target.partition("#")[0]
    parser = RawConfigParser()
    parser.read(file)
    logging = {"logconfig": file} if parser.has_section("loggers") else {}
    return {"default_proc_name": file, **logging}
