"""What a scenario gives: figures beside their limits."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value, which may be at most `limit`; both in `unit`, empty for a count."""

    what: str
    value: float
    limit: float
    unit: str = ""

    @property
    def held(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "" if self.held else "  MISSED"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {shown(self.value)}{unit}, at most {shown(self.limit)}{unit}{verdict}"


class CannotRun(Exception):
    """This machine does not let the scenario run; the message says why."""


def shown(value: float) -> str:
    """Whole numbers with separators, others with three digits that count."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def table(rows: Iterable[tuple[str, str, Figure]]) -> str:
    """Rows of (scenario, model, figure) as a text table."""
    cells = [("", "model", "figure", "value", "at most", "unit", "")]
    cells += [
        (name, model, f.what, shown(f.value), shown(f.limit), f.unit, "" if f.held else "MISSED")
        for name, model, f in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in (3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
