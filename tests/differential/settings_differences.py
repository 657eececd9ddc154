"""Where our settings differ from gunicorn's on purpose: as data. A test fails where an entry is of no use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple


class Otherwise(NamedTuple):
    """What gunicorn takes as its value, we take as `ours` of that."""

    setting: str
    ours: Callable[[Any], Any]
    reason: str


class Stricter(NamedTuple):
    """What gunicorn takes, we refuse with a message that this pattern is found in."""

    setting: str
    message: str
    reason: str


class Looser(NamedTuple):
    """What gunicorn refuses, we take, where the default is of this kind."""

    kind: type
    values: frozenset[str]
    reason: str


class Code(NamedTuple):
    """The command line of a case ends otherwise: with an exit code, or not at all (None)."""

    case: str
    theirs: int | None
    ours: int | None
    reason: str


LATER: Final = "gunicorn refuses it too, when it makes use of it"

OTHERWISE: Final = (
    Otherwise(
        "bind",
        lambda found: [part for one in found for part in one.split(",")],
        "a comma stands between addresses",
    ),
    Otherwise("threads", lambda number: number or 1, "none means one, as gunicorn runs sync then"),
    Otherwise(
        "limit_request_fields",
        lambda number: min(number or 32768, 32768),
        "the bound of the bound is applied when the setting is read",
    ),
    Otherwise(
        "loglevel",
        lambda name: name and name.lower(),
        "levels are known by their small letters",
    ),
    Otherwise("header_map", lambda name: name or "drop", "None is the default"),
    Otherwise("accesslog", lambda path: path or None, "no name is no file"),
    Otherwise("errorlog", lambda path: path or None, "no name is no file"),
    Otherwise(
        "control_socket",
        lambda path: None if path and path.endswith("/.gunicorn/gunicorn.ctl") else path,
        "there is none unless asked for, and none yet",
    ),
    Otherwise(
        "reload_extra_files", lambda paths: list(map(os.path.abspath, paths)), "made absolute"
    ),
    Otherwise(
        "tmp_upload_dir", lambda path: os.path.abspath(path) if path else None, "made absolute"
    ),
    Otherwise(
        "worker_tmp_dir", lambda path: os.path.abspath(path) if path else None, "made absolute"
    ),
)

STRICTER: Final = (
    Stricter("logger_class", "takes a string", LATER),
    Stricter("syslog_addr", "syslog address|takes a string", LATER),
    Stricter("syslog_facility", "takes one of|takes a string", LATER),
    Stricter("statsd_host", "statsd address", LATER),
    Stricter("user", "takes 0 or more", LATER),
    Stricter("group", "takes 0 or more", LATER),
    Stricter("cert_reqs", "takes 0 to 2", LATER),
    Stricter(
        "bind", "takes a list|one address or more", "a server without an address serves nobody"
    ),
    Stricter("bind", "is not a host name|is not known here|is not a port", LATER),
    Stricter("backlog", "came to 0", "a queue of none refuses connections"),
    Stricter("workers", "came to 0", "a master without workers serves nobody"),
    Stricter("worker_connections", "came to 0", "a worker that takes no connection serves nobody"),
    Stricter("worker_class", "there is no worker class|takes a string", LATER),
    Stricter("raw_env", "takes NAME=VALUE", LATER),
    Stricter("tmp_upload_dir", "takes a folder", LATER),
    Stricter("worker_tmp_dir", "takes a folder", LATER),
    Stricter("access_log_format", "takes a string", LATER),
    Stricter("loglevel", "takes one of|takes a string", "gunicorn takes an unknown level for info"),
    Stricter(
        "protocol", "takes http|takes a string|uwsgi", "gunicorn takes an unknown protocol for http"
    ),
)

LOOSER: Final = (
    Looser(int, frozenset({"'017'"}), "gunicorn takes it on a command line only"),
    Looser(int, frozenset({"'auto'"}), "one worker for each CPU"),
    Looser(str, frozenset({"None"}), "None is the default"),
    Looser(str, frozenset({"0", "1"}), "numbers that environments use for yes and no"),
    Looser(int, frozenset({"' 7 '"}), "space around a number is no part of it"),
    Looser(
        bool,
        frozenset({"0", "1", "7", "-1", "40000", "''", "'off'"}),
        "the words and numbers that environments use for yes and no",
    ),
    Looser(
        tuple,
        frozenset(
            {"False", "0", "[]", "['a']", "[' a ', 'b']", "['A=1']", "('a',)", "{}", "{'A': 'b'}"}
        ),
        "a list is as good as a text with commas",
    ),
)

# Not compared by name.
APART: Final[Mapping[str, str]] = {
    "config": "ours is the file that is read, gunicorn's what anybody said last; None where none is named",
    "sendfile": "yes or no, where gunicorn has no or None; what comes of it is compared",
    "paste": "made absolute, and there has to be such a file; what is served is compared",
    "wsgi_app": "ours has the word of the command line too",
    "default_proc_name": "the application's name is not put there; what the process is called is compared",
}

ASGI: Final = "the class runs ASGI applications; gunicorn fails where it makes a worker of it"
COMMAND_OF_ASGI: Final = "src-asgi-application-workers-2-k-uvicorn-workers-UvicornWork"

CODES: Final = (
    Code(COMMAND_OF_ASGI, None, 1, ASGI),
    Code("a file that exits", 7, 1, "a file ends no program, at a reload least of all"),
    Code("no worker", None, 1, "a master without workers serves nobody"),
    Code("WEB_CONCURRENCY empty", 1, None, "gunicorn ends with a traceback; here it means unset"),
)
