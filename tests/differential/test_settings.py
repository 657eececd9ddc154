"""The same words, files and variables through gunicorn's own parser and through ours.

Both run in `both_parsers`, a program of its own that reads all cases at once. Where they differ the
table of `settings_differences` has the reason, and every entry of it is of use.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.config.cli import spelt_out
from fastwsgi.config.settings import Settings

from .commands import APPLICATIONS, CASES, COMMANDS, SITE, Case
from .settings_differences import APART, CODES, LOOSER, OTHERWISE, STRICTER

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "spec" / "commands.txt"

# What gunicorn calls a worker class, and we by a shorter name.
SHORT = {
    "gunicorn.workers.gthread.ThreadWorker": "gthread",
    "egg:gunicorn#gthread": "gthread",
    "ThreadWorker": "gthread",
    "gevent_pywsgi": "gevent",
    "eventlet": "gevent",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program found: for each case by its name, for each value, and what gunicorn knows."""
    asked = []
    for number, case in enumerate(CASES):
        folder = tmp_path_factory.mktemp(f"case{number}")
        for path, text in case.files.items():
            if path.endswith("/"):
                (folder / path).mkdir()
            else:
                (folder / path).write_text(text)
        words = case.words(str(folder))
        asked.append({"folder": str(folder), "words": words, "environ": dict(case.environ)})
    folder = tmp_path_factory.mktemp("site")
    (folder / "pack").mkdir()
    for name in ("site_app.py", "pack/__init__.py", "pack/inner.py"):
        (folder / name).write_text(SITE)
    applications = [
        {"folder": str(folder), "words": [name], "environ": {}} for name in APPLICATIONS
    ]
    program = subprocess.run(
        [sys.executable, "-m", "tests.differential.both_parsers"],
        cwd=ROOT,
        input=json.dumps({"cases": asked, "applications": applications}),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(program.stdout)
    found["cases"] = dict(zip((case.name for case in CASES), found["cases"], strict=True))
    found["applications"] = dict(zip(APPLICATIONS, found["applications"], strict=True))
    return found


def expected(name: str, theirs: Any) -> Any:
    """What we make of what gunicorn has as the value of a setting."""
    for entry in OTHERWISE:
        if entry.setting == name:
            return entry.ours(theirs)
    return False if theirs is None and Settings.ROWS[name].is_flag else theirs


def bracketed(text: str) -> str:
    """A tuple as a list: we print both so."""
    return text.translate(str.maketrans("()", "[]"))


def test_every_setting_and_flag_of_gunicorns_is_here(both: dict[str, Any]) -> None:
    assert both["known"].keys() - Settings.ROWS.keys() == set()
    for name, flags in both["known"].items():
        assert set(flags) <= set(Settings.ROWS[name].flags), name


def test_what_gunicorn_has_not_is_marked(both: dict[str, Any]) -> None:
    ours = {name for name, row in Settings.ROWS.items() if row.ours}
    assert ours == Settings.ROWS.keys() - both["known"].keys()


def test_every_abbreviation_means_the_same(both: dict[str, Any]) -> None:
    flags = [flag for flags in both["known"].values() for flag in flags] + ["--help", "--version"]
    for flag in flags:
        for end in range(3, len(flag) if flag.startswith("--") else 0):
            start = flag[:end]
            meant = [other for other in flags if other.startswith(start)]
            if start not in flags and len(meant) == 1:
                assert spelt_out(f"{start}=x") == f"{flag}=x"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_line_makes_the_same_settings(case: Case, both: dict[str, Any]) -> None:
    theirs, ours = both["cases"][case.name]
    excused = [(entry.theirs, entry.ours) for entry in CODES if entry.case == case.name]
    assert (theirs[0], ours[0]) in (excused or [(theirs[0], theirs[0])]), theirs[3] + ours[3]
    if theirs[0] is None and ours[0] is None:
        named = {
            name: expected(name, value)
            for name, value in theirs[1].items()
            if name in Settings.ROWS and name not in APART
        }
        assert {name: ours[1][name] for name in named} == named
        # Functions, and the empty ones that gunicorn has by default, are printed by their names.
        alike = [
            name for name, value in theirs[1].items() if name in named and named[name] == value
        ]
        printed = {name: theirs[4][name] for name in alike if theirs[4][name][:1] != "<"}
        assert {name: bracketed(ours[4][name]) for name in printed} == {
            name: bracketed(text) for name, text in printed.items()
        }
        derived = theirs[2]
        derived["class"] = SHORT.get(derived["class"], derived["class"])
        if derived["name"] == "gunicorn":  # where no word of the command line names the application
            derived["name"] = derived["app"]
        assert ours[2] == derived


def test_every_value_that_gunicorn_takes_is_taken_alike(both: dict[str, Any]) -> None:
    differing, used = [], set()
    for name, text, theirs, ours in both["values"]:
        if "value" not in theirs or name in APART:
            continue
        if "value" in ours:
            if ours["value"] != expected(name, theirs["value"]):
                differing.append((name, text, theirs, ours))
        else:
            entries = [
                entry
                for entry in STRICTER
                if entry.setting == name and re.search(entry.message, ours["refused"])
            ]
            used.update(entries)
            if not entries:
                differing.append((name, text, theirs, ours))
    assert differing == []
    assert set(STRICTER) - used == set()


def test_what_gunicorn_refuses_is_taken_for_a_reason(both: dict[str, Any]) -> None:
    differing, used = [], set()
    for name, text, theirs, ours in both["values"]:
        if "refused" in theirs and "value" in ours:
            kind = type(Settings.ROWS[name].default)
            entries = [entry for entry in LOOSER if kind is entry.kind and text in entry.values]
            used.update(entry.reason for entry in entries)
            if not entries:
                differing.append((name, text, theirs, ours))
    assert differing == []
    assert {entry.reason for entry in LOOSER} == used


def test_no_entry_of_the_tables_is_idle(both: dict[str, Any]) -> None:
    for entry in CODES:
        theirs, ours = both["cases"][entry.case]
        assert (theirs[0], ours[0]) == (entry.theirs, entry.ours)
        assert theirs[0] != ours[0]
    for other in OTHERWISE:
        made = [theirs[1] for theirs, _ in both["cases"].values()]
        values = [settings[other.setting] for settings in made if settings]
        values += [
            theirs["value"]
            for name, _, theirs, _ in both["values"]
            if name == other.setting and "value" in theirs
        ]
        assert any(value != other.ours(value) for value in values), other


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_name_means_the_same_application(name: str, both: dict[str, Any]) -> None:
    theirs, ours = both["applications"][name]
    if name in ("site_app:Holder.app", "site_app: app"):  # which are no names of gunicorn's
        assert theirs[0] == 1
        assert ours[2]["says"] in ("held", "app")
    else:
        assert (theirs[0] is None, theirs[2]) == (ours[0] is None, ours[2]), theirs[3] + ours[3]


@pytest.mark.skipif(not SHARED.exists(), reason="the specification is not beside the repository")
def test_the_command_lines_are_those_of_the_specification() -> None:
    lines = SHARED.read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == COMMANDS.splitlines()
