"""What can be set: one row per setting, and the object that carries the final values.

A row is a class attribute of `Settings`. Its name is the name in a configuration file; the row says
how a value is checked, its default, its command-line flags and its place and text in `--help`. The
command line, the configuration file, the environment, `--print-config` and the documentation are
all made from these rows, so a setting is added by writing one.

Laws:

1. A `Settings` object does not change once it is made; a reload makes another.
2. Every value knows its source, in words a person would use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, Generic, TypeVar, overload

from fastwsgi.config.checks import (
    WORKER_CLASSES,
    Execution,
    absolute_folder,
    addresses,
    assignments,
    field_value,
    flag,
    integer,
    known_worker_class,
    log_format,
    log_level,
    optional_folder,
    optional_path,
    optional_string,
    positive,
    present_folder,
    request_fields,
    seconds,
    string,
    strings,
)
from fastwsgi.errors import ConfigError, UsageError

T = TypeVar("T")

DEFAULT_SOURCE: Final = "default"
COMMAND_LINE: Final = "command line"

ACCESS_LOG_FORMAT: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


class Setting(Generic[T]):
    """One row. Read on the `Settings` class it is the row itself, on an object its value."""

    __slots__ = ("_default", "check", "flags", "metavar", "name", "repeated", "section", "text")

    def __init__(
        self,
        check: Callable[[object], T],
        default: T | Callable[[], T],
        *flags: str,
        section: str,
        text: str,
        metavar: str | None = None,
    ) -> None:
        self.name = ""
        self.check = check
        self.flags = flags
        self.section = section
        self.text = text
        self.metavar = metavar
        self.repeated = check in (addresses, assignments, strings)
        self._default = default

    @property
    def default(self) -> T:
        """Computed when it is asked for where it depends on the process, as the folder does."""
        return self._default() if callable(self._default) else self._default

    @property
    def is_flag(self) -> bool:
        return self.check is flag

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...

    @overload
    def __get__(self, instance: Settings, owner: type) -> T: ...

    def __get__(self, instance: Settings | None, owner: type) -> Setting[T] | T:
        # Reached on an object only before its values stand in its __dict__, which goes first.
        return self if instance is None else self.default


class Settings:
    """The final values, each an attribute of its own type.

    Made from layers, lowest first: pairs of a source and what it says, by setting name. A higher
    layer replaces what a lower one says, lists too. Raises UsageError for a bad value from the
    command line and ConfigError for one from anywhere else.
    """

    # Config file

    config = Setting(
        optional_string,
        None,
        "-c",
        "--config",
        section="Config file",
        metavar="FILE",
        text="The configuration file: PATH, file:PATH or python:MODULE. Where none is named,"
        " ./fastwsgi.conf.py or else ./gunicorn.conf.py is read when it exists.",
    )
    wsgi_app = Setting(
        optional_string,
        None,
        section="Config file",
        text="The application, where the command line names none: MODULE:NAME. Configuration file"
        " only.",
    )

    # Server socket

    bind = Setting(
        addresses,
        ("127.0.0.1:8000",),
        "-b",
        "--bind",
        section="Server socket",
        metavar="ADDRESS",
        text="An address to listen on: HOST, HOST:PORT, [IPv6]:PORT, unix:PATH or fd://N. May be"
        " given several times. Where the environment has PORT, 0.0.0.0:$PORT unless set.",
    )
    backlog = Setting(
        positive,
        2048,
        "--backlog",
        section="Server socket",
        metavar="INT",
        text="The number of connections the kernel queues until a worker accepts them.",
    )
    reuse_port = Setting(
        flag,
        False,
        "--reuse-port",
        section="Server socket",
        text="Give every worker a listening socket of its own (SO_REUSEPORT), so that the kernel"
        " spreads connections evenly over the workers.",
    )

    # Workers

    workers = Setting(
        positive,
        1,
        "-w",
        "--workers",
        section="Workers",
        metavar="INT",
        text="The number of worker processes; $WEB_CONCURRENCY unless set.",
    )
    worker_class = Setting(
        known_worker_class,
        "sync",
        "-k",
        "--worker-class",
        section="Workers",
        metavar="STRING",
        text="How a worker runs the application: sync, one request after the other; gthread, in"
        " threads; gevent, in greenlets. docs/concurrency.md says which to take when.",
    )
    threads = Setting(
        positive,
        1,
        "--threads",
        section="Workers",
        metavar="INT",
        text="The number of threads of a worker that run the application. More than one makes a sync"
        " worker a gthread one; gevent has none.",
    )
    worker_connections = Setting(
        positive,
        1000,
        "--worker-connections",
        section="Workers",
        metavar="INT",
        text="The most connections a worker keeps open at once.",
    )
    max_queue = Setting(
        integer,
        0,
        "--max-queue",
        section="Workers",
        metavar="INT",
        text="The most requests of a worker that wait until a thread is free; what comes beyond is"
        " answered with 503. 0: as many as worker_connections lets in. With gevent none waits.",
    )
    queue_timeout = Setting(
        seconds,
        0,
        "--queue-timeout",
        section="Workers",
        metavar="SECONDS",
        text="Seconds a request may wait so, before it is answered with 503 instead; 0 without limit.",
    )
    max_requests = Setting(
        integer,
        0,
        "--max-requests",
        section="Workers",
        metavar="INT",
        text="Replace a worker after this many requests; 0 never.",
    )
    max_requests_jitter = Setting(
        integer,
        0,
        "--max-requests-jitter",
        section="Workers",
        metavar="INT",
        text="Up to this many requests more, chosen at random for each worker, so that not all are"
        " replaced at once.",
    )
    timeout = Setting(
        integer,
        30,
        "-t",
        "--timeout",
        section="Workers",
        metavar="INT",
        text="Seconds of silence after which a worker is taken for stuck: it writes down its stacks"
        " and is replaced. 0 never.",
    )
    request_timeout = Setting(
        seconds,
        0,
        "--request-timeout",
        section="Workers",
        metavar="SECONDS",
        text="Seconds the application may spend on one request; then the client is answered with 504"
        " and the stacks of all threads are written down. A sync worker is replaced, and notices after"
        " a second at the earliest. 0 without limit.",
    )
    graceful_timeout = Setting(
        integer,
        30,
        "--graceful-timeout",
        section="Workers",
        metavar="INT",
        text="Seconds a worker that is told to leave has to finish what it began.",
    )
    drain_delay = Setting(
        seconds,
        0,
        "--drain-delay",
        section="Workers",
        metavar="SECONDS",
        text="Seconds from TERM until the server stops listening, in which a load balancer can notice"
        " that health_path answers 503. graceful_timeout begins after them.",
    )
    keepalive = Setting(
        integer,
        2,
        "--keep-alive",
        section="Workers",
        metavar="INT",
        text="Seconds a kept connection waits for the next request.",
    )
    keepalive_requests = Setting(
        integer,
        1000,
        "--keepalive-requests",
        section="Workers",
        metavar="INT",
        text="The most requests of one connection; 0 without limit.",
    )

    # Limits

    limit_request_line = Setting(
        integer,
        4094,
        "--limit-request-line",
        section="Limits",
        metavar="INT",
        text="The most bytes of a request line; 0: as many as the head may have.",
    )
    limit_request_fields = Setting(
        request_fields,
        100,
        "--limit-request-fields",
        section="Limits",
        metavar="INT",
        text="The most header fields of a request, at most 32768.",
    )
    limit_request_field_size = Setting(
        integer,
        8190,
        "--limit-request-field_size",
        section="Limits",
        metavar="INT",
        text="The most bytes of one header field; 0: as many as the head may have.",
    )
    limit_request_head = Setting(
        positive,
        65536,
        "--limit-request-head",
        section="Limits",
        metavar="INT",
        text="The most bytes of a request line and all header fields together.",
    )
    limit_request_body = Setting(
        integer,
        0,
        "--limit-request-body",
        section="Limits",
        metavar="INT",
        text="The most bytes of a request body; 0 without limit.",
    )
    header_timeout = Setting(
        positive,
        10,
        "--header-timeout",
        section="Limits",
        metavar="INT",
        text="Seconds a client has to send the head of a request.",
    )
    body_timeout = Setting(
        positive,
        30,
        "--body-timeout",
        section="Limits",
        metavar="INT",
        text="Seconds a client may be silent while it sends a request body.",
    )
    body_min_rate = Setting(
        integer,
        1024,
        "--body-min-rate",
        section="Limits",
        metavar="INT",
        text="Bytes a second at which a request body must arrive after its first 10 seconds; 0: at"
        " any rate.",
    )
    send_timeout = Setting(
        positive,
        30,
        "--send-timeout",
        section="Limits",
        metavar="INT",
        text="Seconds a client may take nothing of a response that is ready.",
    )
    body_buffer_size = Setting(
        integer,
        65536,
        "--body-buffer-size",
        section="Limits",
        metavar="INT",
        text="Bytes of a request body that are kept in memory; a larger body goes to a temporary"
        " file.",
    )
    output_buffer_size = Setting(
        positive,
        262144,
        "--output-buffer-size",
        section="Limits",
        metavar="INT",
        text="Bytes of a response that wait in memory before the application has to.",
    )

    # Debugging

    check_config = Setting(
        flag,
        False,
        "--check-config",
        section="Debugging",
        text="Read the settings, load the application, and exit: 0 if both can be done, else 1.",
    )
    print_config = Setting(
        flag,
        False,
        "--print-config",
        section="Debugging",
        text="Print every setting with its value and where that came from; then as --check-config.",
    )

    # Server mechanics

    preload_app = Setting(
        flag,
        False,
        "--preload",
        section="Server mechanics",
        text="Load the application once, before the workers are forked.",
    )
    chdir = Setting(
        absolute_folder,
        present_folder,
        "--chdir",
        section="Server mechanics",
        metavar="FOLDER",
        text="The folder to change to before the application is loaded.",
    )
    pythonpath = Setting(
        optional_string,
        None,
        "--pythonpath",
        section="Server mechanics",
        metavar="FOLDERS",
        text="Folders, with commas between them, to look for modules in.",
    )
    raw_env = Setting(
        assignments,
        (),
        "-e",
        "--env",
        section="Server mechanics",
        metavar="NAME=VALUE",
        text="An environment variable for the application. May be given several times.",
    )
    pidfile = Setting(
        optional_string,
        None,
        "-p",
        "--pid",
        section="Server mechanics",
        metavar="FILE",
        text="The file to write the master's process id to.",
    )
    tmp_upload_dir = Setting(
        optional_folder,
        None,
        "--tmp-upload-dir",
        section="Server mechanics",
        metavar="FOLDER",
        text="The folder for large request bodies; worker_tmp_dir unless set.",
    )
    worker_tmp_dir = Setting(
        optional_folder,
        None,
        "--worker-tmp-dir",
        section="Server mechanics",
        metavar="FOLDER",
        text="The folder for large request bodies where tmp_upload_dir is not set; the system's"
        " temporary folder unless set. The heartbeat, for which gunicorn has it, needs no file here.",
    )
    request_streaming = Setting(
        flag,
        False,
        "--request-streaming",
        section="Server mechanics",
        text="Call the application when the head of a request is there, and let it read the body while"
        " it arrives. Needs threads or gevent.",
    )
    health_path = Setting(
        optional_path,
        None,
        "--health-path",
        section="Server mechanics",
        metavar="PATH",
        text="A path that the server itself answers, even where all threads are busy: 200, or 503 from"
        " TERM on.",
    )
    health_log = Setting(
        flag,
        False,
        "--health-log",
        section="Server mechanics",
        text="Write requests for health_path to the access log, and count them for max_requests.",
    )
    server_header = Setting(
        field_value,
        "fastwsgi",
        "--server-header",
        section="Server mechanics",
        metavar="STRING",
        text="The Server field of every response; an empty string leaves it out.",
    )

    # Logging

    accesslog = Setting(
        optional_string,
        None,
        "--access-logfile",
        section="Logging",
        metavar="FILE",
        text="The file to write a line per request to; - is the standard output.",
    )
    access_log_format = Setting(
        log_format,
        ACCESS_LOG_FORMAT,
        "--access-logformat",
        section="Logging",
        metavar="STRING",
        text="The form of such a line. Of gunicorn's atoms there are all; %(Q)s is the time in"
        " milliseconds, part of the others, until a thread was free.",
    )
    errorlog = Setting(
        string,
        "-",
        "--error-logfile",
        "--log-file",
        section="Logging",
        metavar="FILE",
        text="The file to write what happens to; - is the standard error stream.",
    )
    loglevel = Setting(
        log_level,
        "info",
        "--log-level",
        section="Logging",
        metavar="LEVEL",
        text="How much of it: debug, info, warning, error or critical.",
    )

    # Process naming

    proc_name = Setting(
        optional_string,
        None,
        "-n",
        "--name",
        section="Process naming",
        metavar="STRING",
        text="The name of the processes in ps and top, where setproctitle is installed.",
    )

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

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings do not change; make another Settings to set {name!r}")

    @property
    def execution(self) -> Execution:
        """How a worker runs the application. With threads, sync is gthread, as in gunicorn."""
        if self.worker_class == "sync" and self.threads > 1:
            return "threads"
        return WORKER_CLASSES[self.worker_class]

    @property
    def effective_class(self) -> str:
        """The worker class that stands for `execution`, whichever name was given."""
        return next(name for name, how in WORKER_CLASSES.items() if how == self.execution)

    @property
    def patience(self) -> float:
        """Seconds for which a worker may be silent: inline, that is busy with one request."""
        limits = (self.timeout, self.request_timeout if self.execution == "inline" else 0)
        return min(filter(None, limits), default=math.inf)

    @property
    def remarks(self) -> list[str]:
        """What is done otherwise than the words of a setting say; lines for the log."""
        if self.worker_class == "eventlet":
            return ["There is no worker class eventlet here: gevent takes its place"]
        return []

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


Settings.ROWS = {row.name: row for row in vars(Settings).values() if isinstance(row, Setting)}


def check(name: str, value: object, source: str) -> object:
    """The value as the row `name` wants it; UsageError or ConfigError where it cannot be."""
    row = Settings.ROWS[name]
    try:
        return row.check(value)
    except ValueError as error:
        on_command_line = source == COMMAND_LINE or source.endswith("_CMD_ARGS")
        words = row.flags[-1] if on_command_line and row.flags else f"the setting {name}"
        kind = UsageError if on_command_line else ConfigError
        raise kind(f"{words} {error}{told(source)}") from None
    except ConfigError as error:
        raise type(error)(f"{error}{told(source)}") from None


def told(source: str) -> str:
    """Where to look for what is wrong; nothing for what was typed just now."""
    return "" if source == COMMAND_LINE else f" ({source})"


def shown(value: object) -> str:
    """Strings as they are, as gunicorn prints them; everything else as Python writes it."""
    if isinstance(value, tuple):
        return repr(list(value))
    return value if isinstance(value, str) else repr(value)
