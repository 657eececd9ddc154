"""The project's goals beside what was last recorded: a row each, which says whether it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import budget, servers, workloads
from bench.comparison import Comparison, kinds
from bench.record import Record
from bench.tables import Table, bytes_text
from bench.workloads import BEST_PEER, Goal, Workload

HEADINGS = ("workload", "compared with", "must", "aim", "found", "verdict")
OURS = "fastwsgi"
Records = Mapping[str, Record]
"""What was recorded, by the name of the sub-command."""
INSTRUCTIONS = {
    "hello": Goal(budget.PROMISED["hello"], 6_000),
    "browser": Goal(budget.PROMISED["browser"], 13_000),
}
CONNECTION = Goal(1024, 400)  # bytes
WORKER = 2 << 20  # bytes that a worker may have beyond the smallest of the peers'
START = 0.1  # seconds to the first answer; gunicorn's must not be exceeded
MODELS = ("fastwsgi", "fastwsgi-threads")


@dataclass(frozen=True)
class Row:
    what: str
    other: str
    must: str
    aim: str
    found: str
    verdict: str = "not measured"

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.what, self.other, self.must, self.aim, self.found, self.verdict)


def table(records: Records) -> Table:
    """Every goal in the order of the workloads, then instructions, memory and start."""
    rows = [*ratios(records), *instructions(records), *memory(records), *start(records)]
    missed = sum(row.verdict == "missed" for row in rows)
    unknown = sum(row.verdict == "not measured" for row in rows)
    aims = sum(row.verdict == "aim reached" for row in rows)
    note = (
        f"{len(rows)} goals: {len(rows) - missed - unknown} reached, {aims} of them with their aim; "
        f"{missed} missed, {unknown} not measured."
    )
    return Table("goals", "Goals", HEADINGS, [row.cells for row in rows], note)


def judged(found: float | None, must: float, aim: float | None, *, least: bool = True) -> str:
    """Whether it is reached; `least` says that more is better, otherwise less is."""
    if found is None:
        return "not measured"
    sign = 1 if least else -1
    if sign * found < sign * must:
        return "missed"
    return "aim reached" if aim is not None and sign * found >= sign * aim else "reached"


def ratios(records: Records) -> Iterator[Row]:
    """What the workloads want, from `compare`: a row for each of those that are named."""
    record = records.get("compare", Record("compare", {"servers": [], "connections": 64}))
    for workload in workloads.TABLE:
        for other, goal in workload.wanted.items():
            yield ratio(Comparison(record), workload, other, goal)


def ratio(comparison: Comparison, workload: Workload, other: str, goal: Goal) -> Row:
    figure, unit = kinds(workload.name)[0]
    name = comparison.best_peer(workload.name, figure) if other == BEST_PEER else other
    found = name and comparison.ratio(workload.name, workload.subject, name, figure)
    return Row(
        workload.name,
        f"{other}, {name}" if other == BEST_PEER and name else other,
        f"≥ {goal.must:.2f} x",
        f"{goal.aim:.2f} x" if goal.aim else "-",
        f"{found} {unit}" if found else "-",
        judged(round(found.median, 2) if found else None, goal.must, goal.aim),
    )


def instructions(records: Records) -> Iterator[Row]:
    record = records.get("instructions")
    for name, goal in INSTRUCTIONS.items():
        found = record and record.median(OURS, name, "instructions")
        yield Row(
            f"instructions, {name}",
            "",
            f"≤ {goal.must:,.0f}",
            f"{goal.aim:,.0f}",
            f"{found:,.0f}" if found else "-",
            judged(found or None, goal.must, goal.aim, least=False),
        )


def memory(records: Records) -> Iterator[Row]:
    """From `connections`: of an idle connection, and of a worker beside the smallest of the peers'."""
    record = records.get("connections", Record("connections"))
    for name in MODELS:
        each = record.median(name, "hello", "each")
        yield Row(
            f"idle connection, {name}",
            "",
            f"≤ {bytes_text(CONNECTION.must)}",
            bytes_text(CONNECTION.aim),
            bytes_text(each),
            judged(each, CONNECTION.must, CONNECTION.aim, least=False),
        )
    of_peers = {
        server.name: worker
        for server in servers.TABLE
        if server.peer and (worker := record.median(server.name, "hello", "worker"))
    }
    smallest = min(of_peers, key=of_peers.__getitem__, default=None)
    worker = record.median(OURS, "hello", "worker")
    most = of_peers[smallest] + WORKER if smallest else None
    yield Row(
        "memory of a worker",
        f"smallest peer, {smallest}" if smallest else "smallest peer",
        f"≤ {bytes_text(most)}" if most else f"≤ it + {bytes_text(WORKER)}",
        "-",
        bytes_text(worker),
        judged(worker, most, None, least=False) if most else "not measured",
    )


def start(records: Records) -> Iterator[Row]:
    record = records.get("start", Record("start"))
    ours, theirs = (record.median(name, "hello", "answer") for name in (OURS, "gunicorn-sync"))
    yield Row(
        "start to the first answer",
        "gunicorn-sync",
        f"≤ {theirs:.3f} s" if theirs else "≤ its",
        f"{START:.3f} s",
        f"{ours:.3f} s" if ours else "-",
        judged(ours, theirs, START, least=False) if theirs else "not measured",
    )
