"""What an application answers reaches a strict client unchanged, or nothing of it does: a 500."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.loop import SteppedServer

from .answers import BODIES, Answer, Stage, anything, check_anything, check_lawful, lawful_answers

bounded = partial(
    hypothesis.settings,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Most answers here are wrong, and each of them would be logged with its traceback."""
    caplog.set_level(logging.CRITICAL, "gunicorn.error")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage()
    with SteppedServer(made.app, tmp_path_factory.mktemp("responses")) as made.server:
        yield made


@bounded(max_examples=300)
@given(lawful_answers(), st.sampled_from(("GET", "HEAD", "POST")), st.sampled_from(("1.1", "1.0")))
def test_a_lawful_answer_arrives_unchanged(
    stage: Stage, answer: Answer, method: str, version: str
) -> None:
    check_lawful(stage, answer, method, version)


@bounded(max_examples=500)
@given(anything())
def test_any_answer_arrives_unchanged_or_not_at_all(stage: Stage, answer: Answer) -> None:
    check_anything(stage, answer)


@pytest.mark.parametrize("place", ["status", "name", "value"])
@pytest.mark.parametrize("character", [chr(n) for n in range(32) if n != 9] + ["\x7f", "\u0100"])
def test_no_control_character_reaches_the_wire(stage: Stage, place: str, character: str) -> None:
    dirty = f"a{character}b"
    answer = {
        "status": Answer(f"200 {dirty}"),
        "name": Answer(headers=[(dirty, "x")]),
        "value": Answer(headers=[("X-A", dirty)]),
    }[place]
    response = stage.ask(answer)
    assert response.status == 500
    assert response.all("X-A") == []


@bounded(max_examples=150)
@given(
    declared=st.integers(0, 40),
    body=BODIES,
    version=st.sampled_from(("1.1", "1.0")),
)
def test_a_declared_length_is_never_overrun_and_never_faked(
    stage: Stage, declared: int, body: list[bytes], version: str
) -> None:
    """wire.md 129, 130: cut at the length, or the connection ends inside the body."""
    whole = b"".join(body)
    answer = Answer(headers=[("Content-Length", str(declared))], body=body)
    response = stage.ask(answer, version=version)
    assert response.complete == (len(whole) >= declared)
    assert response.body == whole[:declared]
