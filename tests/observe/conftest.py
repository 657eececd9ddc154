"""A logger of the server's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.observe.logger import Logger
from tests.support.models import MODELS, Model

Make = Callable[..., Logger]


@pytest.fixture
def make() -> Iterator[Make]:
    """What makes a logger of settings; it is closed in the end."""
    made: list[Logger] = []

    def make(kind: type[Logger] = Logger, /, **values: object) -> Logger:
        made.append(kind(Settings([("test", values)])))
        return made[-1]

    yield make
    for logger in made:
        logger.close()


@pytest.fixture(params=MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> Model:
    return cast(Model, request.param)
