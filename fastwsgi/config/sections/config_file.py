"""Where settings come from, and the application they are for."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import optional_string
from fastwsgi.config.setting import Setting


class ConfigFile:
    """The rows of this section."""

    SECTION: ClassVar = "Config file"

    config = Setting(
        optional_string,
        None,
        "-c",
        "--config",
        metavar="FILE",
        text="The configuration file: PATH, file:PATH or python:MODULE. Where none is named,"
        " ./fastwsgi.conf.py or else ./gunicorn.conf.py is read when it exists.",
    )
    wsgi_app = Setting(
        optional_string,
        None,
        text="The application, where the command line names none: MODULE:NAME. Configuration file"
        " only.",
    )
