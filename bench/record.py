"""What a sub-command has found: written as JSON after every measurement, read again by `report`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

Value = float | bool | str | None


@dataclass(frozen=True)
class Measurement:
    """One load on one server. Times are seconds, sizes bytes."""

    server: str
    workload: str
    round: int
    figures: Mapping[str, Value]

    def __getitem__(self, name: str) -> Any:
        return self.figures[name]


@dataclass
class Record:
    """Grows while a sub-command runs; what there is is on disk after each measurement."""

    command: str
    options: dict[str, Any] = field(default_factory=dict)
    """What was asked for: `servers` and `workloads` by name, and the numbers."""
    facts: dict[str, str] = field(default_factory=dict)
    """Machine, system and method in words."""
    versions: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why a server, workload could not be measured; workload '' stands for all."""
    interrupted: bool = False
    path: Path | None = None

    def add(self, server: str, workload: str, number: int, **figures: Value) -> Measurement:
        """Another measurement, of the round `number`."""
        measurement = Measurement(server, workload, number, figures)
        self.measurements.append(measurement)
        self.save()
        return measurement

    def fail(self, server: str, workload: str, reason: str) -> None:
        self.failures[server, workload] = reason
        self.save()

    def failure(self, server: str, workload: str) -> str:
        """Why there is no figure; empty when there may be one."""
        return self.failures.get((server, "")) or self.failures.get((server, workload), "")

    def of(self, server: str, workload: str) -> list[Measurement]:
        return [m for m in self.measurements if (m.server, m.workload) == (server, workload)]

    def median(self, server: str, workload: str, figure: str) -> float | None:
        """Of all rounds; None where it was not measured."""
        values = [m[figure] for m in self.of(server, workload) if m.figures.get(figure) is not None]
        return median(values) if values else None

    @property
    def servers(self) -> list[str]:
        """Those that were asked for."""
        return list(self.options["servers"])

    @property
    def workloads(self) -> list[str]:
        """Those that were asked for."""
        return list(self.options["workloads"])

    def save(self) -> None:
        """Whole or not at all: a reader never sees half a file."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.as_json(), indent=1) + "\n")
        beside.replace(self.path)

    def as_json(self) -> dict[str, Any]:
        """Everything, for json.dumps."""
        return {
            "command": self.command,
            "options": self.options,
            "facts": self.facts,
            "versions": self.versions,
            "interrupted": self.interrupted,
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "failures": [
                {"server": server, "workload": workload, "reason": reason}
                for (server, workload), reason in self.failures.items()
            ],
        }


def load(path: Path) -> Record:
    """The record that was saved there. Raises OSError, and ValueError where it is none."""
    document = json.loads(path.read_text())
    try:
        return Record(
            command=document["command"],
            options=document["options"],
            facts=document["facts"],
            versions=document["versions"],
            measurements=[Measurement(**measured) for measured in document["measurements"]],
            failures={(f["server"], f["workload"]): f["reason"] for f in document["failures"]},
            interrupted=document["interrupted"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record of this harness: {error!r}") from error
