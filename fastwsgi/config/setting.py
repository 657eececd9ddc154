"""One setting: how a value is checked, its default, its flags and its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar, overload

from fastwsgi.config.checks import (
    addresses,
    assignments,
    certificates,
    flag,
    flag_or_yes,
    further_addresses,
    listed,
    paths_or_patterns,
    strings,
)

T = TypeVar("T")

# The flags of these rows may be given several times.
LISTS: Final = (
    addresses,
    assignments,
    certificates,
    further_addresses,
    listed,
    paths_or_patterns,
    strings,
)


class Setting(Generic[T]):
    """One row. Read on a class it is the row itself, on a `Settings` object its value.

    `check` makes the value of what a source gave, and raises ValueError or ConfigError. `default` is
    a value, or what computes it. The class it stands in says by `SECTION` where `--help` shows it.

    `bare` is what the flag says without a value: for yes and no that is True unless given; any other
    row that has one may have its flag with or without a value. `remark` is a sentence that the log
    has at the start where the value is not the default, or a function that makes one of the value,
    "" for none. `ours` marks what gunicorn has not; abbreviations of gunicorn's flags go before those
    of such a row.
    """

    __slots__ = (
        "_default",
        "_remark",
        "bare",
        "check",
        "flags",
        "metavar",
        "name",
        "ours",
        "repeated",
        "section",
        "text",
    )

    def __init__(
        self,
        check: Callable[[object], T],
        default: T | Callable[[], T],
        *flags: str,
        text: str,
        metavar: str | None = None,
        bare: object = None,
        remark: str | Callable[[T], str] = "",
        ours: bool = False,
    ) -> None:
        self.name = ""
        self.check = check
        self.flags = flags
        self.section = ""
        self.text = text
        self.metavar = metavar
        self.bare = True if self.is_flag and bare is None else bare
        self.ours = ours
        self.repeated = check in LISTS
        self._remark = remark
        self._default = default

    @property
    def default(self) -> T:
        """Computed when it is asked for where it depends on the process, as the folder does."""
        return self._default() if callable(self._default) else self._default

    @property
    def is_flag(self) -> bool:
        return self.check in (flag, flag_or_yes)

    def remark(self, value: T) -> str:
        """What the log is to say at the start of the value `value`; "" for nothing."""
        sentence = self._remark
        if callable(sentence):
            sentence = sentence(value)
        elif value == self.default:
            return ""
        return f"{self.name} = {shown(value)}: {sentence}" if sentence else ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.section = owner.__dict__["SECTION"]

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object, owner: type) -> Setting[T] | T:
        # Reached on an object only before its values stand in its __dict__, which goes first.
        return self if instance is None else self.default


def shown(value: object) -> str:
    """Strings as they are, lists of them as lists, as gunicorn prints them; the rest as Python writes it."""
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return repr(list(value))
    if callable(value) and hasattr(value, "__qualname__"):
        return f"<{value.__qualname__}()>"
    return value if isinstance(value, str) else repr(value)
