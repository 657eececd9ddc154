"""The name of a process in ps and top, where the optional package setproctitle is installed."""

from __future__ import annotations

from importlib import import_module

try:
    SET = import_module("setproctitle").setproctitle
except ImportError:
    SET = None


def set_title(role: str, name: str) -> None:
    """Show the process as `fastwsgi: role [name]`."""
    if SET is not None:
        SET(f"fastwsgi: {role} [{name}]")
