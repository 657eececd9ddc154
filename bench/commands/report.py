"""Makes one HTML page, plots and the tables of the documents from what the other sub-commands recorded.

Prints the project's goals beside what was found, and whether each is reached.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import documents, goals, page
from bench.commands import (
    compare,
    connections,
    instructions,
    interpreters,
    locust,
    scale,
    soak,
    start,
    syscalls,
)
from bench.page import Section
from bench.plots import DARK, LIGHT, PlotsMissing, draw
from bench.programs import BUILT
from bench.record import load
from bench.run import Command
from bench.tables import text_table

ABOUT = "one HTML page with plots from the recorded JSON, and the tables of the documents"
# In the order of the page.
COMMANDS: dict[str, Command] = {
    "compare": compare,
    "locust": locust,
    "scale": scale,
    "instructions": instructions,
    "interpreters": interpreters,
    "syscalls": syscalls,
    "connections": connections,
    "start": start,
    "soak": soak,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--records", type=Path, default=BUILT, metavar="DIR", help="where the JSON is (%(default)s)"
    )
    parser.add_argument(
        "--to", type=Path, default=BUILT / "report", metavar="DIR", help="(%(default)s)"
    )
    parser.add_argument(
        "--docs", action="store_true", help="renew docs/figures.md, its plots and the README too"
    )


def main(options: argparse.Namespace) -> int:
    """Exit code 2 without a record, or where the documents were wanted and cannot be renewed."""
    try:
        sections = read(options.records)
    except (OSError, ValueError) as error:
        print(f"a record cannot be read: {error}", file=sys.stderr)
        return 2
    if not sections:
        print(
            f"no record in {options.records}: `python -m bench compare` makes one", file=sys.stderr
        )
        return 2
    reached = goals.table({section.record.command: section.record for section in sections})
    options.to.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, tuple[bytes, bytes]] = {}
    try:
        for chart in (chart for section in sections for chart in section.charts):
            pictures[chart.name] = (draw(chart, LIGHT), draw(chart, DARK))
            for picture, ending in zip(pictures[chart.name], ("", "-dark"), strict=True):
                (options.to / f"{chart.name}{ending}.svg").write_bytes(picture)
            (options.to / f"{chart.name}.png").write_bytes(draw(chart, LIGHT, "png"))
    except PlotsMissing as missing:
        print(missing, file=sys.stderr)
        if options.docs:
            return 2
    (options.to / "report.html").write_text(page.render(sections, pictures, reached))
    print("\n".join([*text_table(reached), "", reached.note, str(options.to / "report.html")]))
    if options.docs:
        try:
            documents.write(sections, pictures, reached)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 2
        print(documents.FIGURES, documents.README, sep="\n")
    return 0


def read(folder: Path) -> list[Section]:
    """The records that are there. Raises OSError, and ValueError for one that is none."""
    sections = []
    for name, command in COMMANDS.items():
        path = folder / f"{name}.json"
        if path.exists():
            record = load(path)
            charts = [chart for chart in command.charts(record) if getattr(chart, "bars", True)]
            sections.append(Section(record, command.ABOUT, command.tables(record), charts))
    return sections
