"""What is written down, and where."""

from __future__ import annotations

from typing import ClassVar, Final

from fastwsgi.config.checks import log_format, log_level, optional_string, string
from fastwsgi.config.setting import Setting

ACCESS_LOG_FORMAT: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


class Logging:
    """The rows of this section."""

    SECTION: ClassVar = "Logging"

    accesslog = Setting(
        optional_string,
        None,
        "--access-logfile",
        metavar="FILE",
        text="The file to write a line per request to; - is the standard output.",
    )
    access_log_format = Setting(
        log_format,
        ACCESS_LOG_FORMAT,
        "--access-logformat",
        metavar="STRING",
        text="The form of such a line. Of gunicorn's atoms there are all; %(Q)s is the time in"
        " milliseconds, part of the others, until a thread was free.",
    )
    errorlog = Setting(
        string,
        "-",
        "--error-logfile",
        "--log-file",
        metavar="FILE",
        text="The file to write what happens to; - is the standard error stream.",
    )
    loglevel = Setting(
        log_level,
        "info",
        "--log-level",
        metavar="LEVEL",
        text="How much of it: debug, info, warning, error or critical.",
    )
