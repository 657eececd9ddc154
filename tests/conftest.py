"""Fixtures for the whole suite."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.support.server import ServerProcess


class Serve(Protocol):
    """`serve("app:app", "-b", "127.0.0.1:0", cwd=…)`: a ready server, ended with the test."""

    def __call__(
        self,
        *args: str | os.PathLike[str],
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        ready: bool = True,
    ) -> ServerProcess: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A factory of running servers. `ready=False` returns before the server listens."""
    with ExitStack() as running:

        def start(
            *args: str | os.PathLike[str],
            cwd: str | os.PathLike[str] | None = None,
            env: Mapping[str, str] | None = None,
            ready: bool = True,
        ) -> ServerProcess:
            make: Callable[..., ServerProcess] = ServerProcess.start if ready else ServerProcess
            return running.enter_context(make(args, cwd, env))

        yield start
