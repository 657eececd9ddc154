"""Targets in Python, driven by hypothesis.

hypothesis and not atheris: what these reach is compiled by Cython or is the standard library's, so
there is little coverage for a fuzzer to follow, while strategies know what a header or a setting looks
like, and shrink what they find. It is there already and runs on every Python that the server runs on.

A value is made of Python's literals, so that what breaks can be kept as text in `regressions/`.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import strategies as st

from tests.differential.agreement import check, check_segmentation
from tests.differential.answers import Answer, Stage, anything, check_anything, check_lawful
from tests.differential.answers import lawful_answers as lawful
from tests.differential.grammar import damaged, mutated_streams, requests, streams
from tests.differential.reading import Recorder, Subject
from tests.fuzz.environs import Twice, fields
from tests.fuzz.preambles import check_preamble, preambles
from tests.fuzz.results import BUILD, Budget, Result, Say
from tests.fuzz.setting_values import check_settings, setting_values
from tests.support.loop import SteppedServer
from tests.wire.feeding import cut

BATCH: Final = 100  # examples between two looks at the clock
SAY_EVERY: Final = 10.0  # seconds
EVERYTHING: Final = list(hypothesis.HealthCheck)

Check = Callable[[Any], None]


@dataclass(frozen=True)
class Examples:
    """A strategy, and what opens the check that its values must pass."""

    name: str
    strategy: st.SearchStrategy[Any]
    opened: Callable[[], AbstractContextManager[Check]]

    def fuzz(self, budget: Budget, say: Say) -> Result:
        """Tries values until the budget is spent or one breaks the check."""
        begin = said = time.monotonic()
        tried, seed = 0, random.randrange(2**32)
        findings: list[str] = []
        with self.opened() as run, silence():
            while not findings and time.monotonic() - begin < budget.seconds:
                count = min(BATCH, (budget.executions or sys.maxsize) - tried)
                if count <= 0:
                    break
                found = broken(self.strategy, run, count, seed)
                findings = [self.keep(*found)] if found else []
                tried, seed = tried + count, seed + 1
                if time.monotonic() - said > SAY_EVERY:
                    said = time.monotonic()
                    say(f"#{tried} examples")
        return Result(self.name, tried, 0, time.monotonic() - begin, findings)

    def keep(self, value: object, complaint: str) -> str:
        """Writes what broke where it can be replayed from; returns what to say of it."""
        text = f"{value!r}\n"
        folder = BUILD / "findings" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{hashlib.sha1(text.encode(errors='backslashreplace')).hexdigest()}.txt"
        path.write_text(text, errors="backslashreplace")
        return f"{path}\n{complaint}"


def broken(
    strategy: st.SearchStrategy[Any], run: Check, count: int, seed: int
) -> tuple[object, str] | None:
    """The smallest value that `run` raised on, with the traceback; None where none did."""
    failed: list[object] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=EVERYTHING
    )
    @hypothesis.given(strategy)
    def attempt(value: object) -> None:
        try:
            run(value)
        except Exception:
            failed.append(value)
            raise

    try:
        attempt()
    except Exception:
        if not failed:
            raise
        return failed[-1], traceback.format_exc(limit=-4)
    return None


@contextmanager
def silence() -> Iterator[None]:
    """Without a log of everything that is refused."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def serving(app: Callable[..., Any], **settings: Any) -> Iterator[SteppedServer]:
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
        SteppedServer(app, Path(folder), **settings) as server,
    ):
        yield server


@contextmanager
def agreement() -> Iterator[Check]:
    """A stream, and where it is cut: we agree with h11 and llhttp, and cutting changes nothing."""
    app = Recorder()
    with serving(app) as server:
        subject = Subject(server, app)

        def run(value: tuple[bytes, list[int]]) -> None:
            stream, steps = value
            check(subject, stream)
            places = [at for at in itertools.accumulate(steps) if 0 < at < len(stream)]
            if places:
                check_segmentation(subject, cut(stream, places))

        yield run


@contextmanager
def round_trip() -> Iterator[Check]:
    """What start_response is given reaches h11 unchanged, or nothing of it does."""
    stage = Stage()
    with serving(stage.app) as stage.server:

        def run(value: tuple[Any, ...]) -> None:
            method, version, *answer = value
            if method is None:
                check_anything(stage, Answer(*answer))
            else:
                check_lawful(stage, Answer(*answer), method, version)

        yield run


@contextmanager
def environs() -> Iterator[Check]:
    app = Twice()
    with (
        serving(app) as plain,
        serving(app, real_ip="x-forwarded-for") as believing,
    ):

        def run(value: bytes) -> None:
            for server in (plain, believing):
                app.check(server, value)

        yield run


@contextmanager
def plainly(run: Check) -> Iterator[Check]:
    yield run


STREAMS: Final = st.one_of(
    streams,
    mutated_streams(),
    st.integers(0, 2**64).map(lambda seed: next(damaged(seed, 1))),
)
STEPS: Final = st.lists(st.integers(1, 40), max_size=7)
LAWFUL: Final = st.tuples(
    st.sampled_from(("GET", "HEAD", "POST")), st.sampled_from(("1.1", "1.0")), lawful()
).map(lambda made: (made[0], made[1], *astuple(made[2])))
ANYTHING: Final = anything().map(lambda answer: (None, None, *astuple(answer)))

EXAMPLES: Final = (
    Examples("requests", st.tuples(STREAMS, STEPS), agreement),
    Examples("response", st.one_of(LAWFUL, ANYTHING), round_trip),
    Examples("environ", fields(requests()), environs),
    Examples("proxy", preambles(), lambda: plainly(check_preamble)),
    Examples("settings", setting_values(), lambda: plainly(check_settings)),
)
