"""Where values come from, lowest first.

1. the defaults, and PORT, WEB_CONCURRENCY, FORWARDED_ALLOW_IPS and SENDFILE of the environment;
2. what the `init` of a custom application returns;
3. one configuration file: the one named by the highest source that names one, else
   ./fastwsgi.conf.py, else ./gunicorn.conf.py, where they exist;
4. FASTWSGI_<SETTING> of the environment;
5. GUNICORN_CMD_ARGS, then FASTWSGI_CMD_ARGS: options, quoted as in a shell;
6. the command line, or the keyword words of `fastwsgi.run`.

Laws:

1. `read` gives the same answer in any folder and at any time, as long as the files are the same:
   it goes to the folder the server was started in, and sees the environment as it was then.
2. A name in a configuration file that is no setting is not an error, as such files hold whatever
   their authors needed; a misspelt setting is warned of.
"""

from __future__ import annotations

import os
import shlex
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Final

from fastwsgi.config import cli, files
from fastwsgi.config.checks import present_folder
from fastwsgi.config.settings import COMMAND_LINE, Settings
from fastwsgi.errors import ConfigError, UsageError, closest
from fastwsgi.gunicorn.stand_in import name_given, standing_in

DEFAULT_FILES: Final = ("fastwsgi.conf.py", "gunicorn.conf.py")
OPTION_VARIABLES: Final = ("GUNICORN_CMD_ARGS", "FASTWSGI_CMD_ARGS")

# Variables below everything that is said to this server alone: the setting, and the form of its value.
PLATFORM: Final[Mapping[str, tuple[str, str]]] = {
    "PORT": ("bind", "0.0.0.0:{}"),
    "WEB_CONCURRENCY": ("workers", "{}"),
    "FORWARDED_ALLOW_IPS": ("forwarded_allow_ips", "{}"),
    "SENDFILE": ("sendfile", "{}"),
}
# Of these an empty one is a value as in gunicorn: nobody is believed, no file is sent by sendfile.
SPEAK_EMPTY: Final = frozenset({"FORWARDED_ALLOW_IPS", "SENDFILE"})

Layer = tuple[str, Mapping[str, object]]


class Sources:
    """All sources of one server; `read` makes its settings, at the start and at every reload.

    `layers` are the sources above the configuration file, lowest first, `defaults` those below the
    environment, `application` what a custom application's `init` said; `default_files` are the names
    looked for where no source names a file; `folder` is where relative paths begin. After a `read`,
    `warnings` holds lines for the log.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        environ: Mapping[str, str],
        *,
        defaults: Sequence[Layer] = (),
        application: Sequence[Layer] = (),
        default_files: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        self.folder = present_folder()
        self.warnings: list[str] = []
        self._layers = layers
        self._environ = dict(environ)
        self._defaults = defaults
        self._application = application
        self._default_files = default_files
        self._lasting_warnings = warnings

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment as it was at the start."""
        return self._environ

    @classmethod
    def of_command_line(
        cls,
        words: Sequence[str],
        environ: Mapping[str, str],
        prog: str,
        application: Sequence[Layer] = (),
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
        return cls(
            layers,
            environ,
            application=application,
            default_files=DEFAULT_FILES,
            warnings=warnings,
        )

    def read(self) -> Settings:
        """The settings as they stand now. ConfigError names the source of what is wrong.

        Leaves the process in `folder`, which the configuration file finds on the import path.
        """
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ConfigError(f"cannot change to {self.folder!r}: {error.strerror}") from None
        if self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        with standing_in():  # for the file, and for functions that are given by their names
            settings = self.settle(self.layers())
        self.warnings += settings.remarks
        return settings

    def settle(self, layers: Sequence[Layer]) -> Settings:
        """The settings of `layers`; of a paste file, where they name one, what it says goes below them."""
        settings = Settings(layers)
        if settings.paste is None:
            return settings
        # Only there is configparser needed.
        from fastwsgi.config import paste  # noqa: PLC0415

        return Settings([(settings.paste, paste.defaults(settings.paste)), *layers])

    def layers(self) -> list[Layer]:
        """What each source says now, lowest first; of a configuration file, from the present folder."""
        self.warnings = list(self._lasting_warnings)
        above = [*environment_settings(self._environ), *self._layers]
        location = self._config_file(above)
        file = self._file(location) if location else []
        said = [*self._application, *file, *above]
        # A PORT that is none is no mistake where nobody asks for it.
        names = {name for _, layer in said for name in layer}
        platform = [
            (source, layer)
            for source, layer in environment_defaults(self._environ)
            if names.isdisjoint(layer)
        ]
        return [*self._defaults, *platform, *said]

    def _config_file(self, layers: Sequence[Layer]) -> str | None:
        for _, layer in reversed(layers):
            if layer.get("config"):
                return str(layer["config"])
        return next((name for name in self._default_files if os.path.isfile(name)), None)

    def _file(self, location: str) -> list[Layer]:
        """What a configuration file says, by its names and, of the server's name, by gunicorn's."""
        known = self._known(files.read(location))
        name = name_given()
        return (
            known
            if name is None
            else [(f"{location}, gunicorn.SERVER", {"server_header": name}), *known]
        )

    def _known(self, file: files.File) -> list[Layer]:
        """What of a configuration file is a setting; warns of what was probably meant as one."""
        known: list[Layer] = []
        for name, value in file.names.items():
            if name == "config" or isinstance(value, types.ModuleType):
                continue
            source = file.source(name)
            if name in Settings.ROWS:
                known.append((source, {name: value}))
            elif (
                not callable(value)
                and not name.startswith("_")
                and (close := closest(name, Settings.ROWS, 0.8))
            ):
                self.warnings.append(f"{source}: {name!r} is no setting; did you mean {close!r}?")
        return known


def environment_defaults(environ: Mapping[str, str]) -> list[Layer]:
    """What platforms set for every server alike."""
    return [
        (f"environment {variable}", {name: form.format(environ[variable].strip())})
        for variable, (name, form) in PLATFORM.items()
        if variable in environ
        if environ[variable].strip() or variable in SPEAK_EMPTY
    ]


def environment_settings(environ: Mapping[str, str]) -> list[Layer]:
    """Our own variables, one for each setting; empty means unset here too."""
    return [
        (f"environment {variable}", {name: environ[variable]})
        for name in Settings.ROWS
        if environ.get(variable := f"FASTWSGI_{name.upper()}")
    ]


def options(name: str, text: str, prog: str) -> Mapping[str, object]:
    """What a variable holding options says; they are quoted as in a shell. Raises ConfigError."""
    try:
        return cli.parse(shlex.split(text), prog).values
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def surplus(positional: Sequence[str]) -> str:
    """A warning that names the words nobody will read."""
    rest = ", ".join(repr(word) for word in positional[1:])
    hint = "; an option and its value are two words" if " -" in f" {positional[1]}" else ""
    return f"The application is {positional[0]!r}; what follows it is ignored: {rest}{hint}"
