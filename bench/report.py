"""What a comparison has found: measurements, ratios paired within a round, and the printed tables.

Machines are noisy, so no figure stands alone: a ratio is formed from two measurements of the same
round and workload, and what is reported is the median of the rounds with its smallest and largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

import servers
import workloads
from workloads import Workload

HEADINGS = ("server", "req/s", "req/CPU-s", "p50 ms", "p99 ms", "of limit", "of best peer", "note")
LIMIT = "limit"


@dataclass(frozen=True)
class Measurement:
    """One load on one server. Times are seconds; CPU time is that of all the server's processes."""

    round: int
    server: str
    workload: str
    requests: int
    seconds: float
    cpu_seconds: float
    p50: float | None
    p99: float | None
    errors: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def efficiency(self) -> float:
        return self.requests / self.cpu_seconds


@dataclass(frozen=True)
class Ratio:
    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


Figure = Callable[[Measurement], float]


@dataclass
class Report:
    """Grows while the comparison runs; may be rendered at any moment."""

    names: tuple[str, ...]
    """The servers that were asked for."""
    workloads: tuple[str, ...]
    connections: int
    facts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why a server, workload could not be measured; workload '' stands for all."""
    closing: set[tuple[str, str]] = field(default_factory=set)
    """Server, workload pairs that do not keep connections alive."""
    withholding: set[tuple[str, str]] = field(default_factory=set)
    """Server, workload pairs that send nothing until the whole answer is there."""
    interrupted: bool = False

    def failure(self, server: str, workload: str) -> str:
        """Why there is no figure; empty when there may be one."""
        return self.failures.get((server, "")) or self.failures.get((server, workload), "")

    def of(self, server: str, workload: str) -> list[Measurement]:
        return [m for m in self.measurements if (m.server, m.workload) == (server, workload)]

    def ratio(self, workload: str, server: str, other: str, figure: Figure) -> Ratio | None:
        """Of the two servers' figures, paired by round; None without a common round."""
        ideal = self.ideal(workload) if other == LIMIT else 0.0
        others = {m.round: figure(m) for m in self.of(other, workload)}
        pairs = [
            figure(m) / divisor
            for m in self.of(server, workload)
            if (divisor := ideal or others.get(m.round, 0)) > 0
        ]
        return Ratio(median(pairs), min(pairs), max(pairs)) if pairs else None

    def ideal(self, workload: str) -> float:
        """Requests per second that an application's sleep allows; 0 where it does not sleep."""
        asked = workloads.find(workload)
        at_once = min(asked.at_once or self.connections, self.connections)
        return at_once / asked.pause if asked.pause else 0.0

    def best_peer(self, workload: str, figure: Figure) -> str | None:
        """The peer with the highest median figure: one for all rounds, not the luckiest of each.

        A peer that withholds pieces does another, easier thing and is no candidate.
        """
        figures = {
            server.name: median(map(figure, measured))
            for server in servers.TABLE
            if server.peer
            and (server.name, workload) not in self.withholding
            and (measured := self.of(server.name, workload))
        }
        return max(figures, key=figures.__getitem__, default=None)

    def row(self, workload: str, server: str) -> tuple[str, ...]:
        """The cells of one server, as many as HEADINGS."""
        measured = self.of(server, workload)
        if not measured:
            reason = self.failure(server, workload) or "not measured"
            return (server, *("-",) * (len(HEADINGS) - 2), reason)
        judged, _ = kinds(workload)[0]
        best = self.best_peer(workload, judged)
        limit = server != LIMIT and self.ratio(workload, server, LIMIT, judged)
        peer = best and server != best and self.ratio(workload, server, best, judged)
        return (
            server,
            f"{median(map(rate, measured)):,.0f}",
            f"{median(map(efficiency, measured)):,.0f}",
            milliseconds([m.p50 for m in measured]),
            milliseconds([m.p99 for m in measured]),
            str(limit or "-"),
            str(peer or "-"),
            self.remark(workload, server, measured),
        )

    def remark(self, workload: str, server: str, measured: Sequence[Measurement]) -> str:
        remarks = []
        if (server, workload) in self.closing:
            remarks.append("no keep-alive")
        if (server, workload) in self.withholding:
            remarks.append("withholds pieces until the last, no peer here")
        if errors := sum(m.errors for m in measured):
            remarks.append(f"{errors} errors in {sum(m.requests for m in measured)}")
        if reason := self.failure(server, workload):
            remarks.append(f"{len(measured)} rounds, then {reason}")
        return ", ".join(remarks)

    def rows(self, workload: str) -> list[tuple[str, ...]]:
        """Those that take part, the fastest first; those without a figure last."""
        asked = workloads.find(workload)
        judged, _ = kinds(workload)[0]

        def order(name: str) -> float:
            measured = self.of(name, workload)
            return -median(map(judged, measured)) if measured else 0.0

        names = [name for name in self.names if asked.includes(servers.find(name))]
        return [self.row(workload, name) for name in sorted(names, key=order)]

    def verdict(self, workload: str) -> str:
        """fastwsgi against the limit, the best peer and whom it is wanted to reach.

        Empty when it was not measured.
        """
        asked = workloads.find(workload)
        parts = []
        for number, (figure, unit) in enumerate(kinds(workload)):
            for other in dict.fromkeys((LIMIT, self.best_peer(workload, figure), *asked.wanted)):
                ratio = other and self.ratio(workload, asked.subject, other, figure)
                if ratio:
                    parts.append(f"{ratio} x {other} {unit}")
                    if number == 0 and other in asked.wanted:
                        parts[-1] += f" (wanted: {asked.wanted[other]:g})"
        return f"{asked.subject}: " + "; ".join(parts) if parts else ""

    def shown(self) -> list[Workload]:
        """The workloads that have been begun; all that were asked for when none could be."""
        begun = {m.workload for m in self.measurements} | {key[1] for key in self.failures}
        chosen = [workload for workload in workloads.TABLE if workload.name in self.workloads]
        return [workload for workload in chosen if workload.name in begun] or chosen

    def render(self, *, markdown: bool) -> str:
        """Facts, then for each workload a table and what it says of fastwsgi."""
        lines = [f"{key}: {value}" for key, value in self.facts.items()]
        known = [f"{name} {version}" for name, version in self.versions.items() if version]
        lines.append("versions: " + ", ".join(known))
        if self.interrupted:
            lines.append("INTERRUPTED: what had been measured by then")
        if markdown:
            lines = [f"- {line}" for line in lines]
        table = markdown_table if markdown else text_table
        for workload in self.shown():
            lines += ["", f"{'### ' if markdown else ''}{workload.name}: {workload.about}"]
            lines += ["", *table([HEADINGS, *self.rows(workload.name)])]
            if verdict := self.verdict(workload.name):
                lines += ["", verdict]
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, object]:
        """Everything measured, for json.dumps."""
        return {
            "facts": self.facts,
            "versions": self.versions,
            "interrupted": self.interrupted,
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "failures": [
                {"server": server, "workload": workload, "reason": reason}
                for (server, workload), reason in self.failures.items()
            ],
            "no_keep_alive": sorted(self.closing),
            "withholding": sorted(self.withholding),
            "verdicts": {w.name: self.verdict(w.name) for w in self.shown()},
        }


def rate(measurement: Measurement) -> float:
    return measurement.rate


def efficiency(measurement: Measurement) -> float:
    return measurement.efficiency


def kinds(workload: str) -> tuple[tuple[Figure, str], ...]:
    """What servers are compared by, with its unit; by the first one they are judged."""
    per_second = (rate, "per second")
    if workloads.find(workload).pause:
        return (per_second,)
    return (efficiency, "per CPU-second"), per_second


def milliseconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known) * 1e3:.2f}" if known else "-"


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "|---" + "|---:" * (len(rows[0]) - 2) + "|---|"
    return [lines[0], rule, *lines[1:]]
