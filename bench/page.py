"""The report as one HTML page that needs nothing else: pictures, tables, method and raw numbers in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.record import Record
from bench.tables import LEFT, Chart, Table

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #656d76; --line: #d8dee4;
  --ground: #ffffff; --ours: #0a7f6f; --wash: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --line: #30363d;
  --ground: #0d1117; --ours: #2fbfa7; --wash: #161b22; } }
body { margin: 0 auto; padding: 2rem 1rem 5rem; max-width: 62rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .3rem; } h2 { margin: 3.5rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); } h3 { margin: 2.2rem 0 .4rem; font-size: 1.05rem; }
nav a { margin-right: 1rem; } a { color: var(--ours); }
img { width: 100%; height: auto; display: block; margin: 1rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { color: var(--faint); } dd { margin: 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; } .words { text-align: left; white-space: normal; }
tr.ours td { color: var(--ours); font-weight: 600; }
p.note, summary { color: var(--faint); font-size: .85rem; }
pre { background: var(--wash); padding: 1rem; font-size: .75rem; overflow: auto; max-height: 30rem; }
.bad { color: #d1242f; font-weight: 600; }
"""


@dataclass(frozen=True)
class Section:
    """A record as it is shown."""

    record: Record
    about: str
    tables: Sequence[Table]
    charts: Sequence[Chart]


Pictures = Mapping[str, tuple[bytes, bytes]]
"""SVG for a light and for a dark page, by the name of the chart."""


def render(sections: Sequence[Section], pictures: Pictures, goals: Table) -> str:
    """The whole page."""
    links = " ".join(
        f'<a href="#{section.record.command}">{section.record.command}</a>' for section in sections
    )
    body = "\n".join(section_html(section, pictures) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>fastwsgi: figures</title>\n<style>{STYLE}</style>\n"
        "<h1>fastwsgi: figures</h1>\n"
        "<p>Printed by <code>python -m bench report</code> from what the harness has recorded. "
        "Compare the rows of one table, not two tables.</p>\n"
        f'<nav><a href="#goals">goals</a> {links}</nav>\n<h2 id="goals">goals</h2>\n'
        f"{table_html(goals)}\n{body}\n</html>\n"
    )


def section_html(section: Section, pictures: Pictures) -> str:
    record = section.record
    parts = [f'<h2 id="{record.command}">{record.command}</h2>', f"<p>{escape(section.about)}</p>"]
    if record.interrupted:
        parts.append('<p class="bad">Interrupted: what had been measured by then.</p>')
    versions = ", ".join(
        f"{name} {version}" for name, version in record.versions.items() if version
    )
    facts = record.facts | ({"versions": versions} if versions else {})
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    parts.append(f"<dl>{rows}</dl>")
    left = {chart.name: chart for chart in section.charts if chart.name in pictures}
    by_table = {
        table.name: left.pop(f"{record.command}-{table.name}", None) for table in section.tables
    }
    parts += [picture_html(chart, pictures) for chart in left.values()]
    for table in section.tables:
        own = by_table[table.name]
        if own is None:
            parts.append(f"<h3>{escape(table.title)}</h3>")
        else:
            parts.append(picture_html(own, pictures))
        parts.append(table_html(table))
    raw = escape(json.dumps(record.as_json()["measurements"], indent=1))
    parts.append(f"<details><summary>Every measurement</summary><pre>{raw}</pre></details>")
    return "\n".join(parts)


def picture_html(chart: Chart, pictures: Pictures) -> str:
    light, dark = (data_url(picture) for picture in pictures[chart.name])
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(chart.title)}"></picture>'
    )


def data_url(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def table_html(table: Table) -> str:
    kinds = [' class="words"' if heading in LEFT else "" for heading in table.headings]
    head = "".join(f"<th{k}>{escape(h)}</th>" for h, k in zip(table.headings, kinds, strict=True))
    rows = []
    for row in table.rows:
        ours = any(cell.startswith("fastwsgi") for cell in row[:2])
        cells = "".join(f"<td{k}>{escape(c)}</td>" for c, k in zip(row, kinds, strict=True))
        rows.append(f'<tr class="ours">{cells}</tr>' if ours else f"<tr>{cells}</tr>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>{note}'
