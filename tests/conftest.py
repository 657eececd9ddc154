"""Fixtures for the whole suite."""

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

import pytest
from _pytest.logging import LogCaptureHandler

from fastwsgi.observe.logs import ACCESS, ALIASES, ERROR
from tests.support.builds import FREE_THREADED
from tests.support.server import ServerProcess

# What cannot run on a free-threaded build; a pattern is looked for in the name of a test.
NOT_FREE_THREADED = {
    r"^tests/contract/test_(instructions|memory|syscalls)": "counts, and this build has other figures",
    r"test_chaos.*\[S8-": "the interpreter has a gibibyte of addresses at hand, whatever RLIMIT_AS says",
}
collect_ignore = []
if importlib.util.find_spec("gevent") is None:  # there is none for each of these builds
    NOT_FREE_THREADED["gevent"] = "there is no gevent for this interpreter"
    collect_ignore += ["core/test_greenlets.py"] * FREE_THREADED


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        for pattern, reason in NOT_FREE_THREADED.items():
            if FREE_THREADED and re.search(pattern, item.nodeid):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Leave the loggers to what is tested: pytest listens at those that do not propagate, too."""
    for logger in map(logging.getLogger, (ERROR, ACCESS)):
        for handler in list(logger.handlers):
            if isinstance(handler, LogCaptureHandler):
                logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Put back what a configuration of logging changes for the whole process."""
    loggers = [logging.root, *map(logging.getLogger, (ERROR, ACCESS, *ALIASES))]
    before = [vars(logger).copy() for logger in loggers]
    handlers = [list(logger.handlers) for logger in loggers]
    yield
    for logger, state, kept in zip(loggers, before, handlers, strict=True):
        vars(logger).update(state)
        logger.handlers[:] = kept
        logger.filters.clear()
        logger._cache.clear()  # type: ignore[attr-defined]


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
