"""Fixtures of the wire tests."""

from collections.abc import Iterator
from typing import cast

import pytest

from tests.support.loop import Transport
from tests.support.models import MODELS, Model
from tests.wire.bench import Benches


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    kept = Benches(tmp_path_factory.mktemp("s"))
    yield kept
    kept.close()


@pytest.fixture(params=["tcp", "unix"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return cast(Transport, request.param)


@pytest.fixture(params=MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> Model:
    return cast(Model, request.param)
