"""The server as PasteDeploy and `pserve` start it, from a section [server:main] of an ini file.

[server:main]
use = egg:fastwsgi
host = 127.0.0.1
port = 6543
workers = 2
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastwsgi.app.base import BaseApplication
from fastwsgi.config import paste
from fastwsgi.config.sources import DEFAULT_FILES, Sources
from fastwsgi.process.program import address


class Section(BaseApplication):
    """An application and the settings of its section in `file`.

    A configuration file, the one that `config` names or the one in the folder, stands below them.
    """

    def __init__(self, app: Callable[..., Any], file: str, section: Mapping[str, object]) -> None:
        self.app = app
        self.file = file
        self.section = section
        super().__init__()

    def load_config(self) -> None:
        """Take all settings of the section. AttributeError where one is none."""
        for name, value in paste.defaults(self.file).items():
            self.cfg.set(name, value)
        below = Sources(
            [("", {"config": self.section.get("config")})],
            {},
            application=self.cfg.layers,
            default_files=DEFAULT_FILES,
        )
        self.cfg.layers = below.layers()
        self.cfg.warnings = below.warnings
        for name, value in as_settings(self.section).items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        return self.app


def as_settings(section: Mapping[str, object]) -> dict[str, object]:
    """The values of a section by the names of settings; host and port are an address."""
    found = {name.lower(): value for name, value in section.items() if value is not None}
    host, port = found.pop("host", ""), found.pop("port", "")
    if host and port:
        found["bind"] = address(host, port)
    elif host:
        found["bind"] = host
    return found


def serve(app: Callable[..., Any], global_conf: Mapping[str, str], **section: object) -> None:
    """Serve `app` until told to stop, then end the program.

    The entry point `paste.server_runner`: `section` are the values of [server:main], and
    `global_conf["__file__"]` is the file it stands in.
    """
    Section(app, global_conf["__file__"], section).run()
