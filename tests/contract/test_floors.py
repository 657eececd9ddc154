"""Imports go downward only, and only config, process and wiring know the Settings object."""

from __future__ import annotations

import ast
import re

import pytest

from .house import (
    FLOORS,
    IMPORTS_NOTHING_OF_OURS,
    SEE_SETTINGS,
    SIBLINGS,
    Source,
    blank,
    cython_imports,
    modules,
    our_imports,
    python_imports,
    room,
    sources,
)

SOURCES = sources(".py", ".pyx", ".pxd")
IDS = [source.path.name if source.path.stem != "__init__" else source.module for source in SOURCES]


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_floor(module: str) -> None:
    assert room(module) is not None, f"{module} stands in no room: give it one in house.py"


@pytest.mark.parametrize("name", [name for name in FLOORS if name != "fastwsgi"])
def test_every_room_exists(name: str) -> None:
    found = {source.module for source in SOURCES}  # a C surface alone is a room, too
    assert any(module == name or module.startswith(name + ".") for module in found)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_imports_go_downward(source: Source) -> None:
    own = room(source.module)
    assert own is not None
    allowed = {name for name, floor in FLOORS.items() if floor < FLOORS[own]}
    allowed |= SIBLINGS.get(own, frozenset())
    if own in IMPORTS_NOTHING_OF_OURS:
        allowed = set()
    assert our_imports(source) <= allowed


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_only_three_rooms_know_the_settings(source: Source) -> None:
    if room(source.module) in SEE_SETTINGS:
        return
    names = re.findall(r"\b(?:settings|Settings|cfg)\b", source.code)
    if not source.is_cython:
        names = [
            name
            for node in ast.walk(source.tree)
            for name in (
                getattr(node, "id", ""),
                getattr(node, "arg", ""),
                getattr(node, "attr", ""),
            )
            if name in ("settings", "Settings", "cfg")
        ]
    assert names == []


def test_siblings_stand_on_one_floor() -> None:
    """A row of the table that another rule covers already would hide what it is for."""
    for name, others in SIBLINGS.items():
        assert {FLOORS[other] for other in others} == {FLOORS[name]}


def test_reading_python_imports() -> None:
    tree = ast.parse(
        "import a, b.c as d\n"
        "from e import f\n"
        "from . import g\n"
        "from .h import i\n"
        "from ..j import k\n"
        "if TYPE_CHECKING:\n    import hidden\nelse:\n    import seen\n"
        "def late():\n    import inner\n"
    )
    found = set(python_imports(tree, "fastwsgi.net"))
    assert {"a", "b.c", "e", "e.f", "seen", "inner"} <= found
    assert {"fastwsgi.net.g", "fastwsgi.net.h", "fastwsgi.net.h.i", "fastwsgi.j.k"} <= found
    assert "hidden" not in found


def test_reading_cython_imports() -> None:
    code = blank(
        '"""from docstring cimport nothing"""\n'
        "# from comment cimport nothing\n"
        "cimport cython\n"
        "import os, sys as system\n"
        "from libc.string cimport memcpy, memcmp as equal  # why\n"
        "from fastwsgi._parser cimport (\n    Field,\n    Span as Piece,\n)\n"
        "from fastwsgi cimport _writer\n"
        "from . cimport _exchange\n"
        "cdef int f():\n    from late import thing\n"
        "text = 'import nothing'\n"
    )
    found = set(cython_imports(code, "fastwsgi._environ"))
    assert found == {
        *("cython", "os", "sys", "libc.string", "libc.string.memcpy", "libc.string.memcmp"),
        *("fastwsgi._parser", "fastwsgi._parser.Field", "fastwsgi._parser.Span"),
        *("fastwsgi", "fastwsgi._writer", "fastwsgi._exchange", "late", "late.thing"),
    }


def test_blanking_keeps_lines_and_nested_marks() -> None:
    text = "a = \"# no note\" # note 'x\nb = '''long\n\"inner\" '''\nc = 'it\\'s'\n"
    assert blank(text).splitlines() == ["a = '' ", "b = ''", "", "c = ''"]
