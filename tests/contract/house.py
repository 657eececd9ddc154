"""The house as data, and the reading of its sources: which floor a room is on, who imports whom.

Python files are read with `ast`. Cython files are read as text with strings and comments blanked
out, because Cython's grammar is not Python's. Tests feed both readers known sources.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "fastwsgi"

# Room → floor. A room is a module, or a package with all in it; the longest name that fits counts.
FLOORS: Final[dict[str, int]] = {
    "fastwsgi._parser": 0,
    "fastwsgi._environ": 0,
    "fastwsgi._writer": 0,
    "fastwsgi._exchange": 0,
    "fastwsgi._clock": 0,
    "fastwsgi._epoll": 0,
    "fastwsgi._accept": 0,
    "fastwsgi._guard": 0,
    "fastwsgi._prctl": 0,
    "fastwsgi._segment": 0,
    "fastwsgi._sender": 0,
    "fastwsgi._sockets": 0,
    "fastwsgi.errors": 0,
    "fastwsgi.originals": 0,
    "fastwsgi.net": 1,
    "fastwsgi._tls": 0,
    "fastwsgi._http1": 2,
    "fastwsgi._entrance": 2,
    "fastwsgi._body": 2,
    "fastwsgi.forwarded": 2,
    "fastwsgi._wsgi": 3,
    "fastwsgi._elsewhere": 3,
    "fastwsgi._threads": 3,
    "fastwsgi._greenlets": 3,
    "fastwsgi._line": 3,
    "fastwsgi.execution": 3,
    "fastwsgi.observe": 3,
    "fastwsgi.observe.logger": 3,
    "fastwsgi.observe.statsd": 3,
    "fastwsgi.serving": 4,
    "fastwsgi.wiring": 4,
    "fastwsgi.process": 5,
    "fastwsgi.config": 5,
    "fastwsgi.app": 5,
    "fastwsgi.earlier": 5,
    "fastwsgi.translate": 3,
    "fastwsgi.gunicorn": 5,
    "fastwsgi.__main__": 5,
    "fastwsgi": 5,
}

# Room → rooms of its floor that it may import. The modules of a package may import each other.
SIBLINGS: Final[dict[str, frozenset[str]]] = {
    "fastwsgi._environ": frozenset({"fastwsgi._parser", "fastwsgi._exchange", "fastwsgi._guard"}),
    "fastwsgi._writer": frozenset(
        {
            "fastwsgi._parser",
            "fastwsgi._clock",
            "fastwsgi._guard",
            "fastwsgi._sender",
            "fastwsgi.errors",
        }
    ),
    "fastwsgi._exchange": frozenset({"fastwsgi._clock", "fastwsgi._guard"}),
    "fastwsgi._epoll": frozenset({"fastwsgi._clock"}),
    "fastwsgi._segment": frozenset({"fastwsgi._exchange"}),
    "fastwsgi._sender": frozenset({"fastwsgi._guard"}),
    "fastwsgi._http1": frozenset({"fastwsgi._body"}),
    "fastwsgi._entrance": frozenset({"fastwsgi._http1"}),
    "fastwsgi._elsewhere": frozenset({"fastwsgi._wsgi"}),
    "fastwsgi._threads": frozenset({"fastwsgi._elsewhere"}),
    "fastwsgi._greenlets": frozenset({"fastwsgi._elsewhere"}),
    "fastwsgi.observe": frozenset({"fastwsgi._line", "fastwsgi.observe.logger"}),
    "fastwsgi.observe.logger": frozenset({"fastwsgi._line", "fastwsgi.observe"}),
    "fastwsgi.observe.statsd": frozenset({"fastwsgi.observe", "fastwsgi.observe.logger"}),
    "fastwsgi.wiring": frozenset({"fastwsgi.serving"}),
    "fastwsgi.process": frozenset({"fastwsgi.config", "fastwsgi.gunicorn", "fastwsgi"}),
    "fastwsgi.config": frozenset({"fastwsgi", "fastwsgi.gunicorn"}),
    "fastwsgi.app": frozenset({"fastwsgi.config", "fastwsgi.process", "fastwsgi.gunicorn"}),
    "fastwsgi.gunicorn": frozenset(
        {"fastwsgi", "fastwsgi.app", "fastwsgi.config", "fastwsgi.process"}
    ),
    "fastwsgi.__main__": frozenset({"fastwsgi.config", "fastwsgi.process", "fastwsgi"}),
    "fastwsgi.earlier": frozenset({"fastwsgi.process"}),
    "fastwsgi": frozenset({"fastwsgi.config", "fastwsgi.process", "fastwsgi.earlier"}),
}

# Law 1: the parser compiles into the fuzz target alone.
IMPORTS_NOTHING_OF_OURS: Final = frozenset({"fastwsgi._parser"})

# The rooms that know the Settings object: config makes it, process reads it, wiring unpacks it. A
# logger is given it by gunicorn's interface, which people subclass.
SEE_SETTINGS: Final = frozenset(
    {
        "fastwsgi.config",
        "fastwsgi.process",
        "fastwsgi.wiring",
        "fastwsgi.app",
        "fastwsgi.gunicorn",
        "fastwsgi.__main__",
        "fastwsgi",
        "fastwsgi.observe.logger",
        "fastwsgi.observe.statsd",
    }
)

# (module, what it imports inside a function) → reason.
FUNCTION_LEVEL_IMPORTS: Final[dict[tuple[str, str], str]] = {
    ("fastwsgi", "fastwsgi.process.program"): "every module imports the package first",
    ("fastwsgi", "fastwsgi.earlier"): "every module imports the package first",
    ("fastwsgi.__main__", "fastwsgi.process.program"): "the signals are taken first",
    ("fastwsgi.__main__", "fastwsgi.errors"): "the signals are taken first",
    (
        "fastwsgi.process.surroundings",
        "fastwsgi.execution.gevent",
    ): "imports gevent, an optional extra",
    ("fastwsgi.process.program", "fastwsgi.translate.uwsgi"): "a command of its own",
    ("fastwsgi.process.program", "fastwsgi.config"): "paste needs PasteDeploy, an optional extra",
    ("fastwsgi.config.sources", "fastwsgi.config"): "paste is for whoever names such a file",
    ("fastwsgi.process.logger", "fastwsgi.observe.statsd"): "wanted by few",
    ("fastwsgi.observe.logger", "fastwsgi.observe"): "logging.config brings much along",
    ("fastwsgi.observe.logger", "fastwsgi.observe.syslog"): "logging.handlers brings much along",
    ("fastwsgi.errors", "difflib"): "only a mistake needs it",
    ("fastwsgi.config.checks", "ipaddress"): "slow to import, and few servers name networks",
    (
        "fastwsgi.process.worker",
        "fastwsgi.process.reloader",
    ): "glob and more, for development only",
    ("fastwsgi.process.worker", "fastwsgi.observe.prometheus"): "wanted by few",
    ("fastwsgi.process.reloader", "ctypes"): "an interpreter may have been built without it",
    ("fastwsgi.config.functions", "inspect"): "slow to import, and few servers have hooks",
    ("fastwsgi.process.worker", "setproctitle"): "an optional extra that names the process",
    ("fastwsgi.process.arbiter", "setproctitle"): "an optional extra that names the process",
}

BLANKED: Final = re.compile(
    r"""(?P<long>\"{3}.*?\"{3}|'{3}.*?'{3})"""
    r"""|(?P<short>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<note>\#[^\n]*)""",
    re.DOTALL,
)
CIMPORT_FROM: Final = re.compile(
    r"^[ \t]*from[ \t]+(?P<base>[\w.]+)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^\n]*)",
    re.MULTILINE,
)
CIMPORT: Final = re.compile(r"^[ \t]*c?import[ \t]+(?P<names>[^\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    path: Path

    @property
    def module(self) -> str:
        parts = [*self.path.relative_to(PACKAGE.parent).parent.parts, self.path.stem]
        return ".".join(part for part in parts if part != "__init__")

    @property
    def package(self) -> str:
        """What a relative import starts from."""
        return self.module if self.path.stem == "__init__" else self.module.rpartition(".")[0]

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def is_cython(self) -> bool:
        return self.path.suffix in (".pyx", ".pxd")

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path.name)

    @property
    def code(self) -> str:
        """The text without strings and comments, lines kept."""
        return blank(self.text)

    def imports(self) -> set[str]:
        """Names imported at run time; of `from a import b` both a and a.b: b may be a module."""
        if self.is_cython:
            return set(cython_imports(self.code, self.module))
        return set(python_imports(self.tree, self.package))


def sources(*suffixes: str) -> list[Source]:
    """The files of the package with these suffixes, without what a build leaves there."""
    return [
        Source(path)
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in suffixes and "__pycache__" not in path.parts
    ]


def modules() -> list[str]:
    """Every importable module of the package by its full name."""
    return sorted({source.module for source in sources(".py", ".pyx")})


def room(module: str) -> str | None:
    """The room a module belongs to; the package itself is a room for its own `__init__` only."""
    if module == "fastwsgi":
        return module
    parts = module.split(".")
    for length in range(len(parts), 1, -1):
        name = ".".join(parts[:length])
        if name in FLOORS:
            return name
    return None


def blank(text: str) -> str:
    """Replace strings and comments by nothing, keeping line numbers."""

    def replace(match: re.Match[str]) -> str:
        return ("" if match["note"] else "''") + "\n" * match[0].count("\n")

    return BLANKED.sub(replace, text)


def python_imports(tree: ast.AST, package: str) -> Iterator[str]:
    """What the tree imports; `if TYPE_CHECKING:` blocks import nothing at run time."""
    for node in runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = relative(node.module or "", node.level, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, depth first, less the bodies of `if TYPE_CHECKING:`."""
    yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children = iter(node.orelse)
    for child in children:
        yield from runtime_nodes(child)


def cython_imports(code: str, module: str) -> Iterator[str]:
    """What blanked Cython code imports and cimports; a `.pxd` belongs to its module."""
    package = module.rpartition(".")[0]
    for match in CIMPORT_FROM.finditer(code):
        dots = len(match["base"]) - len(match["base"].lstrip("."))
        base = relative(match["base"].lstrip("."), dots, package)
        yield base
        yield from (f"{base}.{name}" for name in listed(match["names"]))
    for match in CIMPORT.finditer(code):
        yield from listed(match["names"])


def listed(names: str) -> list[str]:
    """`(a, b as c,)` → a, b."""
    return [part.split()[0] for part in names.strip("() \t\\").split(",") if part.strip(" \t\n()")]


def relative(base: str, dots: int, package: str) -> str:
    if not dots:
        return base
    parts = package.split(".")
    return ".".join(parts[: len(parts) - dots + 1] + ([base] if base else []))


def our_imports(source: Source) -> set[str]:
    """The rooms that a file imports, its own room left out."""
    own = room(source.module)
    found = set()
    for name in source.imports():
        if name != "fastwsgi" and not name.startswith("fastwsgi."):
            continue
        target = room(name)
        # `from fastwsgi import __version__` yields a name that is no room: the package's own.
        found.add("fastwsgi" if target is None else target)
    # `from fastwsgi import _parser` names the package only as the way to the room.
    if not imports_package_itself(source):
        found.discard("fastwsgi")
    found.discard(own or "")
    return found


def imports_package_itself(source: Source) -> bool:
    names = {name for name in source.imports() if name.startswith("fastwsgi.")}
    return any(room(name) is None for name in names) or (
        "fastwsgi" in source.imports() and not names
    )
