"""What every source file keeps to: state, imports, stubs, sizes, docstrings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .house import (
    FUNCTION_LEVEL_IMPORTS,
    PACKAGE,
    ROOT,
    Source,
    modules,
    relative,
    runtime_nodes,
    sources,
)

# Where the tests find the package: the repository after a build in place, or an installed wheel.
HOME = next(
    entry for entry in sys.path if list(Path(entry or ".", "fastwsgi").glob("_parser.*.so"))
)

PYTHON = sources(".py")
CYTHON = sources(".pyx")
ALL = [*PYTHON, *CYTHON]

MUTABLE_CALLS = re.compile(
    r"list|dict|set|bytearray|deque|defaultdict|OrderedDict|Counter|"
    r"WeakKeyDictionary|WeakValueDictionary|WeakSet|Queue|SimpleQueue|Lock|RLock|"
    r"Event|local"
)
MUTATING_METHODS = re.compile(
    r"append|extend|insert|remove|pop|popitem|clear|update|setdefault|add|"
    r"discard|sort|reverse|appendleft|popleft"
)
READ_ONLY = re.compile(r"\b(?:Final|Mapping|Sequence)\b")
CONSTANT = re.compile(r"(?:\w+\.)?_?[A-Z][A-Z0-9_]*|__\w+__")
CYTHON_IMPORT_INSIDE = re.compile(
    r"^[ \t]+(?:from[ \t]+\S+[ \t]+)?c?import[ \t]+(\w+)", re.MULTILINE
)
CYTHON_GLOBAL = re.compile(
    r"^(?:cdef[ \t]+(?:public[ \t]+|readonly[ \t]+)?(?:dict|list|set|bytearray|object)[ \t]+)?"
    r"(?P<name>\w+)[ \t]*=[ \t]*(?:\[|\{|(?:dict|list|set|bytearray|deque|defaultdict)\()",
    re.MULTILINE,
)
CYTHON_DEFINITION = re.compile(
    r"^(?P<indent>[ \t]*)(?:def|cpdef|class|cdef class)[ \t]+(?:[\w.]+[ \t]+)*?"
    r"(?P<name>\w+)[ \t]*[(:]",
    re.MULTILINE,
)


def name_of(source: Source) -> str:
    return source.module + source.path.suffix


# -- state


def module_level(tree: ast.Module) -> Iterator[tuple[str, ast.expr, bool]]:
    """(name, value, declared read-only) of the assignments at module level and in class bodies."""
    bodies = [tree.body] + [node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for body in bodies:
        for node in body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    yield ast.unparse(target), node.value, False
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                final = READ_ONLY.search(ast.unparse(node.annotation)) is not None
                yield ast.unparse(node.target), node.value, final


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        function = value.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        return MUTABLE_CALLS.fullmatch(name) is not None
    kinds = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    return isinstance(value, kinds)


def changed_names(tree: ast.AST) -> set[str]:
    """Names that are changed in place: by a subscript, a mutating method, or `global`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(ast.unparse(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if MUTATING_METHODS.fullmatch(node.func.attr):
                found.add(ast.unparse(node.func.value))
        elif isinstance(node, ast.AugAssign):
            found.add(ast.unparse(node.target))
        elif isinstance(node, ast.Global):
            found.update(node.names)
    return found


def state_of(tree: ast.Module) -> list[str]:
    """Names that hold mutable state at module or class level."""
    changed = changed_names(tree)
    held = [
        name
        for name, value, final in module_level(tree)
        if is_mutable(value) and (name in changed or not (final or CONSTANT.fullmatch(name)))
    ]
    declared = [
        name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names
    ]
    return sorted({*held, *declared})


@pytest.mark.parametrize("source", PYTHON, ids=name_of)
def test_no_module_holds_mutable_state(source: Source) -> None:
    assert state_of(source.tree) == []


@pytest.mark.parametrize("source", CYTHON, ids=name_of)
def test_no_compiled_module_holds_mutable_state(source: Source) -> None:
    assert cython_state(source.code) == []


def cython_state(code: str) -> list[str]:
    found = re.findall(r"^[ \t]+global[ \t]+(.+)$", code, re.MULTILINE)
    for match in CYTHON_GLOBAL.finditer(code):
        name = match["name"]
        methods = MUTATING_METHODS.pattern
        changed = re.search(
            rf"\b{name}(?:\[[^\]\n]*\][ \t]*=[^=]|\.(?:{methods})\()", code[match.end() :]
        )
        if changed or not CONSTANT.fullmatch(name):
            found.append(name)
    return found


def test_the_search_for_state_finds_it() -> None:
    held = {
        "cache = {}": ["cache"],
        "seen: set[int] = set()": ["seen"],
        "CACHE = {}\ndef f(k):\n    CACHE[k] = 1": ["CACHE"],
        "CACHE: Final = []\ndef f(k):\n    CACHE.append(k)": ["CACHE"],
        "count = 0\ndef f():\n    global count\n    count += 1": ["count"],
        "class A:\n    shared = []": ["shared"],
        "TABLE = {1: 2}": [],
        "table: Final = {1: 2}": [],
        "def f():\n    local = []\n    local.append(1)": [],
        "names = frozenset()": [],
    }
    for text, names in held.items():
        assert state_of(ast.parse(text)) == names, text
    cython_held = {
        "cdef dict cache = {}\n": ["cache"],
        "cdef list NAMES = [1]\nNAMES.append(2)\n": ["NAMES"],
        "CACHE = dict()\ndef f(k):\n    CACHE[k] = 1\n": ["CACHE"],
        "cdef int n = 0\ncdef f():\n    global n\n": ["n"],
        "cdef dict TABLE = {1: 2}\nx = TABLE[1] == 2\n": [],
        "cdef f():\n    cdef list names = []\n    names.append(1)\n": [],
    }
    for text, names in cython_held.items():
        assert cython_state(text) == names, text


# -- imports


@pytest.mark.parametrize("source", ALL, ids=name_of)
def test_no_star_import(source: Source) -> None:
    assert not re.search(r"\bc?import[ \t]+\*", source.code)


def inner_imports(source: Source) -> set[str]:
    if source.is_cython:
        return set(CYTHON_IMPORT_INSIDE.findall(source.code))
    return {
        alias.name if isinstance(inner, ast.Import) else (inner.module or ".")
        for node in runtime_nodes(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
        for alias in inner.names
    }


@pytest.mark.parametrize("source", ALL, ids=name_of)
def test_imports_stand_at_the_top(source: Source) -> None:
    if source.module == "fastwsgi.wiring":
        return
    allowed = {name for (module, name) in FUNCTION_LEVEL_IMPORTS if module == source.module}
    assert inner_imports(source) <= allowed


@pytest.mark.parametrize("module", modules())
def test_every_module_can_be_imported_alone(module: str) -> None:
    program = f"import sys; sys.path.insert(0, {HOME!r}); import {module}"
    result = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# -- files


@pytest.mark.parametrize("source", CYTHON, ids=name_of)
def test_a_compiled_module_has_its_surfaces(source: Source) -> None:
    assert source.path.with_suffix(".pxd").exists(), "the C surface"
    assert source.path.with_suffix(".pyi").exists(), "the typed Python surface"


@pytest.mark.parametrize("source", CYTHON, ids=name_of)
def test_a_compiled_module_stays_small(source: Source) -> None:
    assert len(source.text.splitlines()) <= 1500


def test_setup_stays_small() -> None:
    assert len((ROOT / "setup.py").read_text().splitlines()) <= 80


def test_no_generated_c_stands_in_the_package() -> None:
    assert [path for path in PACKAGE.rglob("*") if path.suffix in (".c", ".cpp")] == []


def test_no_module_is_included_as_text() -> None:
    for source in sources(".pyx", ".pxd"):
        assert not re.search(r"^[ \t]*include[ \t]", source.code, re.MULTILINE), source.path.name


def test_the_parser_touches_no_python_object() -> None:
    """Law 1: nogil and noexcept, so the compiler vouches for it; tables are filled at import."""
    (parser,) = [source for source in CYTHON if source.module == "fastwsgi._parser"]
    functions = re.findall(r"^cdef [^=\n]*?(\w+)\([^)]*\)([^\n:]*):", parser.code, re.MULTILINE)
    assert functions
    with_gil = {name for name, rest in functions if "noexcept nogil" not in rest}
    assert with_gil <= {"fill_classes", "classify"}


# -- docstrings


@pytest.mark.parametrize("source", ALL, ids=name_of)
def test_every_file_says_what_it_is(source: Source) -> None:
    assert re.match(r'(#[^\n]*\n)*\s*r?"""\S', source.text)


def imported_names(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """(name in this file, full name) of everything imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = relative(node.module or "", node.level, package)
            yield from (
                (alias.asname or alias.name, f"{base}.{alias.name}") for alias in node.names
            )


def used_elsewhere() -> set[str]:
    """Full names of what one file of the package takes from another: its public part."""
    found = set()
    for source in PYTHON:
        names = dict(imported_names(source.tree, source.package))
        found |= set(names.values())
        found |= {
            f"{names[node.value.id]}.{node.attr}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in names
        }
    return found


@pytest.mark.parametrize("source", PYTHON, ids=name_of)
def test_what_others_use_has_docstrings(source: Source) -> None:
    prefix = source.module + "."
    public = {name.removeprefix(prefix) for name in used_elsewhere() if name.startswith(prefix)}
    if source.path.stem == "__init__":
        public |= set(re.findall(r"\bdef (\w+)", source.code))
    assert undocumented(source.tree, public) == []


def undocumented(tree: ast.Module, public: set[str]) -> list[str]:
    """Public functions, classes and methods without a docstring.

    A method of one statement is excused, its name says it all.
    """
    definitions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public
    ]
    methods = [
        node
        for owner in definitions
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and len(node.body) > 1
    ]
    return [
        node.name
        for node in (*definitions, *methods)
        if ast.get_docstring(node) is None and not overload_of_another(node)
    ]


def overload_of_another(node: ast.FunctionDef | ast.ClassDef) -> bool:
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    return "overload" in marks or any(mark.endswith(".setter") for mark in marks)


@pytest.mark.parametrize("source", CYTHON, ids=name_of)
def test_public_compiled_functions_have_docstrings(source: Source) -> None:
    assert cython_undocumented(source.text) == []


def cython_undocumented(text: str) -> list[str]:
    found = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = CYTHON_DEFINITION.match(line)
        if match is None or len(match["indent"]) > 4 or match["name"].startswith("_"):
            continue
        while not lines[number].rstrip().endswith(":"):
            number += 1  # noqa: PLW2901
        if not re.match(r'\s*r?"""', lines[number + 1]):
            found.append(match["name"])
    return found


def test_the_search_for_docstrings_finds_what_lacks_one() -> None:
    text = (
        'def a():\n    pass\nclass B:\n    """B."""\n'
        "    def c(self):\n        x = 1\n        return x\n"
        'def own():\n    pass\nclass E:\n    def f(self):\n        pass\ndef g():\n    """G."""\n'
    )
    assert undocumented(ast.parse(text), {"a", "B", "E", "g"}) == ["a", "E", "c"]
    cython = (
        "def a(\n    int b,\n):\n    pass\n"
        'cdef class C:\n    def d(self):\n        """D."""\n'
        "    cpdef int e(self):\n        return 1\n"
        "cdef int f():\n    return 1\n"
    )
    assert cython_undocumented(cython) == ["a", "C", "e"]
