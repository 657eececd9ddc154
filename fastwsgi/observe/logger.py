"""The logger of a server, with the interface of gunicorn's `glogging.Logger`.

The master makes one, of `logger_class`, and the workers inherit it. Hooks know it as `server.log`
and `worker.log`; people subclass it. So the names of its methods and attributes are gunicorn's,
those with an underscore too where subclasses are known to use them.

Laws:

1. `setup` may be called again with other settings and leaves nothing behind of the former. Where it
   raises, calling it with the former settings brings those back.
2. Lines go to the loggers `gunicorn.error` and `gunicorn.access`, whose handlers, filters and
   formatters belong to whoever wants to change them. What is logged under the names
   `fastwsgi.error` and `fastwsgi.access` goes there, too.
3. What only some settings need is imported for those.
"""

from __future__ import annotations

import binascii
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TextIO

from fastwsgi._line import escape
from fastwsgi.observe.access_log import MISSING, OnDone, apache_time, basic_user
from fastwsgi.observe.destinations import (
    FACILITIES,
    default_syslog_address,
    parse_syslog_address,
)
from fastwsgi.observe.logs import (
    ACCESS,
    ALIASES,
    BARE_FORMAT,
    DATE_FORMAT,
    ERROR,
    LINE_FORMAT,
    ErrorFormatter,
    LogFile,
    all_handlers,
    harmless,
    open_log,
    reopen_handler,
)

if TYPE_CHECKING:
    from datetime import timedelta

SYSLOG_FACILITIES: Final = FACILITIES

# What a configuration of logging begins with, as gunicorn's does.
CONFIG_DEFAULTS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        ERROR: {
            "level": "INFO",
            "handlers": ["error_console"],
            "propagate": True,
            "qualname": ERROR,
        },
        ACCESS: {
            "level": "INFO",
            "handlers": ["console"],
            "propagate": True,
            "qualname": ACCESS,
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stdout",
        },
        "error_console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stderr",
        },
    },
    "formatters": {
        "generic": {
            "format": LINE_FORMAT,
            "datefmt": DATE_FORMAT,
            "class": "logging.Formatter",
        }
    },
}


class SafeAtoms(dict[str, Any]):
    """Atoms by name, with texts escaped. What is not there is -; names in braces have no case."""

    def __init__(self, atoms: Mapping[str, Any]) -> None:
        super().__init__(
            (name, escape(value) if isinstance(value, str) else value)
            for name, value in atoms.items()
        )

    def __missing__(self, name: str) -> Any:
        return self.get(name.lower(), MISSING) if name.startswith("{") else MISSING


class Logger:
    """Both logs of a server. `cfg` is its settings.

    Raises ConfigError, or what the handlers of a configuration of logging raise.
    """

    LOG_LEVELS: ClassVar[Mapping[str, int]] = {
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
    loglevel = logging.INFO

    error_fmt = LINE_FORMAT
    datefmt = DATE_FORMAT
    access_fmt = BARE_FORMAT
    syslog_fmt = "[%(process)d] %(message)s"

    atoms_wrapper_class: ClassVar[type] = SafeAtoms

    # Called with each exchange that is over, by a logger that measures requests.
    measured: OnDone | None = None

    def __init__(self, cfg: Any) -> None:
        self.error_log = logging.getLogger(ERROR)
        self.access_log = logging.getLogger(ACCESS)
        self.logfile: LogFile | None = None  # where captured output goes
        self.lock = threading.Lock()
        self._streams: tuple[int, int] | None = None  # standard output and error before that
        self.cfg = cfg
        self.setup(cfg)

    def setup(self, cfg: Any) -> None:
        """Write as the settings `cfg` say from now on."""
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        for alias, name in ALIASES.items():
            logging.getLogger(alias).parent = logging.getLogger(name)
        for log, level in ((self.error_log, self.loglevel), (self.access_log, logging.INFO)):
            log.propagate = False
            log.disabled = False
            log.setLevel(level)
        error = ErrorFormatter(self.error_fmt, self.datefmt)
        access = logging.Formatter(self.access_fmt)
        former = self._own_handlers()
        self._set_handler(self.error_log, cfg.errorlog, error)
        self._set_handler(self.access_log, cfg.accesslog, access, sys.stdout)
        for log, handler in former:
            discard(log, handler)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
            if not cfg.disable_redirect_access_to_syslog:
                self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        self._configure(cfg)
        self._capture(cfg.errorlog if cfg.capture_output and cfg.errorlog != "-" else None)

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        """Log at a level that is given by its number or its name."""
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    def atoms(
        self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
    ) -> dict[str, Any]:
        """What a line of the access log can be made of, by name, as it came."""
        status = resp.status
        if isinstance(status, str):
            status = status.split(None, 1)[0]
        seconds, rest = request_time.seconds, request_time.microseconds
        sent = getattr(resp, "sent", None)
        line = [environ.get(name) for name in ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL")]
        atoms = {
            "h": environ.get("REMOTE_ADDR") or MISSING,
            "l": MISSING,
            "u": self._get_user(environ) or MISSING,
            "t": self.now(),
            "r": " ".join(str(part) for part in line) if any(line) else MISSING,
            "s": MISSING if status is None else status,
            "m": environ.get("REQUEST_METHOD", MISSING),
            "U": environ.get("PATH_INFO", MISSING),
            "q": environ.get("QUERY_STRING", MISSING),
            "H": environ.get("SERVER_PROTOCOL", MISSING),
            "b": MISSING if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", MISSING),
            "a": environ.get("HTTP_USER_AGENT", MISSING),
            "T": seconds,
            "D": seconds * 1_000_000 + rest,
            "M": seconds * 1_000 + rest // 1_000,
            "L": f"{seconds}.{rest:06}",
            "p": f"<{os.getpid()}>",
        }
        atoms.update(in_braces("i", getattr(req, "headers", req)))
        atoms.update(in_braces("o", resp.headers))
        atoms.update(in_braces("e", environ))
        return atoms

    @property
    def access_log_enabled(self) -> bool:
        """Whether there is anywhere for the lines of the access log to go."""
        cfg = self.cfg
        return bool(
            cfg.accesslog
            or cfg.logconfig
            or cfg.logconfig_dict
            or cfg.logconfig_json
            or (cfg.syslog and not cfg.disable_redirect_access_to_syslog)
        )

    def access(
        self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
    ) -> None:
        """Log a request. `resp` and `req` are of the kind of `fastwsgi.observe.faces`."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(self.cfg.access_log_format, atoms)
        except Exception:
            self.error("%s", harmless(traceback.format_exc()))

    def now(self) -> str:
        """The time as in Apache's common log format."""
        return apache_time(int(time.time()))

    def reopen_files(self) -> None:
        """Go on in new files, after the present ones were renamed: those of all loggers."""
        with self.lock:
            for handler in all_handlers():
                reopen_handler(handler)
            if self.logfile is not None:
                self.logfile.reopen()
                self._redirect((self.logfile.fileno(), self.logfile.fileno()))

    def files(self) -> list[LogFile]:
        """The files of both logs that are open now, and that of captured output."""
        streams = (getattr(handler, "stream", None) for _, handler in self._own_handlers())
        return [
            file for file in (*streams, self.logfile) if isinstance(file, LogFile) and file.path
        ]

    def close_on_exec(self) -> None:
        """Nothing to do: no file that Python opens outlives an exec (PEP 446)."""

    def close(self) -> None:
        """Write nothing more to the files; the standard streams stay open, and are as they were."""
        self._capture(None)
        for log, handler in self._own_handlers():
            discard(log, handler)

    def _own_handlers(self) -> list[tuple[logging.Logger, logging.Handler]]:
        """The handlers that the settings brought, each with the log it is at."""
        return [
            (log, handler)
            for log in (self.error_log, self.access_log)
            for handler in log.handlers
            if is_own(handler)
        ]

    def _configure(self, cfg: Any) -> None:
        """Apply the configuration of logging, where there is one; what it installs is ours then."""
        if not (cfg.logconfig_dict or cfg.logconfig_json or cfg.logconfig):
            return
        from fastwsgi.observe import logconfig  # noqa: PLC0415

        before = self._own_handlers()
        if cfg.logconfig_dict:
            logconfig.apply_dict(CONFIG_DEFAULTS, cfg.logconfig_dict)
        elif cfg.logconfig_json:
            logconfig.apply_json(CONFIG_DEFAULTS, cfg.logconfig_json)
        else:
            logconfig.apply_file(cfg.logconfig)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                mark(handler)
        for log, handler in before:
            if handler not in log.handlers:
                discard(log, handler)

    def _capture(self, path: str | None) -> None:
        """Let standard output and error go to the file `path`; None: where they went before."""
        former, self.logfile = self.logfile, None if path is None else LogFile(path)
        if self.logfile is not None:
            if self._streams is None:
                self._streams = os.dup(1), os.dup(2)
            self._redirect((self.logfile.fileno(), self.logfile.fileno()))
        elif self._streams is not None:
            self._redirect(self._streams)
            for fd in self._streams:
                os.close(fd)
            self._streams = None
        if former is not None:
            former.close()

    def _redirect(self, targets: tuple[int, int]) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        for number, target in enumerate(targets, 1):
            os.dup2(target, number)

    def _get_gunicorn_handler(self, log: logging.Logger) -> logging.Handler | None:
        return next(filter(is_own, log.handlers), None)

    def _set_handler(
        self,
        log: logging.Logger,
        output: str | None,
        fmt: logging.Formatter,
        stream: TextIO | None = None,
    ) -> None:
        """Have `log` write to `output` instead of where we let it: a file, - for `stream`, or None.

        Where `stream` is None, - is the standard error stream.
        """
        handler = None
        if output is not None:
            standard = 1 if stream is not None and stream is sys.stdout else 2
            handler = logging.StreamHandler(open_log(output, standard))
            handler.setFormatter(fmt)
            mark(handler)
        former = self._get_gunicorn_handler(log)
        if former is not None:
            discard(log, former)
        if handler is not None:
            log.addHandler(handler)

    def _set_syslog_handler(self, log: logging.Logger, cfg: Any, fmt: str, name: str) -> None:
        """Have `log` write to syslog, too, as `gunicorn.<prefix>.<name>`."""
        from fastwsgi.observe.syslog import SyslogHandler  # noqa: PLC0415

        prefix = cfg.syslog_prefix or (cfg.proc_name or cfg.wsgi_app or "fastwsgi").replace(
            ":", "."
        )
        kind, address = parse_syslog_address(cfg.syslog_addr or default_syslog_address())
        facility = FACILITIES[(cfg.syslog_facility or "user").lower()]
        handler = SyslogHandler(address, facility, kind)
        handler.setFormatter(ErrorFormatter(f"gunicorn.{prefix}.{name}: {fmt}"))
        mark(handler)
        log.addHandler(handler)

    def _get_user(self, environ: Mapping[str, Any]) -> str | None:
        try:
            return basic_user(environ)
        except (binascii.Error, ValueError) as error:
            self.debug("Couldn't get username: %s", error)
            return None


def in_braces(kind: str, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Atoms such as `{host}i`, of the last of several of one name."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return {f"{{{name.lower()}}}{kind}": value for name, value in items}


def mark(handler: logging.Handler) -> None:
    """Remember that a handler came by the settings, and goes with them; by gunicorn's mark."""
    handler._gunicorn = True  # type: ignore[attr-defined]


def is_own(handler: logging.Handler) -> bool:
    """Whether the settings brought it."""
    return getattr(handler, "_gunicorn", False)


def discard(log: logging.Logger, handler: logging.Handler) -> None:
    """Take a handler from `log`, for good."""
    log.removeHandler(handler)
    handler.close()
    if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, LogFile):
        handler.stream.close()
