"""What a comparison has found: ratios paired within a round, and rows of servers.

Machines are noisy, so no figure stands alone: a ratio is formed from two measurements of the same
round and workload, and what is reported is the median of the rounds with its smallest and largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench import servers, workloads
from bench.record import Measurement, Record
from bench.tables import Bar, Bars, Table, unmeasured
from bench.workloads import BEST_PEER, Goal, Workload

HEADINGS = (
    *("server", "req/s", "req/CPU-s", "p50 ms", "p99 ms", "MiB"),
    *("of limit", "of best peer", "note"),
)
LIMIT = "limit"
Figure = Callable[[Measurement], float]


def rate(measurement: Measurement) -> float:
    """Requests per second."""
    return float(measurement["requests"] / measurement["seconds"])


def efficiency(measurement: Measurement) -> float:
    """Requests per second of the server's processor time."""
    return float(measurement["requests"] / measurement["cpu_seconds"])


@dataclass(frozen=True)
class Ratio:
    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


@dataclass(frozen=True)
class Comparison:
    """The record of a comparison, which may still grow."""

    record: Record

    def of(self, server: str, workload: str) -> list[Measurement]:
        return self.record.of(server, workload)

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
        connections = asked.connections or self.record.options["connections"]
        at_once = min(asked.at_once or connections, connections)
        return at_once / asked.pause if asked.pause else 0.0

    def best_peer(self, workload: str, figure: Figure) -> str | None:
        """The peer with the highest median figure: one for all rounds, not the luckiest of each.

        A peer that withholds pieces does another, easier thing and is no candidate.
        """
        figures = {
            server.name: median(map(figure, measured))
            for server in servers.TABLE
            if server.peer
            and (measured := self.of(server.name, workload))
            and not any(m["withholds"] for m in measured)
        }
        return max(figures, key=figures.__getitem__, default=None)

    def row(self, workload: str, server: str) -> tuple[str, ...]:
        """The cells of one server, as many as HEADINGS."""
        measured = self.of(server, workload)
        if not measured:
            return unmeasured(server, HEADINGS, self.record.failure(server, workload))
        judged, _ = kinds(workload)[0]
        best = self.best_peer(workload, judged)
        limit = server != LIMIT and self.ratio(workload, server, LIMIT, judged)
        peer = best and server != best and self.ratio(workload, server, best, judged)
        return (
            server,
            f"{median(map(rate, measured)):,.0f}",
            f"{median(map(efficiency, measured)):,.0f}",
            milliseconds([m["p50"] for m in measured]),
            milliseconds([m["p99"] for m in measured]),
            f"{median(m['memory'] for m in measured) / (1 << 20):.1f}",
            str(limit or "-"),
            str(peer or "-"),
            self.remark(workload, server, measured),
        )

    def remark(self, workload: str, server: str, measured: Sequence[Measurement]) -> str:
        remarks = []
        if not all(m["keeps_alive"] for m in measured):
            remarks.append("no keep-alive")
        if not all(m["attends"] for m in measured):
            remarks.append("one connection at a time")
        if withheld := {m["withholds"] for m in measured} - {""}:
            remarks.append(f"withholds pieces {' or '.join(sorted(withheld))}, no peer here")
        if errors := sum(m["errors"] for m in measured):
            remarks.append(f"{errors} errors in {sum(m['requests'] for m in measured)}")
        if reason := self.record.failure(server, workload):
            remarks.append(f"{len(measured)} rounds, then {reason}")
        return ", ".join(remarks)

    def ranked(self, workload: str) -> list[str]:
        """Those that take part, the fastest first; those without a figure last."""
        asked = workloads.find(workload)
        judged, _ = kinds(workload)[0]

        def order(name: str) -> float:
            measured = self.of(name, workload)
            return -median(map(judged, measured)) if measured else 0.0

        names = [name for name in self.record.servers if asked.includes(servers.find(name))]
        return sorted(names, key=order)

    def rows(self, workload: str) -> list[tuple[str, ...]]:
        return [self.row(workload, name) for name in self.ranked(workload)]

    def verdict(self, workload: str) -> str:
        """fastwsgi against the limit, the best peer and whom it is wanted to reach.

        Empty when it was not measured.
        """
        subject = workloads.find(workload).subject
        parts = []
        for number, (figure, unit) in enumerate(kinds(workload)):
            for other, goal in self.compared(workload, figure).items():
                if ratio := self.ratio(workload, subject, other, figure):
                    parts.append(f"{ratio} x {other} {unit}")
                    if number == 0 and goal is not None:
                        parts[-1] += f" (wanted: {goal.must:g})"
        return f"{subject}: " + "; ".join(parts) if parts else ""

    def compared(self, workload: str, figure: Figure) -> dict[str, Goal | None]:
        """Whom fastwsgi is compared with, and what is wanted: the limit, the best peer, and who is named."""
        wanted = dict(workloads.find(workload).wanted)
        best = self.best_peer(workload, figure)
        goal = wanted.pop(BEST_PEER, None)
        return {LIMIT: None, **({best: goal} if best else {}), **wanted}

    def shown(self) -> list[Workload]:
        """The workloads that have been begun; all that were asked for when none could be."""
        begun = {m.workload for m in self.record.measurements}
        begun |= {workload for _, workload in self.record.failures}
        chosen = [w for w in workloads.TABLE if w.name in self.record.workloads]
        return [workload for workload in chosen if workload.name in begun] or chosen

    def tables(self) -> list[Table]:
        """For each workload a table and what it says of fastwsgi."""
        return [
            Table(
                workload.name,
                f"{workload.name}: {workload.about}",
                HEADINGS,
                self.rows(workload.name),
                self.verdict(workload.name),
            )
            for workload in self.shown()
        ]

    def charts(self) -> list[Bars]:
        """The lead over the best peer in all workloads, then the servers in each."""
        charts = [self.lead(), *map(self.chart, self.shown())]
        return [chart for chart in charts if chart.bars]

    def lead(self) -> Bars:
        bars = []
        for workload in self.shown():
            judged, _ = kinds(workload.name)[0]
            best = self.best_peer(workload.name, judged)
            ratio = best and self.ratio(workload.name, workload.subject, best, judged)
            if ratio:
                bars.append(
                    Bar(
                        f"{workload.name} : {best}",
                        ratio.median,
                        f"{ratio.median:.2f} x",
                        ratio.least,
                        ratio.most,
                        ours=True,
                    )
                )
        return Bars(
            "lead",
            "fastwsgi against the best Python server of each workload",
            "times its requests per server CPU-second, or per second where the application sleeps; "
            "logarithmic, median and range of the rounds",
            bars,
            reference=1.0,
        )

    def chart(self, workload: Workload) -> Bars:
        judged, unit = kinds(workload.name)[0]
        bars = []
        for name in self.ranked(workload.name):
            if measured := self.of(name, workload.name):
                figures = [judged(m) for m in measured]
                middle = median(figures)
                bars.append(
                    Bar(
                        name,
                        middle,
                        f"{middle:,.0f}",
                        min(figures),
                        max(figures),
                        ours=servers.find(name).ours,
                    )
                )
        return Bars(
            f"compare-{workload.name}",
            workload.about,
            f"requests {unit.replace('CPU-second', 'second of server processor time')}; "
            "median and range of the rounds, more is better",
            bars,
        )


def kinds(workload: str) -> tuple[tuple[Figure, str], ...]:
    """What servers are compared by, with its unit; by the first one they are judged."""
    per_second = (rate, "per second")
    if workloads.find(workload).pause:
        return (per_second,)
    return (efficiency, "per CPU-second"), per_second


def milliseconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known) * 1e3:.2f}" if known else "-"
