"""A configuration file of uWSGI's as one of ours.

Each option becomes its line, in the order of the file, with a comment that says where it comes from;
what has no match is a comment too. Only what several options say together stands at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from fastwsgi.translate.ini import Option, Reader, expression
from fastwsgi.translate.options import LISTS, Notes, Written, rule_of

HEAD: Final = """\
# {target} of uWSGI, translated. A server that is started in the folder of this file
# finds it by itself when it is called fastwsgi.conf.py.
"""

# A line of Python and the conditions it stands under.
Placed = tuple[tuple[str, ...], str]


def translate(target: str) -> str:
    """Return the text of a configuration file for `target`, PATH or PATH:SECTION of an ini file.

    Raises ConfigError with the file and the line of what cannot be read.
    """
    reader = Reader()
    reader.read(target)
    notes = Notes()
    lists: set[str] = set()
    lines: list[Placed] = []
    for option in reader.options:
        said = place(option, target)
        lines += written(option, translated(option, notes, reader.used), said, lists)
    lines += closing(notes)
    text = "\n".join(indented(lines))
    imports = "import os\n\n" if "os." in text else ""
    return f"{HEAD.format(target=target)}\n{imports}{text}\n"


def translated(option: Option, notes: Notes, used: set[str]) -> Written | None:
    """What an option is here; None for a name that was only made to be put in elsewhere."""
    rule = rule_of(option.name)
    if rule is None:
        unknown = Written(remark="no option of uWSGI's that is known here")
        return None if option.name in used else unknown
    try:
        return rule(option.value, notes)
    except ValueError as error:
        raise option.line.refuse(f"{option.name} {error}") from None


def place(option: Option, target: str) -> str:
    """What an option says and where, as it is written."""
    line = option.line
    where = f"line {line.number}" if target.startswith(line.file) else line.where
    return f"{where}: {line.name} = {line.value}" if line.value else f"{where}: {line.name}"


def written(option: Option, result: Written | None, said: str, lists: set[str]) -> Iterator[Placed]:
    """The lines of one option, which has `said` something; `lists` are those that have been begun."""
    if result is None:
        return
    if result.remark:
        said += f"; {result.remark}"
    if not result.rows:
        yield (), f"# {said}"
    for name, python in result.rows:
        if name in LISTS and name not in lists and option.conditions:
            yield (), f"{name} = []"
            lists.add(name)
        sign = "+=" if name in lists else "="
        yield option.conditions, f"{name} {sign} {python}  # {said}"
        if name in LISTS:
            lists.add(name)


def closing(notes: Notes) -> Iterator[Placed]:
    """What several options say together, and what uWSGI does when nothing is said."""
    if notes.module:
        name = expression(f"{notes.module}:{notes.callable or 'application'}")
        yield (), f"wsgi_app = {name}"
    elif not notes.paste:
        yield (), "# No application is named: start the server with MODULE:NAME."
    if notes.folders:
        yield (), f"pythonpath = {expression(','.join(notes.folders))}"
    if notes.log:
        yield (), f"errorlog = {notes.log}"
    if notes.logs_requests:
        log = notes.requests_log or notes.log or "'-'"
        yield (), f"accesslog = {log}  # as uWSGI has it without disable-logging"
    if not notes.timed:
        yield (), "timeout = 0  # as uWSGI has it without harakiri; 30 seconds are the default here"


def indented(lines: Iterable[Placed]) -> Iterator[str]:
    """The lines under their conditions."""
    present: tuple[str, ...] = ()
    for conditions, text in lines:
        shared = 0
        while conditions[: shared + 1] == present[: shared + 1] and shared < len(conditions):
            shared += 1
        for depth in range(shared, len(conditions)):
            yield f"{'    ' * depth}if {conditions[depth]}:"
        yield f"{'    ' * len(conditions)}{text}"
        present = conditions
