"""`BaseApplication` and `Application`: gunicorn's way to embed the server in a program.

    class Site(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", "127.0.0.1:8000")

        def load(self):
            return application

    Site().run()

A subclass of the former says all its settings itself; one of the latter takes them from the command
line and a configuration file as well, above what its `init` returns. The methods, their order and
what they are given are gunicorn's. A reload asks the object again.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from fastwsgi.app.config import PROGRAM, Config
from fastwsgi.config import cli
from fastwsgi.config.settings import COMMAND_LINE, Settings, check
from fastwsgi.config.sources import Layer, Sources
from fastwsgi.errors import ConfigError
from fastwsgi.gunicorn.stand_in import standing_in
from fastwsgi.process import program
from fastwsgi.process.arbiter import Arbiter

WsgiApplication = Callable[..., Any]


class BaseApplication:
    """An application and its settings. Subclasses have `load` and `load_config`.

    `cfg` holds the settings, `callable` the WSGI application once it is loaded. What is wrong with
    the settings ends the program, with one line on standard error.
    """

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog
        self.callable: WsgiApplication | None = None
        self.logger: object = None
        self.do_load_config()

    def load_config(self) -> None:
        """Set what is to be set, by `self.cfg.set(name, value)`."""
        raise NotImplementedError

    def load(self) -> WsgiApplication:
        """Return the WSGI application. Called in each worker, or with preload_app in the master."""
        raise NotImplementedError

    def load_default_config(self) -> None:
        """Begin anew, with the defaults."""
        self.cfg = Config(self.usage, prog=self.prog)

    def reload(self) -> None:
        """Read all settings anew."""
        self.load_default_config()
        self.load_config()

    def do_load_config(self) -> None:
        """Read all settings; where they are wrong, end the program."""
        try:
            with standing_in():
                self.reload()
                Settings(self.cfg.layers)
        except Exception as error:
            end_program(error)

    def wsgi(self) -> WsgiApplication:
        """The WSGI application, loaded once."""
        if self.callable is None:
            with standing_in():
                self.callable = self.load()
        return self.callable

    def run(self) -> NoReturn:
        """Serve until told to stop, then end the program."""
        sources = Asked(self)
        try:
            settings = Settings(self.cfg.layers)
            sources.warnings = [*self.cfg.warnings, *settings.remarks]
            self.serve(sources, settings)
        except ConfigError as error:
            end_program(error)
        sys.exit(0)

    def serve(self, sources: Sources, settings: Settings) -> None:
        """Be the master of a server with `settings`."""
        program.require_main_thread(f"{type(self).__name__}.run")
        Arbiter(sources, settings, lambda settings: self.wsgi()).run()


class Application(BaseApplication):
    """An application with a command line and a configuration file. Subclasses have `load` and `init`."""

    def init(
        self, parser: argparse.ArgumentParser, opts: argparse.Namespace, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """Return settings that the configuration file and the command line may replace.

        `parser` has read the command line; `opts` are its options by the names of settings, None
        where not given, and `args` its other words.
        """
        raise NotImplementedError

    def load_config(self) -> None:
        """Read all sources of a server that a command starts, `init` among them."""
        values, positional = cli.parse(sys.argv[1:], self.cfg.prog)
        given: dict[str, object] = dict.fromkeys(Settings.ROWS)
        for name, value in values.items():
            given[name] = check(name, value, COMMAND_LINE)
        opts = argparse.Namespace(**given, args=list(positional))
        for name, value in (self.init(self.cfg.parser(), opts, positional) or {}).items():
            self.cfg.set(name.lower(), value)
        sources = Sources.of_command_line(
            sys.argv[1:], self.cfg.env_orig, self.cfg.prog, application=self.cfg.layers
        )
        self.cfg.layers = sources.layers()
        self.cfg.warnings = sources.warnings

    def serve(self, sources: Sources, settings: Settings) -> None:
        """Print and check what --print-config and --check-config ask for, else serve."""
        if settings.print_config:
            print(settings)
        if settings.print_config or settings.check_config:
            program.check(settings, sources.warnings, lambda settings: self.wsgi())
        else:
            super().serve(sources, settings)


class Asked(Sources):
    """The sources of an application object: whatever it says, asked anew at each reload."""

    def __init__(self, application: BaseApplication) -> None:
        super().__init__([], os.environ)
        self._asked = application

    def layers(self) -> list[Layer]:
        """What the application says now. Raises ConfigError whatever goes wrong in it."""
        try:
            self._asked.reload()
        except ConfigError:
            raise
        except Exception:
            raise ConfigError(f"{PROGRAM} failed:\n{traceback.format_exc().rstrip()}") from None
        self.warnings = list(self._asked.cfg.warnings)
        return self._asked.cfg.layers


def end_program(error: Exception) -> NoReturn:
    """End as gunicorn does where settings are wrong, with our exit code."""
    sys.stderr.write(f"\nError: {error}\n")
    sys.exit(error.exit_code if isinstance(error, ConfigError) else 1)
