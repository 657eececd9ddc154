"""Where values come from, lowest first.

1. the defaults, and PORT and WEB_CONCURRENCY of the environment;
2. one configuration file: the one named by the highest source that names one, else
   ./fastwsgi.conf.py, else ./gunicorn.conf.py, where they exist;
3. FASTWSGI_<SETTING> of the environment;
4. GUNICORN_CMD_ARGS, then FASTWSGI_CMD_ARGS: options, quoted as in a shell;
5. the command line, or the keyword words of `fastwsgi.run`.

Laws:

1. `read` gives the same answer in any folder and at any time, as long as the files are the same:
   it goes to the folder the server was started in, and sees the environment as it was then.
2. A name in a configuration file that is no setting is not an error, as such files hold whatever
   their authors needed; a misspelt setting, and one of gunicorn's that is not here, is warned of.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from fastwsgi.config import cli
from fastwsgi.config.checks import present_folder
from fastwsgi.config.settings import COMMAND_LINE, Settings
from fastwsgi.errors import ConfigError, UsageError

DEFAULT_FILES: Final = ("fastwsgi.conf.py", "gunicorn.conf.py")
OPTION_VARIABLES: Final = ("GUNICORN_CMD_ARGS", "FASTWSGI_CMD_ARGS")

# What gunicorn reads from a configuration file and this version does not know.
NOT_HERE: Final = frozenset(
    {
        "asgi_disconnect_grace_period",
        "asgi_lifespan",
        "asgi_loop",
        "ca_certs",
        "capture_output",
        "casefold_http_method",
        "cert_reqs",
        "certfile",
        "child_exit",
        "ciphers",
        "control_socket",
        "control_socket_disable",
        "control_socket_mode",
        "daemon",
        "dirty_apps",
        "dirty_graceful_timeout",
        "dirty_post_fork",
        "dirty_threads",
        "dirty_timeout",
        "dirty_worker_exit",
        "dirty_worker_init",
        "dirty_workers",
        "disable_redirect_access_to_syslog",
        "do_handshake_on_connect",
        "dogstatsd_tags",
        "enable_backlog_metric",
        "enable_stdio_inheritance",
        "forwarded_allow_ips",
        "forwarder_headers",
        "group",
        "header_map",
        "http2_cleartext",
        "http2_initial_window_size",
        "http2_max_concurrent_streams",
        "http2_max_frame_size",
        "http2_max_header_list_size",
        "http_parser",
        "http_protocols",
        "initgroups",
        "keyfile",
        "logconfig",
        "logconfig_dict",
        "logconfig_json",
        "logger_class",
        "nworkers_changed",
        "on_dirty_starting",
        "on_exit",
        "on_reload",
        "on_starting",
        "paste",
        "permit_obsolete_folding",
        "permit_unconventional_http_method",
        "permit_unconventional_http_version",
        "post_fork",
        "post_request",
        "post_worker_init",
        "pre_exec",
        "pre_fork",
        "pre_request",
        "protocol",
        "proxy_allow_ips",
        "proxy_protocol",
        "raw_paste_global_conf",
        "reload",
        "reload_engine",
        "reload_extra_files",
        "root_path",
        "secure_scheme_headers",
        "sendfile",
        "spew",
        "ssl_context",
        "ssl_version",
        "statsd_host",
        "statsd_prefix",
        "strip_header_spaces",
        "suppress_ragged_eofs",
        "syslog",
        "syslog_addr",
        "syslog_facility",
        "syslog_prefix",
        "umask",
        "user",
        "uwsgi_allow_ips",
        "websocket_max_message_size",
        "when_ready",
        "worker_abort",
        "worker_exit",
        "worker_int",
    }
)

Layer = tuple[str, Mapping[str, object]]


class Sources:
    """All sources of one server; `read` makes its settings, at the start and at every reload.

    `layers` are the sources above the configuration file, lowest first, `defaults` those below the
    environment; `default_files` are the names looked for where no source names a file; `folder` is
    where relative paths begin. After a `read`, `warnings` holds lines for the log.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        environ: Mapping[str, str],
        *,
        defaults: Sequence[Layer] = (),
        default_files: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        self.folder = present_folder()
        self.warnings: list[str] = []
        self._layers = layers
        self._environ = dict(environ)
        self._defaults = defaults
        self._default_files = default_files
        self._lasting_warnings = warnings

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment as it was at the start."""
        return self._environ

    @classmethod
    def of_command_line(
        cls, words: Sequence[str], environ: Mapping[str, str], prog: str
    ) -> Sources:
        """The sources of a server started by a command. Raises UsageError."""
        layers: list[Layer] = []
        for name in OPTION_VARIABLES:
            if environ.get(name):
                layers.append((name, options(name, environ[name], prog)))
        values, positional = cli.parse(words, prog)
        if positional:
            values = {**values, "wsgi_app": positional[0]}
        layers.append((COMMAND_LINE, values))
        warnings = [surplus(positional)] if len(positional) > 1 else []
        return cls(layers, environ, default_files=DEFAULT_FILES, warnings=warnings)

    def read(self) -> Settings:
        """The settings as they stand now. ConfigError names the source of what is wrong.

        Leaves the process in `folder`, which the configuration file finds on the import path.
        """
        self.warnings = list(self._lasting_warnings)
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ConfigError(f"cannot change to {self.folder!r}: {error.strerror}") from None
        if self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        layers = [*self._defaults, *environment_defaults(self._environ)]
        above = [*environment_settings(self._environ), *self._layers]
        if file := self._config_file(above):
            layers.append((file, self._known(file, read_file(file))))
        settings = Settings([*layers, *above])
        self.warnings += settings.remarks
        return settings

    def _config_file(self, layers: Sequence[Layer]) -> str | None:
        for _, layer in reversed(layers):
            if layer.get("config"):
                return str(layer["config"])
        return next((name for name in self._default_files if os.path.isfile(name)), None)

    def _known(self, file: str, namespace: Mapping[str, object]) -> dict[str, object]:
        """What of a configuration file is a setting; warns of what was probably meant as one."""
        known: dict[str, object] = {}
        for name, value in namespace.items():
            if name == "config" or isinstance(value, types.ModuleType):
                continue
            if name in Settings.ROWS:
                known[name] = value
            elif name in NOT_HERE:
                self.warnings.append(f"{file} sets {name}, which this version does not have yet")
            elif not callable(value) and not name.startswith("_") and (close := nearest(name)):
                self.warnings.append(f"{file}: {name!r} is no setting; did you mean {close!r}?")
        return known


def environment_defaults(environ: Mapping[str, str]) -> list[Layer]:
    """What platforms set for every server alike; empty means unset."""
    layers: list[Layer] = []
    if port := environ.get("PORT", "").strip():
        layers.append(("environment PORT", {"bind": f"0.0.0.0:{port}"}))
    if workers := environ.get("WEB_CONCURRENCY", "").strip():
        layers.append(("environment WEB_CONCURRENCY", {"workers": workers}))
    return layers


def environment_settings(environ: Mapping[str, str]) -> list[Layer]:
    """Our own variables, one for each setting; empty means unset here too."""
    return [
        (f"environment {variable}", {name: environ[variable]})
        for name in Settings.ROWS
        if environ.get(variable := f"FASTWSGI_{name.upper()}")
    ]


def read_file(location: str) -> Mapping[str, object]:
    """The names a configuration file defines. ConfigError names the line that failed."""
    try:
        if location.startswith("python:"):
            return run_module(location.removeprefix("python:"))
        return run_file(location.removeprefix("file:"))
    except OSError as error:
        if error.filename != location.removeprefix("file:"):
            raise ConfigError(blame(location, error)) from None
        reason = error.strerror or "it cannot be read"
        raise ConfigError(f"the configuration file {location!r}: {reason}") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(blame(location, error)) from None


def run_file(path: str) -> Mapping[str, object]:
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    module = types.ModuleType("__config__")
    module.__file__ = path
    # What the file defines can then be found by its module's name, as pickle and others do.
    sys.modules["__config__"] = module
    exec(code, module.__dict__)
    return vars(module)


def run_module(name: str) -> Mapping[str, object]:
    """A module is run anew at every reload; what it imports is not."""
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return vars(importlib.import_module(name))


def blame(location: str, error: BaseException) -> str:
    """One line: the file, the line in it, and what Python said."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    path = location.removeprefix("file:").removeprefix("python:")
    trace = error.__traceback__
    while trace is not None and line is None:
        if (
            trace.tb_frame.f_code.co_filename == path
            or trace.tb_frame.f_globals.get("__name__") == path
        ):
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f"{location!r}, line {line}" if line else f"{location!r}"
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"the configuration file {where}: {type(error).__name__}: {said}"


def options(name: str, text: str, prog: str) -> Mapping[str, object]:
    """What a variable holding options says; they are quoted as in a shell. Raises UsageError."""
    try:
        return cli.parse(shlex.split(text), prog).values
    except (ValueError, UsageError) as error:
        raise UsageError(f"{name}: {error}") from None


def nearest(name: str) -> str | None:
    return next(iter(get_close_matches(name, Settings.ROWS, n=1, cutoff=0.8)), None)


def surplus(positional: Sequence[str]) -> str:
    """A warning that names the words nobody will read."""
    rest = ", ".join(repr(word) for word in positional[1:])
    hint = "; an option and its value are two words" if " -" in f" {positional[1]}" else ""
    return f"The application is {positional[0]!r}; what follows it is ignored: {rest}{hint}"
