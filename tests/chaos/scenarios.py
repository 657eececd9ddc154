"""The scenarios by their number, and the running of one."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.chaos import (
    few_descriptors,
    full_disk,
    idle_connections,
    large_upload,
    resets,
    slow_clients,
    unread_response,
)
from tests.chaos.arena import Arena
from tests.chaos.figures import Figure

# Each has a TITLE, the sizes SHORT and LONG, and run(arena, size).
SCENARIOS: Final[Mapping[str, ModuleType]] = {
    "S9": slow_clients,
    "S10": idle_connections,
    "S11": resets,
    "S12": large_upload,
    "S13": full_disk,
    "S14": few_descriptors,
    "S15": unread_response,
}


def run(
    scenario: str, model: tuple[str, ...], form: str, say: Callable[[str], object]
) -> Iterator[Figure]:
    """The figures of a scenario in its form SHORT or LONG. Raises CannotRun."""
    module = SCENARIOS[scenario]
    with tempfile.TemporaryDirectory(prefix="fastwsgi-chaos-") as folder:
        yield from module.run(Arena(model, Path(folder), say), getattr(module, form))
