"""What can be set: one row per setting, and the object that carries the final values.

A row is an attribute of one of the classes in `sections`, which `Settings` inherits. Its name is the
name in a configuration file; the row says how a value is checked, its default, its command-line
flags and its text in `--help`. The command line, the configuration file, the environment,
`--print-config` and the documentation are all made from these rows, so a setting is added by
writing one.

Laws:

1. A `Settings` object does not change once it is made; a reload makes another.
2. Every value knows its source, in words a person would use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from fastwsgi.config.checks import MalformedError
from fastwsgi.config.named_as_gunicorn import NamedAsGunicorn
from fastwsgi.config.sections.accepted import Accepted
from fastwsgi.config.sections.config_file import ConfigFile
from fastwsgi.config.sections.debugging import Debugging
from fastwsgi.config.sections.hooks import Hooks
from fastwsgi.config.sections.leniency import Leniency
from fastwsgi.config.sections.limits import Limits
from fastwsgi.config.sections.logs import Logging
from fastwsgi.config.sections.mechanics import ServerMechanics
from fastwsgi.config.sections.naming import ProcessNaming
from fastwsgi.config.sections.proxying import Proxying
from fastwsgi.config.sections.server_socket import ServerSocket
from fastwsgi.config.sections.tls import Tls
from fastwsgi.config.sections.workers import Workers
from fastwsgi.config.setting import Setting, shown
from fastwsgi.config.worker_classes import WORKER_CLASSES, Execution
from fastwsgi.errors import ConfigError, UsageError

DEFAULT_SOURCE: Final = "default"
COMMAND_LINE: Final = "command line"


class Settings(
    ConfigFile,
    ServerSocket,
    Workers,
    Limits,
    Debugging,
    ServerMechanics,
    Proxying,
    Leniency,
    Tls,
    Logging,
    ProcessNaming,
    Hooks,
    Accepted,
    NamedAsGunicorn,
):
    """The final values, each an attribute of its own type.

    Made from layers, lowest first: pairs of a source and what it says, by setting name. A higher
    layer replaces what a lower one says, lists too. Raises ConfigError for a bad value, and as
    gunicorn UsageError for what should be a number on a command line and is none.
    """

    ROWS: ClassVar[Mapping[str, Setting[object]]]

    def __init__(self, layers: Iterable[tuple[str, Mapping[str, object]]] = ()) -> None:
        values: dict[str, object] = {name: row.default for name, row in self.ROWS.items()}
        sources: dict[str, str] = {}
        for source, layer in layers:
            for name, value in layer.items():
                values[name] = check(name, value, source)
                sources[name] = source
        self.__dict__.update(values, _sources=sources)
        if self.request_streaming and self.execution == "inline":
            raise ConfigError(
                "request_streaming needs threads or gevent, as a sync worker calls the application when"
                f" the body is complete; add --threads 2{told(self.source('request_streaming'))}"
            )
        if both := set(self.bind).intersection(self.metrics_bind):
            raise ConfigError(
                f"metrics_bind has an address that bind has: {', '.join(sorted(both))}; metrics need one"
                f" of their own{told(self.source('metrics_bind'))}"
            )
        if self.certfile is None:
            for name in ("keyfile", "sni"):
                if self.__dict__[name]:
                    raise ConfigError(f"{name} needs a certfile{told(self.source(name))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings do not change; make another Settings to set {name!r}")

    @property
    def execution(self) -> Execution:
        """How a worker runs the application. With threads, sync is gthread, as in gunicorn."""
        how = WORKER_CLASSES[self.worker_class]
        return "threads" if how == "inline" and self.threads > 1 else how

    @property
    def effective_class(self) -> str:
        """The worker class that stands for `execution`, whichever name was given."""
        return next(name for name, how in WORKER_CLASSES.items() if how == self.execution)

    worker_class_str = effective_class  # gunicorn's name for it

    @property
    def is_ssl(self) -> bool:
        """Whether the addresses speak TLS."""
        return self.certfile is not None

    @property
    def url_scheme(self) -> str:
        """How the addresses of what is served begin."""
        return "https" if self.is_ssl else "http"

    @property
    def patience(self) -> float:
        """Seconds for which a worker may be silent: inline, that is busy with one request."""
        limits = (self.timeout, self.request_timeout if self.execution == "inline" else 0)
        return min(filter(None, limits), default=math.inf)

    @property
    def remarks(self) -> list[str]:
        """What the rows have to say of their values at the start; lines for the log."""
        said = (row.remark(self.__dict__[name]) for name, row in self.ROWS.items())
        return [line for line in said if line]

    def source(self, name: str) -> str:
        """Where the value of the setting `name` came from."""
        sources: dict[str, str] = self.__dict__["_sources"]
        return sources.get(name, DEFAULT_SOURCE)

    def __str__(self) -> str:
        """A line per setting: name, value, source; as `--print-config` shows it."""
        rows = [(name, shown(self.__dict__[name]), self.source(name)) for name in sorted(self.ROWS)]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(
            f"{name:{widths[0]}} = {value:{min(widths[1], 40)}}  # {source}"
            for name, value, source in rows
        )


Settings.ROWS = {
    row.name: row
    for section in Settings.__bases__
    for row in vars(section).values()
    if isinstance(row, Setting)
}


def check(name: str, value: object, source: str) -> object:
    """The value as the row `name` wants it; UsageError or ConfigError where it cannot be."""
    row = Settings.ROWS[name]
    try:
        return row.check(value)
    except ValueError as error:
        on_command_line = source == COMMAND_LINE or source.endswith("_CMD_ARGS")
        words = row.flags[-1] if on_command_line and row.flags else f"the setting {name}"
        misread = on_command_line and isinstance(error, MalformedError)
        kind = UsageError if misread else ConfigError
        raise kind(f"{words} {error}{told(source)}") from None
    except ConfigError as error:
        raise type(error)(f"{error}{told(source)}") from None


def told(source: str) -> str:
    """Where to look for what is wrong; nothing for what was typed just now."""
    return "" if source == COMMAND_LINE else f" ({source})"
