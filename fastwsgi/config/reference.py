"""The settings as a page of documentation: `python -m fastwsgi.config.reference > docs/settings.md`."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from fastwsgi.config.setting import Setting, shown
from fastwsgi.config.settings import Settings

HEAD = """\
# Settings

Made from the rows in `fastwsgi/config/sections/` by `make docs`; a test compares the two.

A setting comes from, lowest first: its default and the environment (`PORT`, `WEB_CONCURRENCY`), the configuration file,
`GUNICORN_CMD_ARGS` and `FASTWSGI_CMD_ARGS`, the command line. `fastwsgi --print-config` says which it was.

[concurrency.md](concurrency.md) says which execution model to take when, and how the settings of load, time and health
work together.
"""

# Defaults that depend on who runs the server, and where.
SURROUNDINGS: Final = {
    "chdir": "the current folder",
    "user": "the current user",
    "group": "the current group",
}


def reference() -> str:
    """Return the page: a section per section of `--help`, a row per setting."""
    parts = [HEAD]
    for section, rows in groupby(Settings.ROWS.values(), key=lambda row: row.section):
        parts.append(
            f"## {section}\n\n| setting | command line | default | meaning |\n|---|---|---|---|\n"
        )
        parts.extend(map(line, rows))
        parts.append("\n")
    return "\n".join([parts[0], "".join(parts[1:]).rstrip("\n")]) + "\n"


def line(row: Setting[object]) -> str:
    """One row of a table."""
    flags = ", ".join(f"`{flag}`" for flag in row.flags) or "file only"
    default = SURROUNDINGS.get(row.name) or f"`{shown(row.default)}`"
    cells = [f"`{row.name}`", flags, default, row.text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    print(reference(), end="")
