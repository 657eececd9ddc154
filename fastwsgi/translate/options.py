"""What each option of uWSGI's is here: data, and functions where a value has to change its form.

A rule takes the value of an option and the notes on the whole file, and returns what is to be
written: settings with Python for their values, and remarks. A value that cannot be is a ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from fastwsgi.translate.ini import CPUS, MARK, expression

FALSE: Final = frozenset({"false", "off", "no", "0"})
DEFAULT_TIMEOUT: Final = 30  # seconds: of the setting timeout
DEFAULT_HEAD: Final = 65536  # bytes: of limit_request_head

# The settings that are lists, to which each option adds.
LISTS: Final = frozenset({"bind", "raw_env"})


class Written(NamedTuple):
    """`rows` are pairs of a name and the Python of its value; `remark` stands beside them."""

    rows: tuple[tuple[str, str], ...] = ()
    remark: str = ""


class Notes:
    """What is known only when the whole file is read."""

    def __init__(self) -> None:
        self.module = ""
        self.callable = ""
        self.paste = False
        self.folders: list[str] = []
        self.log = ""
        self.requests_log = ""
        self.log_format = False
        self.logs_requests = True
        self.timed = False


Rule = Callable[[str, Notes], Written]


def is_on(value: str) -> bool:
    """As uWSGI takes a flag: it is set by being there, unless it says no."""
    return value.lower() not in FALSE


def number(value: str) -> int | None:
    """A whole number; None where a variable says it. ValueError for anything else."""
    if MARK.search(value):
        return None
    if not value.isdecimal():
        raise ValueError(f"takes a whole number, not {value!r}")
    return int(value)


def counts(setting: str) -> Rule:
    """A number that goes by another name."""

    def rule(value: str, notes: Notes) -> Written:
        known = number(value)
        return Written(((setting, expression(value) if known is None else str(known)),))

    return rule


def says(setting: str, remark: str = "") -> Rule:
    """Text that goes by another name; in a setting that is a list, one more."""

    def rule(value: str, notes: Notes) -> Written:
        if not value:
            raise ValueError("takes a value")
        text = expression(value)
        return Written(((setting, f"[{text}]" if setting in LISTS else text),), remark)

    return rule


def turns_on(setting: str, python: str = "True") -> Rule:
    """A flag."""

    def rule(value: str, notes: Notes) -> Written:
        return Written(((setting, python),)) if is_on(value) else Written()

    return rule


def remarks(text: str) -> Rule:
    """An option that is not needed, or that nothing here is like."""
    return lambda value, notes: Written(remark=text)


def processes(value: str, notes: Notes) -> Written:
    if value == CPUS:
        return Written((("workers", "'auto'"),))
    if value.isdecimal() and int(value) == 0:
        raise ValueError("takes 1 or more")
    return counts("workers")(value, notes)


def listens(remark: str = "") -> Rule:
    """An address of uWSGI's as one of ours."""
    return lambda value, notes: Written((("bind", f"[{expression(address(value))}]"),), remark)


def address(value: str) -> str:
    """HOST:PORT as it is; a path, or @NAME of the abstract kind, as a unix socket."""
    if not value:
        raise ValueError("takes an address")
    if value.startswith(("fd://", "unix:")):
        return value
    if value.startswith("@"):
        raise ValueError(f"{value!r} is an abstract socket; give it a path")
    host, colon, port = value.rpartition(":")
    if colon and (port.isdecimal() or MARK.search(port)):
        return f"0.0.0.0:{port}" if host in ("", "*") else value
    return f"unix:{value}"


def https(value: str, notes: Notes) -> Written:
    """ADDRESS,CERTIFICATE,KEY[,CIPHERS[,CA]]"""
    names = ("certfile", "keyfile", "ciphers", "ca_certs")
    where, *files = value.split(",")
    if not 2 <= len(files) <= 4:
        raise ValueError(f"takes ADDRESS,CERTIFICATE,KEY, not {value!r}")
    rows = [(name, expression(file)) for name, file in zip(names, files, strict=False) if file]
    return Written((("bind", f"[{expression(address(where))}]"), *rows))


def socket_mode(value: str, notes: Notes) -> Written:
    mode = value or "666"
    if not re.fullmatch("[0-7]{3,4}", mode):
        raise ValueError(f"takes a mode such as 664, not {value!r}")
    return Written((("umask", f"0o{0o777 & ~int(mode, 8):03o}"),))


def mask(value: str, notes: Notes) -> Written:
    if not re.fullmatch("[0-7]{1,4}", value):
        raise ValueError(f"takes a mask such as 022, not {value!r}")
    return Written(
        (("umask", f"0o{int(value, 8):03o}"),), "here of the files of unix sockets alone"
    )


def buffer_size(value: str, notes: Notes) -> Written:
    size = number(value)
    if size is None:
        raise ValueError("takes a number that is written in the file")
    rows = [("limit_request_line", str(size)), ("limit_request_field_size", str(size))]
    if size > DEFAULT_HEAD:
        rows.append(("limit_request_head", str(size)))
    return Written(tuple(rows))


def keeps_alive(value: str, notes: Notes) -> Written:
    """A time in seconds where it is one, and not just a yes."""
    return counts("keepalive")(value, notes) if value not in ("", "1", "true") else Written()


def harakiri(value: str, notes: Notes) -> Written:
    """A request's time, which for a sync worker is that of its silence too."""
    notes.timed = True
    seconds = number(value)
    text = expression(value) if seconds is None else str(seconds)
    if seconds is not None and seconds <= DEFAULT_TIMEOUT:
        return Written((("request_timeout", text),))
    return Written((("request_timeout", text), ("timeout", text)))


def gevent(value: str, notes: Notes) -> Written:
    model = ("worker_class", "'gevent'")
    if not is_on(value):
        return Written()
    return Written((model, *counts("worker_connections")(value, notes).rows))


def memory(value: str, notes: Notes) -> Written:
    megabytes = number(value)
    if megabytes is None:
        raise ValueError("takes a number that is written in the file")
    return Written((("max_rss", f"'{megabytes}M'"),))


def module(value: str, notes: Notes) -> Written:
    notes.module, _, name = value.partition(":")
    notes.callable = name or notes.callable
    return Written()


def file(value: str, notes: Notes) -> Written:
    """A file that uWSGI runs by its path is imported by its name here, from its folder."""
    path, _, name = value.partition(":")
    folder, _, base = path.rpartition("/")
    stem = base.removesuffix(".py")
    if not stem.isidentifier():
        raise ValueError(
            f"{base!r} cannot be imported as a module; give it a name such as wsgi_app.py"
        )
    notes.module, notes.callable = stem, name or notes.callable
    if folder:
        notes.folders.append(folder)
    remark = "" if stem != base else f"name the file {base}.py, as it is imported here"
    return Written(remark=remark)


def mount(value: str, notes: Notes) -> Written:
    where, equals, what = value.partition("=")
    if not equals or where not in ("", "/"):
        return Written(remark="there is one application; have it route its paths")
    return file(what, notes) if what.partition(":")[0].endswith(".py") else module(what, notes)


def names_callable(value: str, notes: Notes) -> Written:
    notes.callable = value
    return Written()


def folder(value: str, notes: Notes) -> Written:
    notes.folders.append(value)
    return Written()


def paste(value: str, notes: Notes) -> Written:
    notes.paste = True
    return Written((("paste", expression(value.removeprefix("config:"))),))


def log_file(value: str, notes: Notes) -> Written:
    kind, colon, path = value.rpartition(":")
    if colon and kind not in ("file", "stdio"):
        return Written(remark="it can log to files and streams, and by syslog to syslog_addr")
    if path and kind != "stdio":
        notes.log = expression(path)
    return Written()


def requests_log(value: str, notes: Notes) -> Written:
    kind, colon, path = value.rpartition(":")
    if colon and kind not in ("file", "stdio"):
        return Written(remark="it can log to files and streams, and by syslog to syslog_addr")
    if path and kind != "stdio":
        notes.requests_log = expression(path)
    return Written()


def daemonize(value: str, notes: Notes) -> Written:
    log_file(value, notes)
    return turns_on("daemon")(value, notes)


def no_requests_log(value: str, notes: Notes) -> Written:
    notes.logs_requests = not is_on(value)
    return Written()


def log_format(value: str, notes: Notes) -> Written:
    """%(NAME) of uWSGI's by gunicorn's atoms."""
    lost: list[str] = []

    def atom(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("var."):
            return f"%({{{name[4:]}}}e)s"
        if name not in ATOMS:
            lost.append(name)
        return ATOMS.get(name, "-")

    notes.log_format = True
    text = value.replace("[%(ltime)]", "%(ltime)").replace("[%(ctime)]", "%(ctime)")
    text = re.sub(r"%(?!\()", "%%", text)
    text = re.sub(r"%\(([\w.]+)\)", atom, text)
    remark = f"nothing here is like {', '.join(lost)}" if lost else ""
    return Written((("access_log_format", expression(text)),), remark)


ATOMS: Final[Mapping[str, str]] = {
    "addr": "%(h)s",
    "user": "%(u)s",
    "ltime": "%(t)s",
    "ctime": "%(t)s",
    "method": "%(m)s",
    "uri": "%({RAW_URI}e)s",
    "proto": "%(H)s",
    "status": "%(s)s",
    "size": "%(b)s",
    "rsize": "%(b)s",
    "rssize": "%(b)s",
    "uagent": "%(a)s",
    "referer": "%(f)s",
    "host": "%({Host}i)s",
    "msecs": "%(M)s",
    "micros": "%(D)s",
    "secs": "%(T)s",
    "pid": "%(p)s",
    "cl": "%({Content-Length}i)s",
}

ANYWAY: Final = remarks("needs no setting here")
TIMES: Final = remarks("see header_timeout, body_timeout, send_timeout and request_timeout")
NO_UWSGI: Final = "it speaks HTTP and not the uwsgi protocol: proxy_pass in place of uwsgi_pass"
INTERPRETER: Final = remarks("start the server with bin/fastwsgi of this environment")
NO_STATIC: Final = remarks("files are left to a server in front, or to the application")
NO_STATS: Final = remarks("there is no statistics server; see statsd_host")
FIXED: Final = remarks("the number of workers is fixed; TTIN and TTOU change it")
NO_TOUCH: Final = remarks("no file is watched in production; send HUP to reload")
BY_ITS_MANAGER: Final = remarks("leave it to whatever starts the server")

RULES: Final[Mapping[str, Rule]] = {
    # Where it listens
    **dict.fromkeys(("http", "http-socket"), listens()),
    **dict.fromkeys(("socket", "uwsgi-socket"), listens(NO_UWSGI)),
    **dict.fromkeys(("https", "https-socket"), https),
    "chmod-socket": socket_mode,
    "chmod": socket_mode,
    "listen": counts("backlog"),
    "reuse-port": turns_on("reuse_port"),
    "so-reuseport": turns_on("reuse_port"),
    "http-keepalive": keeps_alive,
    **dict.fromkeys(("http-timeout", "socket-timeout", "so-send-timeout"), TIMES),
    "buffer-size": buffer_size,
    "limit-post": counts("limit_request_body"),
    "enable-proxy-protocol": turns_on("proxy_protocol", "'auto'"),
    "http-enable-proxy-protocol": turns_on("proxy_protocol", "'auto'"),
    "log-x-forwarded-for": remarks("see real_ip, which believes proxies that are trusted"),
    "protocol": remarks("it is http"),
    # What it runs
    **dict.fromkeys(("module", "wsgi"), module),
    **dict.fromkeys(("wsgi-file", "file"), file),
    "callable": names_callable,
    "mount": mount,
    **dict.fromkeys(("paste", "ini-paste", "ini-paste-logged"), paste),
    "paste-logger": says("logconfig"),
    "chdir": says("chdir"),
    **dict.fromkeys(("pythonpath", "python-path", "pp"), folder),
    **dict.fromkeys(("home", "virtualenv", "venv", "pyhome"), INTERPRETER),
    "env": says("raw_env"),
    # How many, and how long
    **dict.fromkeys(("processes", "workers"), processes),
    "threads": counts("threads"),
    "gevent": gevent,
    "harakiri": harakiri,
    "http-harakiri": harakiri,
    "max-requests": counts("max_requests"),
    "max-requests-delta": counts("max_requests_jitter"),
    "max-worker-lifetime": counts("max_lifetime"),
    "reload-on-rss": memory,
    "evil-reload-on-rss": memory,
    **dict.fromkeys(("reload-mercy", "worker-reload-mercy"), counts("graceful_timeout")),
    # The process
    "uid": says("user"),
    "gid": says("group"),
    "umask": mask,
    **dict.fromkeys(("pidfile", "pidfile2", "safe-pidfile"), says("pidfile")),
    **dict.fromkeys(("daemonize", "daemonize2"), daemonize),
    **dict.fromkeys(("procname", "procname-master", "procname-prefix"), says("proc_name")),
    "procname-prefix-spaced": says("proc_name"),
    # What it logs
    **dict.fromkeys(("logto", "logto2", "logger"), log_file),
    "req-logger": requests_log,
    "disable-logging": no_requests_log,
    "log-format": log_format,
    "logformat": log_format,
    # For development
    **dict.fromkeys(("py-autoreload", "python-autoreload", "py-auto-reload"), turns_on("reload")),
    "wsgi-disable-file-wrapper": turns_on("sendfile", "False"),
    # What goes without saying
    **dict.fromkeys(
        (
            *("master", "enable-threads", "single-interpreter", "need-app", "die-on-term"),
            *("vacuum", "lazy", "lazy-apps", "thunder-lock", "strict", "no-orphans"),
            *("post-buffering", "post-buffering-bufsize", "close-on-exec", "auto-procname"),
            *("ignore-sigpipe", "ignore-write-errors", "disable-write-exception"),
            *("harakiri-verbose", "gevent-monkey-patch", "gevent-early-monkey-patch"),
            *("manage-script-name", "http-auto-chunked", "http-chunked-input", "log-master"),
            *("plugin", "plugins", "py-call-osafterfork", "py-call-uwsgi-fork-hooks", "log-date"),
            *("threaded-logger", "so-keepalive", "tcp-nodelay", "http-to", "log-reopen"),
        ),
        ANYWAY,
    ),
    # What there is not
    "chown-socket": remarks("the socket belongs to who starts the server; see umask"),
    **dict.fromkeys(("stats", "stats-server", "stats-http", "memory-report"), NO_STATS),
    **dict.fromkeys(("touch-reload", "touch-workers-reload", "touch-chain-reload"), NO_TOUCH),
    **dict.fromkeys(("offload-threads", "check-static", "threads-stacksize"), NO_STATIC),
    **dict.fromkeys(("chroot", "cap", "rlimit-as", "cgroup", "limit-as"), BY_ITS_MANAGER),
    "http-processes": remarks("the workers themselves listen"),
    **dict.fromkeys(("ugreen", "async"), remarks("write worker_class = 'gevent'")),
    "reload-on-as": remarks("see max_rss, which is of memory that is resident"),
    "plugins-dir": remarks("there are no plugins"),
    "add-header": remarks("leave it to the application or a server in front"),
    "unenv": remarks("unset it where the server is started"),
    "catch-exceptions": remarks("tracebacks go to the error log alone"),
    "hook-master-start": remarks("see on_starting and the other hooks"),
}

# By the beginning of a name.
FAMILIES: Final[Mapping[str, Rule]] = {
    "cheaper": FIXED,
    "static-": NO_STATIC,
    "route": remarks("leave it to the application or a server in front"),
    "mule": remarks("there are no mules; run them as a service of their own"),
    "spooler": remarks("there is no spooler; take a queue such as Celery or RQ"),
    "cron": remarks("there are no timers; run them as a service of their own"),
    "attach-daemon": remarks("run it as a service of its own"),
    "smart-attach-daemon": remarks("run it as a service of its own"),
    "cache": remarks("there is no cache that workers share; take Redis or memcached"),
    "emperor": remarks("one server a process; let systemd or a container start each"),
    "hook-": remarks("see the server hooks in docs/settings.md"),
    "exec-": remarks("see the server hooks in docs/settings.md"),
    "log-": remarks("the access log has a line for each request, or none"),
    "carbon": NO_STATS,
    "legion": remarks("there is no clustering"),
    "subscribe": remarks("there is no clustering"),
}


def rule_of(name: str) -> Rule | None:
    """The rule of an option; None for a name that says nothing, as one of a placeholder."""
    if name in RULES:
        return RULES[name]
    return next((rule for begin, rule in FAMILIES.items() if name.startswith(begin)), None)
