"""Each scenario in its short form, under each execution model; the long form is `make chaos`."""

from collections.abc import Callable, Iterator

import pytest

from tests.chaos import __main__ as command
from tests.chaos.figures import CannotRun, Figure
from tests.chaos.models import MODELS
from tests.chaos.scenarios import SCENARIOS, models_of, run


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
