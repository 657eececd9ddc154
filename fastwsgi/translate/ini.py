"""Reading uWSGI's ini files: sections, includes, placeholders, magic variables, conditions and loops.

How it works: `Reader.read` takes the lines of one section, which mean nothing yet, and `Reader.run`
goes through them as uWSGI does when it starts, and notes each option it comes to. What uWSGI would
know only then, its environment, is known no sooner here: a variable stays a mark in the value (see
`variable`), and a condition on the environment goes along with the options it is about.

Laws:

1. What is not understood is refused, with the file and the line; nothing is passed over in silence.
2. Nothing is run, and nothing but the files themselves is read.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from fastwsgi.errors import ConfigError

SECTION: Final = "uwsgi"
CPUS: Final = "%k"
DEEPEST: Final = 20  # includes in includes

NAME: Final = re.compile(r"[A-Za-z0-9][\w.:-]*")
VARIABLE: Final = re.compile(r"\$\(([A-Za-z_]\w*)\)")
PLACEHOLDER: Final = re.compile(r"%\(([\w.:-]+)\)")
MAGIC: Final = re.compile(r"%([a-zA-Z0-9])")
MARK: Final = re.compile("\0([^\0]*)\0")

INCLUDES: Final = frozenset({"ini", "include", "inherit"})
FOREIGN: Final = frozenset({"json", "js", "xml", "yaml", "yml", "config", "vassal-sos"})


class Line(NamedTuple):
    """One line of a file; `number` counts from 1."""

    file: str
    number: int
    name: str
    value: str

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.number}"

    def refuse(self, why: str) -> ConfigError:
        """What to raise for this line."""
        return ConfigError(f"{self.where}: {why}")


class Option(NamedTuple):
    """An option as it stands after all substitutions, with marks for variables.

    `conditions` are Python expressions that must hold, outermost first.
    """

    line: Line
    name: str
    value: str
    conditions: tuple[str, ...]


def variable(name: str) -> str:
    """The mark of a variable of the environment in a value."""
    return f"\0{name}\0"


class Reader:
    """The options of one file and all it includes, in order. Raises ConfigError.

    `used` are the names that were put in somewhere as placeholders.
    """

    def __init__(self) -> None:
        self.options: list[Option] = []
        self.used: set[str] = set()
        self._known: dict[str, str] = {}
        self._conditions: tuple[str, ...] = ()
        self._depth = 0

    def read(self, target: str, asked: Line | None = None) -> None:
        """Take PATH or PATH:SECTION, or of `asked`, the line that includes it, :SECTION."""
        path, section = split_target(target)
        if asked is not None:
            path = beside(path, asked)
        if self._depth == DEEPEST:
            raise ConfigError(f"{path}: it includes itself, or too many files in one another")
        try:
            text = Path(path).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text in UTF-8"
            if asked is not None:
                raise asked.refuse(f"cannot read {path!r}: {why}") from None
            raise ConfigError(f"cannot read {path!r}: {why}") from None
        self._depth += 1
        self.run(lines_of(text, path, section))
        self._depth -= 1

    def run(self, lines: Sequence[Line]) -> None:
        """Go through lines as uWSGI does."""
        at = 0
        while at < len(lines):
            line = lines[at]
            if line.name.startswith("if-"):
                end = self.end_of(lines, at, "if-", "endif")
                self.run_condition(line, lines[at + 1 : end])
                at = end
            elif line.name == "for" or line.name.startswith("for-"):
                end = self.end_of(lines, at, "for", "endfor")
                for item in self.items(line):
                    self.run([with_item(inner, item) for inner in lines[at + 1 : end]])
                at = end
            else:
                self.take(line)
            at += 1

    def end_of(self, lines: Sequence[Line], begin: int, opening: str, closing: str) -> int:
        """The index of the line that ends the block begun at `begin`."""
        depth = 0
        for at in range(begin, len(lines)):
            name = lines[at].name.replace("end-", "end")
            depth += name.startswith(opening) - (name == closing)
            if depth == 0:
                return at
        raise lines[begin].refuse(f"{lines[begin].name} has no {closing}")

    def items(self, line: Line) -> list[str]:
        """What a loop goes through."""
        value = self.substitute(line)
        if line.name == "for":
            return shown(value).split()
        if line.name == "for-times" and value.isdecimal():
            return [str(number) for number in range(1, int(value) + 1)]
        raise line.refuse(f"{line.name} = {shown(value)} cannot be read; unroll the loop by hand")

    def run_condition(self, line: Line, body: Sequence[Line]) -> None:
        """Run `body` under the condition of `line`; not at all where it is known not to hold."""
        value = self.substitute(line)
        kind = line.name.removeprefix("if-")
        wanted = not kind.startswith("not-")
        kind = kind.removeprefix("not-")
        if kind == "opt":
            name, equals, text = value.partition("=")
            holds = name in self._known and (not equals or self._known[name] == text)
            if holds == wanted:
                self.run([with_item(inner, shown(value)) for inner in body])
            return
        if kind not in CONDITIONS:
            raise line.refuse(f"{line.name} is a condition that cannot be read here")
        test, item = CONDITIONS[kind](value)
        before = self._conditions
        self._conditions = (*before, test if wanted else f"not {test}")
        self.run([with_item(inner, item) for inner in body])
        self._conditions = before

    def take(self, line: Line) -> None:
        """One line that is neither a condition nor a loop."""
        if line.name in ("endif", "end-if", "endfor", "end-for"):
            raise line.refuse(f"{line.name} ends nothing")
        value = self.substitute(line)
        if line.name in INCLUDES:
            self.read(value, line)
        elif line.name in FOREIGN:
            raise line.refuse(f"{line.name} = {shown(value)}: only ini files can be read")
        elif line.name in ("set", "set-placeholder", "set-ph"):
            name, equals, text = value.partition("=")
            if not equals:
                raise line.refuse(f"{line.name} takes NAME=VALUE, not {shown(value)}")
            self._known[name] = text
            if line.name == "set":
                self.options.append(Option(line, name, text, self._conditions))
        else:
            self._known[line.name] = value
            self.options.append(Option(line, line.name, value, self._conditions))

    def substitute(self, line: Line) -> str:
        """The value of a line with everything put in."""
        value = line.value
        if value.startswith("@("):
            raise line.refuse(f"{value} is read from elsewhere; write it into the file")
        value = VARIABLE.sub(lambda match: variable(match[1]), value)
        value = PLACEHOLDER.sub(self.placeholder, value)
        if value == CPUS:  # which are not to be counted on this machine
            return value
        return MAGIC.sub(lambda match: magic(match, line), value)

    def placeholder(self, match: re.Match[str]) -> str:
        """What goes in for %(name); it stays where nobody has said what it is, as in uWSGI."""
        name = match[1]
        if name not in self._known:
            return match[0]
        self.used.add(name)
        return self._known[name]


def in_environment(value: str) -> tuple[str, str]:
    return f"os.environ.get({value!r})", f"$({value})"


def by_path(function: str) -> Callable[[str], tuple[str, str]]:
    return lambda value: (f"os.path.{function}({expression(value)})", shown(value))


# The condition of a name, of its value: Python, and what %(_) is under it.
CONDITIONS: Final[Mapping[str, Callable[[str], tuple[str, str]]]] = {
    "env": in_environment,
    "exists": by_path("exists"),
    "file": by_path("isfile"),
    "dir": by_path("isdir"),
    "directory": by_path("isdir"),
}


def expression(value: str) -> str:
    """A value with marks as Python: a literal, or an f-string that looks into the environment."""
    parts = MARK.split(value)
    if len(parts) == 1:
        return repr(value)
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return look_up(parts[1])
    pieces = [
        "{" + look_up(part).replace('"', "'") + "}"
        if index % 2
        else part.replace("\\", "\\\\").replace('"', '\\"').replace("{", "{{").replace("}", "}}")
        for index, part in enumerate(parts)
    ]
    return f'f"{"".join(pieces)}"'


def look_up(name: str) -> str:
    return f'os.environ.get("{name}", "")'


def shown(value: str) -> str:
    """A value with marks as it was written."""
    return MARK.sub(r"$(\1)", value)


def with_item(line: Line, item: str) -> Line:
    return line._replace(value=line.value.replace("%(_)", item))


def split_target(target: str) -> tuple[str, str]:
    """Path and section; a file without one has the section [uwsgi]."""
    path, colon, section = target.rpartition(":")
    return (path, section) if colon and section else (target, SECTION)


def beside(path: str, asked: Line) -> str:
    """The file that a line includes: as seen from the present folder, else from the line's own file."""
    if not path:
        return asked.file
    there = os.path.join(os.path.dirname(asked.file), path)
    return path if os.path.exists(path) or not os.path.exists(there) else there


def lines_of(text: str, path: str, section: str) -> list[Line]:
    """The lines of one section. ConfigError where there is none, or a line is not of an ini file."""
    found: list[Line] = []
    sections: set[str] = set()
    present = ""
    for line in written_lines(text, path):
        if line.name == "[":
            present = line.value
            sections.add(present)
        elif not present:
            raise line.refuse(f"{line.name!r} stands before any [section]; is this an ini file?")
        elif present == section:
            found.append(line)
    if section not in sections:
        names = ", ".join(f"[{name}]" for name in sorted(sections)) or "none"
        raise ConfigError(f"{path}: it has no section [{section}]; there is: {names}")
    return found


def written_lines(text: str, path: str) -> Iterator[Line]:
    """All lines that say something; of a heading the name is "[" and the value the section."""
    for number, raw in enumerate(text.split("\n"), 1):
        stripped = raw.strip()
        if not stripped or stripped[0] in "#;":
            continue
        line = Line(path, number, "[", stripped[1:-1])
        if stripped.startswith("["):
            if not stripped.endswith("]"):
                raise line.refuse(f"{stripped!r} is a section without its closing bracket")
            yield line
            continue
        name, _, value = stripped.partition("=")
        if not NAME.fullmatch(name.strip()):
            raise line.refuse(f"{stripped!r} is neither NAME = VALUE nor a section")
        yield line._replace(name=name.strip(), value=value.strip())


def magic(match: re.Match[str], line: Line) -> str:
    """What a magic variable is of this file, on this machine; any other sign stays as it is."""
    letter = match[1]
    path = os.path.abspath(line.file)
    folder, file = os.path.split(path)
    if letter.isdecimal():
        parts = path.strip("/").split("/")[:-1]
        return parts[int(letter)] if int(letter) < len(parts) else ""
    known: dict[str, Callable[[], str]] = {
        "v": os.getcwd,
        "p": lambda: path,
        "d": lambda: f"{folder}/",
        "c": lambda: os.path.basename(folder),
        "s": lambda: file,
        "n": lambda: file.rpartition(".")[0] or file,
        "e": lambda: file.rpartition(".")[2],
        "o": lambda: line.file,
        "h": socket.gethostname,
        "k": lambda: str(os.cpu_count()),
        "u": lambda: str(os.getuid()),
        "g": lambda: str(os.getgid()),
        "U": getpass.getuser,
    }
    make = known.get(letter if letter == "U" else letter.lower())
    return match[0] if make is None else make()
