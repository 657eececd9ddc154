"""The settings as a page of documentation: `python -m fastwsgi.config.reference > docs/settings.md`."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from fastwsgi.config.setting import Setting, shown
from fastwsgi.config.settings import Settings

HEAD = """\
# Settings

Made from the rows in `fastwsgi/config/sections/` by `make docs`; a test compares the two.

Every setting of gunicorn's is here, with its flags and its default, and configuration files written for gunicorn load
unmodified. What does nothing here is still read and checked, and the log says so of each that is set.

## Where a value comes from

Lowest first; a source replaces what those below it say, lists too:

1. the default, and `PORT`, `WEB_CONCURRENCY`, `FORWARDED_ALLOW_IPS` and `SENDFILE` of the environment;
2. what the `init` of a custom application returns;
3. one configuration file: the one that `-c` names (as a path, `file:PATH` or `python:MODULE`), else
   `./fastwsgi.conf.py`, else `./gunicorn.conf.py`;
4. `FASTWSGI_<SETTING>` of the environment, as in `FASTWSGI_WORKERS=4`; several addresses have commas between them;
5. `GUNICORN_CMD_ARGS` and `FASTWSGI_CMD_ARGS`, which hold options as a command line does;
6. the command line.

`fastwsgi --print-config MODULE:NAME` shows every value with its source, of a file with the line; `--check-config` says
by its exit code, 0 or 1, whether settings and application can be loaded. A wrong value is refused with the name of the
setting, its source and what it may be: with exit code 2 where a number on a command line is none or an option is not
known, else with 1, as gunicorn has it.

A configuration file is Python, and its names are the settings. A name that is none is left alone; one that is nearly
one is warned of.

## Otherwise than gunicorn

- `workers = auto` is as many workers as CPUs can be used: by the process's affinity and by the quota of its control
  group. No workers at all, as `$(( ... ))` in a shell gives where a part of it is empty, is an error.
- An empty `WEB_CONCURRENCY` or `PORT` is one that is not set.
- A worker class is a name, or the path of one of gunicorn's own classes; any other class is refused, as none is loaded.
  `eventlet` is served by gevent and meinheld's classes by sync; those of Tornado and of ASGI servers are refused.
- `sendfile = True` means that files are sent by sendfile; in gunicorn any value turns it off.
- `--protocol uwsgi` is refused: let nginx use `proxy_pass`.
- An unknown `loglevel` is refused, where gunicorn takes it for `info`.
- There is no control socket; signals steer the master.
- A configuration file that calls `sys.exit` is an error with exit code 1.

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
    text = f"{row.text} Not in gunicorn." if row.ours else row.text
    cells = [f"`{row.name}`", flags, default, text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    print(reference(), end="")
