"""The scenarios by their number, and the running of one."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.chaos import (
    bare_container,
    broken_reload,
    changed_clock,
    cross_talk,
    few_descriptors,
    first_process,
    full_backlog,
    full_disk,
    idle_connections,
    killed_master,
    killed_workers,
    large_upload,
    log_rotation,
    out_of_memory,
    preloading,
    reloads,
    resets,
    signal_storm,
    slow_clients,
    soak,
    stuck_workers,
    unread_response,
    upgrades,
)
from tests.chaos.arena import Arena
from tests.chaos.figures import Figure
from tests.chaos.models import MODELS
from tests.chaos.traces import Traces

# Each has a TITLE, sizes, and run(arena, size); and MODELS, where it shows little or nothing new under others.
# The sizes are SHORT, that of the tests, LONG, and LONGEST where even more says more.
SCENARIOS: Final[Mapping[str, ModuleType]] = {
    "S1": reloads,
    "S2": broken_reload,
    "S3": full_backlog,
    "S4": upgrades,
    "S5": killed_workers,
    "S6": killed_master,
    "S7": stuck_workers,
    "S8": out_of_memory,
    "S9": slow_clients,
    "S10": idle_connections,
    "S11": resets,
    "S12": large_upload,
    "S13": full_disk,
    "S14": few_descriptors,
    "S15": unread_response,
    "S16": changed_clock,
    "S17": log_rotation,
    "S18": bare_container,
    "S19": first_process,
    "S20": signal_storm,
    "S21": preloading,
    "S22": soak,
    "S25": cross_talk,
}


def run(
    scenario: str, model: tuple[str, ...], form: str, say: Callable[[str], object]
) -> Iterator[Figure]:
    """The figures of a scenario in form SHORT, LONG or LONGEST, and that of what it left. Raises CannotRun."""
    module = SCENARIOS[scenario]
    with tempfile.TemporaryDirectory(prefix="fastwsgi-chaos-") as home:
        folder, temporary = Path(home, "folder"), Path(home, "temporary")
        folder.mkdir()
        temporary.mkdir()
        traces = Traces(folder, temporary)
        yield from module.run(Arena(model, folder, temporary, say), size_of(scenario, form))
        yield traces.judge(say)


def size_of(scenario: str, form: str) -> object:
    """That of the form, or of the longest that the scenario has."""
    module = SCENARIOS[scenario]
    return getattr(module, form, module.LONG)


def models_of(scenario: str, form: str) -> tuple[str, ...]:
    """The execution models that a scenario is run under: all, or those that it names, or in short the first."""
    named: tuple[str, ...] = getattr(SCENARIOS[scenario], "MODELS", ())
    return (named[:1] if form == "SHORT" else named) or tuple(MODELS)
