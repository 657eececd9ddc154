"""A logger of the server's own, and the loggers of the process as they were."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from _pytest.logging import LogCaptureHandler

from fastwsgi.config.settings import Settings
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import ACCESS, ALIASES, ERROR

Make = Callable[..., Logger]


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
