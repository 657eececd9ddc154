"""Tables and charts as data, and tables as text and Markdown. `page` has them as HTML, `plots` draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEFT = frozenset({"server", "note", "workload", "calls", "interpreter", "compared with", "verdict"})
"""Headings of columns of words; all others hold numbers."""


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """What the table says, in a line below it."""


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    text: str
    """The value as it is printed beside the bar."""
    least: float | None = None
    most: float | None = None
    ours: bool = False


@dataclass(frozen=True)
class Bars:
    """A horizontal bar for each server, the best on top."""

    name: str
    title: str
    about: str
    """The unit, and which way is better."""
    bars: Sequence[Bar]
    reference: float | None = None
    """What all are compared with: bars begin there."""


@dataclass(frozen=True)
class Curves:
    """Figures over time."""

    name: str
    title: str
    about: str
    across: str
    curves: Mapping[str, Sequence[tuple[float, float]]]
    ours: frozenset[str] = frozenset()


Chart = Bars | Curves


def text_table(table: Table) -> list[str]:
    rows = [tuple(table.headings), *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = [heading in LEFT for heading in table.headings]
    return [
        "  ".join(
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]


def markdown_table(table: Table) -> list[str]:
    rule = "|".join("---" if heading in LEFT else "---:" for heading in table.headings)
    lines = ["| " + " | ".join(row) + " |" for row in (table.headings, *table.rows)]
    return [lines[0], f"|{rule}|", *lines[1:]]


def unmeasured(server: str, headings: Sequence[str], reason: str) -> tuple[str, ...]:
    """The row of one without a figure, which ends in a note why."""
    return (server, *("-",) * (len(headings) - 2), reason or "not measured")


def bytes_text(value: float | None) -> str:
    """Bytes in the unit that leaves at most four digits."""
    if value is None:
        return "-"
    if abs(value) < 10_000:
        return f"{value:,.0f} B"
    if abs(value) < 10_000_000:
        return f"{value / 1024:,.1f} KiB"
    return f"{value / (1 << 20):,.1f} MiB"
