"""The copies of the figures in the documents, between markers: never typed, always printed.

`<!-- bench:NAME -->` begins such a place and `<!-- /bench:NAME -->` ends it; NAME is that of a record,
`goals`, or `readme` for the short form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.page import Pictures, Section
from bench.programs import ROOT
from bench.record import Record
from bench.tables import Chart, Table, markdown_table

FIGURES = ROOT / "docs" / "figures.md"
README = ROOT / "README.md"
FOLDER = "figures"  # of the pictures, beside FIGURES
# Of a comparison the others are tables only.
COMPARED = ("lead", "compare-hello", "compare-browser")
IN_README = ("hello", "browser", "pipeline")


def marked(text: str, name: str, content: str) -> str:
    """The text with this content between the markers of `name`. Raises ValueError without them."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no place for {name}: the markers {begin} and {end} are missing")
    return pattern.sub(lambda _: f"{begin}\n\n{content.strip()}\n\n{end}", text)


def write(sections: Sequence[Section], pictures: Pictures, goals: Table) -> None:
    """Renews the documents by these records; what others wrote stays. Raises ValueError, OSError."""
    figures, readme = FIGURES.read_text(), README.read_text()
    figures = marked(figures, "goals", "\n".join([*markdown_table(goals), "", goals.note]))
    for section in sections:
        drawn = [chart for chart in section.charts if chart.name in pictures and documented(chart)]
        save(drawn, pictures, FIGURES.parent / FOLDER)
        lines = [*facts(section.record), *images(drawn, FOLDER), *tables(section.tables)]
        figures = marked(figures, section.record.command, "\n".join(lines))
        if section.record.command == "compare":
            few = [table for table in section.tables if table.name in IN_README]
            lead = [chart for chart in drawn if chart.name == "lead"]
            shown = [*facts(section.record), *images(lead, f"docs/{FOLDER}"), *tables(few)]
            readme = marked(readme, "readme", "\n".join(shown))
    FIGURES.write_text(figures)
    README.write_text(readme)


def documented(chart: Chart) -> bool:
    return not chart.name.startswith("compare-") or chart.name in COMPARED


def save(charts: Sequence[Chart], pictures: Pictures, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for chart in charts:
        for picture, ending in zip(pictures[chart.name], ("", "-dark"), strict=True):
            (folder / f"{chart.name}{ending}.svg").write_bytes(picture)


def facts(record: Record) -> Iterator[str]:
    yield from (f"- {key}: {value}" for key, value in record.facts.items())
    if known := [f"{name} {version}" for name, version in record.versions.items() if version]:
        yield f"- versions: {', '.join(known)}"
    yield ""


def images(charts: Sequence[Chart], folder: str) -> Iterator[str]:
    for chart in charts:
        path = f"{folder}/{chart.name}"
        yield (
            f'<picture><source media="(prefers-color-scheme: dark)" srcset="{path}-dark.svg">'
            f'<img src="{path}.svg" alt="{chart.title}"></picture>'
        )
        yield ""


def tables(shown: Sequence[Table]) -> Iterator[str]:
    for table in shown:
        yield from (f"### {table.title}", "", *markdown_table(table), "")
        if table.note:
            yield from (table.note, "")
