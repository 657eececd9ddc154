"""`WSGIApplication`: the command line of the server, for programs that start it from inside."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from fastwsgi.app.base import Application
from fastwsgi.config import application
from fastwsgi.errors import ConfigError


class WSGIApplication(Application):
    """Serves what the command line names, or what a subclass has set as `app_uri`."""

    app_uri: str | None

    def init(
        self, parser: argparse.ArgumentParser, opts: argparse.Namespace, args: Sequence[str]
    ) -> None:
        """Take the first word that is no option for the application's name."""
        self.app_uri = args[0] if args else None

    def load_config(self) -> None:
        """Read all sources. Raises ConfigError where none of them names an application."""
        super().load_config()
        if self.app_uri is None:
            self.app_uri = self.cfg.wsgi_app
        if self.app_uri is None:
            raise ConfigError("no application is named; write MODULE:NAME")

    def load(self) -> Callable[..., Any]:
        """Import the application. Raises AppLoadError."""
        return application.load(self.app_uri or "")


def run(prog: str | None = None) -> NoReturn:
    """Serve what `sys.argv` asks for, and end the program; `prog` is its name in messages."""
    WSGIApplication(prog=prog).run()
