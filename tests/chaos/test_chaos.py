"""Each scenario in its short form, under each execution model; the long form is `make chaos`."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from tests.chaos import __main__ as command
from tests.chaos import page, traces
from tests.chaos.arena import Arena
from tests.chaos.figures import CannotRun, Figure
from tests.chaos.models import MODELS
from tests.chaos.scenarios import SCENARIOS, models_of, run
from tests.support.server import wait_gone

FIGURE: Final = Figure("figure", 0, 0)


@pytest.mark.parametrize(
    ("scenario", "model"),
    [(scenario, model) for scenario in SCENARIOS for model in models_of(scenario, "SHORT")],
)
def test_limits_hold(scenario: str, model: str) -> None:
    missed = []
    try:
        for figure in run(scenario, MODELS[model], "SHORT", print):
            print(figure)
            missed += [] if figure.held else [str(figure)]
    except CannotRun as reason:
        if not missed:  # by what was run of it
            pytest.skip(str(reason))
    assert missed == []


@pytest.mark.parametrize(("value", "code"), [(2.0, 0), (2.5, 1)])
def test_a_missed_limit_is_shown_and_is_the_exit_code(
    value: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(*_: object) -> Iterator[Figure]:
        yield Figure("patience", value, 2, "s")

    monkeypatch.setattr(command, "run", fake)
    assert command.main(["--scenario", "S9", "--model", "inline"]) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == [
        "S9",
        "inline",
        "patience",
        f"{value:.3g}",
        "2",
        "s",
        *["MISSED"] * code,
    ]


def test_what_this_machine_cannot_run_is_said_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(_name: str, _model: object, _form: str, say: Callable[[str], object]) -> list[Figure]:
        raise CannotRun("no mounting here")

    monkeypatch.setattr(command, "run", fake)
    assert command.main(["--scenario", "S13", "--model", "inline"]) == 0
    assert "S13 under inline was not run: no mounting here" in capsys.readouterr().out


def test_what_a_scenario_leaves_is_counted_and_ended(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    left: list[socket.socket] = []

    def leave_everything(arena: Arena, _: object) -> Iterator[Figure]:
        (arena.temporary / "file").touch()
        left.append(socket.create_server(("127.0.0.1", 0)))
        environ = {"CHAOS_FOLDER": str(arena.folder)}
        orphan = ["/bin/sh", "-c", "/bin/sleep 60 >&- 2>&- & echo $!"]
        subprocess.run(orphan, env=environ, check=True)
        yield Figure("figures", 0, 0)

    fake = SimpleNamespace(TITLE="", SHORT=None, LONG=None, run=leave_everything)
    monkeypatch.setitem(cast(dict[str, Any], SCENARIOS), "S9", fake)
    monkeypatch.setattr(traces, "PATIENCE", 0.1)
    said: list[str] = []
    *_, figure = run("S9", (), "SHORT", said.append)
    left[0].close()
    assert figure == Figure("processes, files and sockets left", 3, 0)
    assert [line.split()[1] for line in said] == ["process", "file", "the"]
    wait_gone(int(capfd.readouterr().out))


def test_the_page_keeps_the_rows_of_what_was_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.md"
    page.write(path, [("S22", "inline", Figure("growth", 2, 1, "B")), ("S9", "inline", FIGURE)])
    page.write(path, [("S22", "inline", Figure("growth", 0.5, 1, "B")), ("S22", "gevent", FIGURE)])
    assert path.read_text().splitlines()[-3:] == [
        "| S9 slow clients | inline | figure | 0 | 0 | held |",
        "| S22 a soak | gevent | figure | 0 | 0 | held |",
        "| S22 a soak | inline | growth | 0.5 B | 1 B | held |",
    ]
    monkeypatch.setattr(page, "facts", lambda: "- machine: another")
    page.write(path, [("S1", "inline", FIGURE)])
    assert path.read_text().count("\n| S") == 1


def test_the_page_names_the_versions_of_what_is_here() -> None:
    assert page.version("fastwsgi").startswith("fastwsgi 0.")
    assert page.version("no-such-distribution") == ""
