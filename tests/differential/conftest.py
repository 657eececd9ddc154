"""One stepped server for the whole room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.loop import SteppedServer

from .reading import Recorder, Subject


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """The server that all the streams are sent to, each on a connection of its own."""
    app = Recorder()
    with SteppedServer(app, tmp_path_factory.mktemp("differential")) as server:
        yield Subject(server, app)
