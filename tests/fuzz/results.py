"""What a run of one target came to, and the table of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
REGRESSIONS: Final = Path(__file__).parent / "regressions"

Say = Callable[[str], object]


class CannotRun(Exception):
    """This machine cannot run the target; the message says what is missing."""


@dataclass(frozen=True)
class Result:
    """One target: inputs tried, how often they went through the parser, seconds, and what broke."""

    target: str
    executions: int
    parses: int
    seconds: float
    findings: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Executions a second."""
        return self.executions / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Budget:
    """When a target ends: after so many seconds, or executions where that is not None."""

    seconds: float
    executions: int | None = None


HEADINGS: Final = ("target", "executions", "a second", "parses", "seconds", "findings")


def cells(result: Result) -> tuple[str, ...]:
    parses = f"{result.parses:,}" if result.parses else ""
    numbers = (f"{result.executions:,}", f"{result.rate:,.0f}", parses, f"{result.seconds:.0f}")
    return (result.target, *numbers, str(len(result.findings)))


def table(results: Iterable[Result]) -> str:
    rows = [HEADINGS, *map(cells, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def markdown(results: Iterable[Result]) -> str:
    rows = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1)), *map(cells, results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
