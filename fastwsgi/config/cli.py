"""The command line, made from the rows of `settings.py`.

argparse splits the words, accepts abbreviations and writes `--help`; the values stay the strings
that were given, for the checks of the rows. Whatever is wrong is a UsageError of one line.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from fastwsgi import __version__
from fastwsgi.config.setting import Setting, shown
from fastwsgi.config.settings import Settings
from fastwsgi.errors import UsageError, closest


class Words(NamedTuple):
    """What a command line said: values by setting name, as strings, and the words that are none."""

    values: Mapping[str, object]
    positional: Sequence[str]


class Formatter(argparse.HelpFormatter):
    """argparse makes one for every option it is told of, and by itself would import shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=columns())


class Parser(argparse.ArgumentParser):
    """argparse, but what is wrong is raised instead of printed with the whole usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def parse(words: Sequence[str], prog: str) -> Words:
    """Split a command line. UsageError for what cannot be understood.

    SystemExit(0) once --help or --version is printed.
    """
    found, rest = make_parser(prog).parse_known_args([spelt_out(word) for word in words])
    values = {name: value for name, value in vars(found).items() if value is not None}
    positional: list[str] = values.pop("positional")
    for word in rest:
        # With a space in it, it is two words that somebody's quotes joined.
        if word.startswith("-") and " " not in word:
            raise UsageError(f"there is no option {word}{nearest(word)}; see {prog} --help")
    return Words(values, [*positional, *rest])


def spelt_out(word: str) -> str:
    """The flag of gunicorn's that `word` abbreviates, however many of our own it might be too."""
    name, equals, value = word.partition("=")
    flags = [flag for row in Settings.ROWS.values() for flag in row.flags if not row.ours]
    meant = [flag for flag in (*flags, "--help", "--version") if flag.startswith(name)]
    exact = any(name in row.flags for row in Settings.ROWS.values())
    if exact or not name.startswith("--") or len(meant) != 1:
        return word
    return meant[0] + equals + value


def make_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of all flags, for the command `prog`."""
    parser = Parser(
        prog=prog,
        formatter_class=Formatter,
        usage="%(prog)s [OPTIONS] [MODULE:NAME]",
        description="Serve a WSGI application.",
        epilog="Environment: PORT, WEB_CONCURRENCY, FORWARDED_ALLOW_IPS, SENDFILE, FASTWSGI_<SETTING>,"
        " GUNICORN_CMD_ARGS and FASTWSGI_CMD_ARGS, the latter two holding options as above. A command"
        " of its own: %(prog)s translate FILE prints uWSGI's ini file as a configuration file.",
    )
    parser.add_argument(
        "-v",
        "--version",
        action="version",
        version=f"%(prog)s (version {__version__})",
        help="print the version and exit",
    )
    parser.add_argument("positional", nargs="*", help=argparse.SUPPRESS)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for row in Settings.ROWS.values():
        if row.flags:
            if row.section not in groups:
                groups[row.section] = parser.add_argument_group(row.section)
            add_option(groups[row.section], row)
    return parser


def columns() -> int:
    """The width of the terminal; 80 where there is none."""
    try:
        return max(40, os.get_terminal_size(1).columns - 2)
    except OSError:
        return 78


def add_option(group: argparse._ArgumentGroup, row: Setting[object]) -> None:
    """Every default is None, so that what was not given lets the lower sources through."""
    if row.is_flag:
        group.add_argument(
            *row.flags, dest=row.name, action="store_const", const=row.bare, help=describe(row)
        )
    elif row.bare is not None:
        group.add_argument(
            *row.flags,
            dest=row.name,
            nargs="?",
            const=row.bare,
            metavar=row.metavar,
            help=describe(row),
        )
    else:
        action = "append" if row.repeated else "store"
        group.add_argument(
            *row.flags, dest=row.name, action=action, metavar=row.metavar, help=describe(row)
        )


def describe(row: Setting[object]) -> str:
    """The row's text and its default, with the sign that argparse expands doubled."""
    return f"{row.text} [{shown(row.default)}]".replace("%", "%%")


def nearest(word: str) -> str:
    flags = [flag for row in Settings.ROWS.values() for flag in row.flags]
    close = closest(word.partition("=")[0], flags)
    return f", did you mean {close}?" if close else ""
