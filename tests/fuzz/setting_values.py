"""Settings from values of any kind: each is taken or refused with a ConfigError, and nothing else."""

from __future__ import annotations

import contextlib
import io
import string
from typing import Any

from hypothesis import strategies as st

from fastwsgi.config import cli
from fastwsgi.config.settings import COMMAND_LINE, Settings, check
from fastwsgi.errors import ConfigError
from tests.differential.both_parsers import VALUES

LITERALS = [eval(text) for text in VALUES if "lambda" not in text and text != "object"]
TEXT = st.one_of(
    st.text(max_size=20),
    st.text(string.digits + "+-.,:_eExXoO /KMGunix[]@%(){}s", max_size=20),
    st.sampled_from([value for value in LITERALS if isinstance(value, str)]),
)
SCALARS = st.one_of(
    TEXT,
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 70000),
    st.floats(),
    st.binary(max_size=4),
)
ANY_VALUE = st.one_of(
    SCALARS,
    st.sampled_from(LITERALS),
    st.lists(SCALARS, max_size=3),
    st.lists(SCALARS, max_size=3).map(tuple),
    st.dictionaries(TEXT, SCALARS, max_size=3),
)
FLAGS = sorted(flag for row in Settings.ROWS.values() for flag in row.flags)
WORDS = st.lists(st.one_of(st.sampled_from(FLAGS), TEXT), max_size=6)


def setting_values() -> st.SearchStrategy[tuple[str, Any]]:
    """A setting's name and a value for it, or "" and the words of a command line."""
    named = st.tuples(st.sampled_from(sorted(Settings.ROWS)), ANY_VALUE)
    return st.one_of(named, st.tuples(st.just(""), WORDS))


def check_settings(value: tuple[str, Any]) -> None:
    name, given = value
    if name:
        check_value(name, given)
    else:
        check_words(given)


def check_value(name: str, given: Any) -> None:
    with contextlib.suppress(ConfigError):
        taken = check(name, given, "a file")
        assert repr(check(name, given, "a file")) == repr(taken)  # a check has no memory
        str(Settings([("a file", {name: given})]))


def check_words(words: list[str]) -> None:
    asked = any(word.startswith(("-h", "-v", "--h", "--v")) for word in words)
    allowed = (ConfigError, SystemExit) if asked else (ConfigError,)  # --help and --version
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(*allowed):
        str(Settings([(COMMAND_LINE, cli.parse(words, "fastwsgi").values)]))
