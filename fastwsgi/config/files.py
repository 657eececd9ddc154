"""A configuration file: Python that is run, whose names are the settings."""

from __future__ import annotations

import importlib
import sys
import types

# Of the module ast only this part is needed; the rest of it every worker would carry.
from _ast import (
    AST,
    AsyncFunctionDef,
    ClassDef,
    DictComp,
    FunctionDef,
    GeneratorExp,
    Lambda,
    ListComp,
    Name,
    PyCF_ONLY_AST,
    SetComp,
    Store,
    alias,
)
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, NamedTuple

from fastwsgi.config.blame import own_frames, own_traceback
from fastwsgi.errors import ConfigError

# Expressions whose names are not those of the file.
OWN_NAMES: Final = (Lambda, ListComp, SetComp, DictComp, GeneratorExp)


class File(NamedTuple):
    """`lines` has the line that gave a name its value, where the text tells."""

    location: str
    names: Mapping[str, object]
    lines: Mapping[str, int]

    def source(self, name: str) -> str:
        """Where the value of `name` is written."""
        line = self.lines.get(name)
        return f"{self.location}, line {line}" if line else self.location


def read(location: str) -> File:
    """Run what PATH, file:PATH or python:MODULE names. ConfigError has the traceback of what failed."""
    try:
        if location.startswith("python:"):
            return run_module(location, location.removeprefix("python:"))
        return run_file(location, location.removeprefix("file:"))
    except OSError as error:
        if error.filename != location.removeprefix("file:"):
            raise failure(location, error) from None
        reason = error.strerror or "it cannot be read"
        raise ConfigError(f"the configuration file {location!r}: {reason}") from None
    except (Exception, SystemExit) as error:
        raise failure(location, error) from None


def run_file(location: str, path: str) -> File:
    with open(path, "rb") as file:
        text = file.read()
    code = compile(text, path, "exec")
    module = types.ModuleType("__config__")
    module.__file__ = path
    # What the file defines can then be found by its module's name, as pickle and others do.
    sys.modules["__config__"] = module
    exec(code, module.__dict__)
    return File(location, vars(module), assigned(text))


def run_module(location: str, name: str) -> File:
    """A module is run anew at every reload; what it imports is not."""
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    get_source = getattr(getattr(module.__spec__, "loader", None), "get_source", None)
    return File(location, vars(module), assigned((get_source and get_source(name)) or ""))


def assigned(text: str | bytes) -> dict[str, int]:
    """The line of the assignment that counts, of each name; 0 where that depends on how the file ran."""
    lines: dict[str, int] = {}
    for statement in getattr(compile(text, "", "exec", PyCF_ONLY_AST), "body", ()):
        for name, line in stored(statement):
            certain = name not in lines or line == statement.lineno
            lines[name] = line if certain else 0
            if name == "*":  # an import that may bring any name
                lines = dict.fromkeys(lines, 0)
    return lines


def stored(tree: AST) -> Iterator[tuple[str, int]]:
    """The names that a statement gives a value, and the line of each."""
    if isinstance(tree, (FunctionDef, AsyncFunctionDef, ClassDef)):
        yield tree.name, tree.lineno
    elif isinstance(tree, Name) and isinstance(tree.ctx, Store):
        yield tree.id, tree.lineno
    elif isinstance(tree, alias):
        yield tree.asname or tree.name, tree.lineno
    elif not isinstance(tree, OWN_NAMES):
        for field in tree._fields:
            part = getattr(tree, field, None)
            for child in part if isinstance(part, list) else [part]:
                if isinstance(child, AST):
                    yield from stored(child)


def failure(location: str, error: BaseException) -> ConfigError:
    """One line of the file, the line in it and what Python said; then the traceback of its own code."""
    own = own_frames(error.__traceback__)
    if isinstance(error, SyntaxError):
        line, said = error.lineno, error.msg
    else:
        line, said = line_in(location, own), str(error)
    where = f"{location!r}, line {line}" if line else f"{location!r}"
    first = f"the configuration file {where}: {type(error).__name__}: {said}"
    return ConfigError(f"{first}\n{own_traceback(error)}" if line else first)


def line_in(location: str, trace: TracebackType | None) -> int | None:
    """The line of the configuration file that a traceback passes."""
    path = location.removeprefix("file:").removeprefix("python:")
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename == path or frame.f_globals.get("__name__") == path:
            return trace.tb_lineno
        trace = trace.tb_next
    return None
