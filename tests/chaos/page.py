"""docs/reliability.md: the figures of the long forms, each printed here and none typed.

A run replaces the rows of what it ran and leaves the others, as long as machine and versions are those of the page; on
another machine the page begins anew.
"""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.chaos.figures import Figure, shown
from tests.chaos.scenarios import SCENARIOS

PREFACE: Final = """\
# Reliability

Printed by `make chaos OPTIONS='--markdown docs/reliability.md'`: a running server meets what is hard on one, and each
figure has its limit. The scenarios are the modules of [tests/chaos](../tests/chaos); each begins with what it does.
Times are those of a machine with other work to do.
"""
HEADING: Final = (
    "| scenario | model | figure | value | at most | verdict |\n|---|---|---|---:|---:|---|"
)
ROW: Final = re.compile(r"^\| (?P<scenario>S\d+) [^|]* \| (?P<model>\w+) \| .*", re.MULTILINE)

Rows = Mapping[tuple[str, str], list[str]]
"""Lines of the table by scenario and model."""


def write(path: Path, found: Iterable[tuple[str, str, Figure]]) -> None:
    """Put (scenario, model, figure) on the page. Raises OSError."""
    new: dict[tuple[str, str], list[str]] = {}
    for scenario, model, figure in found:
        new.setdefault((scenario, model), []).append(row(scenario, model, figure))
    before = path.read_text() if path.exists() else ""
    rows = {**(rows_of(before) if facts() in before else {}), **new}
    lines = [line for key in sorted(rows, key=order) for line in rows[key]]
    path.write_text("\n".join([PREFACE, facts(), "", HEADING, *lines, ""]))


def row(scenario: str, model: str, figure: Figure) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    verdict = "held" if figure.held else "MISSED"
    cells = (figure.what, f"{shown(figure.value)}{unit}", f"{shown(figure.limit)}{unit}", verdict)
    return f"| {' | '.join((f'{scenario} {SCENARIOS[scenario].TITLE}', model, *cells))} |"


def rows_of(page: str) -> Rows:
    rows: dict[tuple[str, str], list[str]] = {}
    for line in ROW.finditer(page):
        rows.setdefault((line["scenario"], line["model"]), []).append(line[0])
    return rows


def order(key: tuple[str, str]) -> tuple[int, str]:
    """By the number of the scenario."""
    scenario, model = key
    return int(scenario.removeprefix("S")), model


def facts() -> str:
    """The machine and the versions, as a list."""
    return "\n".join(
        (
            f"- machine: {processor()}, {len(os.sched_getaffinity(0))} cores",
            f"- system: {platform.system()} {platform.release()},"
            f" {platform.python_implementation()} {platform.python_version()}",
            f"- versions: {', '.join(filter(None, map(version, ('fastwsgi', 'gevent'))))}",
        )
    )


def version(name: str) -> str:
    """A distribution with its version; "" for one that is not here, as gevent on some builds."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def processor() -> str:
    names = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[1] if names else platform.machine()
