"""Settings in the making: what a program that embeds the server sets one by one.

`Settings` objects do not change, and gunicorn's `Config` does. So a `Config` here is a pile of
layers, on which `set` puts another, and whoever reads it reads the settings these layers make.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastwsgi.config import cli
from fastwsgi.config.setting import Setting
from fastwsgi.config.settings import Settings, check
from fastwsgi.config.sources import Layer, environment_defaults, environment_settings

PROGRAM: Final = "the program"


class Config:
    """gunicorn's `Config`, as an application object has it in `self.cfg`.

    Begins with what the environment says. Every attribute of `Settings` is one of its own, with the
    value that the layers give by now.
    """

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = dict(os.environ)
        self.layers: list[Layer] = [
            *environment_defaults(self.env_orig),
            *environment_settings(self.env_orig),
        ]
        self.warnings: Sequence[str] = ()

    @property
    def settings(self) -> Mapping[str, Setting[object]]:
        """The rows of all settings by name."""
        return Settings.ROWS

    def set(self, name: str, value: object) -> None:
        """Give a setting a value. AttributeError where there is no such setting, else ConfigError."""
        if name not in Settings.ROWS:
            raise AttributeError(f"there is no setting {name!r}")
        self.layers.append((PROGRAM, {name: check(name, value, PROGRAM)}))

    def parser(self) -> argparse.ArgumentParser:
        """The parser of command lines, which programs give options of their own."""
        return cli.make_parser(self.prog)

    def get_cmd_args_from_env(self) -> list[str]:
        """The words of GUNICORN_CMD_ARGS."""
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "layers":  # of an object that is not complete
            raise AttributeError(name)
        return getattr(Settings(self.layers), name)

    def __str__(self) -> str:
        return str(Settings(self.layers))
