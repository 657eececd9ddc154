"""All targets by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from tests.fuzz.examples import EXAMPLES
from tests.fuzz.native import NATIVE
from tests.fuzz.results import Budget, Result, Say


class Target(Protocol):
    """Something that can be fuzzed: `fuzz` raises CannotRun where it cannot here."""

    @property
    def name(self) -> str: ...

    def fuzz(self, budget: Budget, say: Say) -> Result: ...


TARGETS: Final[Mapping[str, Target]] = {target.name: target for target in (*NATIVE, *EXAMPLES)}
