"""One stepped server for the whole room, and a hypothesis that finds the same examples every time."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.loop import SteppedServer

from .reading import Recorder, Subject

hypothesis.settings.register_profile(
    "differential",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("differential")


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    app = Recorder()
    with SteppedServer(app, tmp_path_factory.mktemp("differential")) as server:
        yield Subject(server, app)
