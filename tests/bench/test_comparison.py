from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench import workloads
from bench.commands import compare
from bench.comparison import HEADINGS, Comparison, efficiency
from bench.record import Measurement, Record
from bench.run import rendered


def measured(
    number: int, server: str, efficiency: float, workload: str = "hello", **changes: object
) -> Measurement:
    """One CPU-second of a load that took two seconds."""
    figures = {"requests": int(efficiency), "seconds": 2.0, "cpu_seconds": 1.0}
    figures |= {"p50": 0.001, "p99": 0.0025, "errors": 0, "memory": 3 << 20, "said": 0}
    figures |= {"keeps_alive": True, "withholds": "", "attends": True}
    return Measurement(server, workload, number, {**figures, **changes})  # type: ignore[dict-item]


def comparison(names: Sequence[str], chosen: Sequence[str] = workloads.NAMES) -> Comparison:
    options = {"servers": list(names), "workloads": list(chosen), "connections": 64}
    return Comparison(Record("compare", options))


@pytest.fixture
def filled() -> Comparison:
    """Three rounds on a machine that halves its speed in the second."""
    found = comparison(("limit", "fastwsgi", "bjoern", "granian", "waitress"))
    rounds = {
        "limit": (100_000, 50_000, 110_000),
        "fastwsgi": (90_000, 40_000, 88_000),
        "bjoern": (60_000, 30_000, 44_000),
        "granian": (10_000, 70_000, 10_000),
    }
    for server, figures in rounds.items():
        for number, figure in enumerate(figures):
            found.record.measurements.append(measured(number, server, figure))
    found.record.failures["waitress", ""] = "not installed: run `make bench-peers`"
    return found


def test_ratios_are_paired_by_round(filled: Comparison) -> None:
    ratio = filled.ratio("hello", "fastwsgi", "limit", efficiency)
    assert str(ratio) == "0.80 (0.80-0.90)"
    assert filled.ratio("hello", "fastwsgi", "waitress", efficiency) is None


def test_rounds_without_a_partner_do_not_count(filled: Comparison) -> None:
    filled.record.measurements.append(measured(3, "fastwsgi", 1.0))
    ratio = filled.ratio("hello", "fastwsgi", "limit", efficiency)
    assert ratio is not None
    assert ratio.least == 0.8


def test_best_peer_is_that_of_the_median_not_of_the_luckiest_round(filled: Comparison) -> None:
    assert filled.best_peer("hello", efficiency) == "bjoern"
    assert filled.best_peer("post", efficiency) is None


def test_a_peer_that_withholds_pieces_is_no_candidate(filled: Comparison) -> None:
    filled.record.measurements.append(measured(3, "bjoern", 50_000, withholds="until the last"))
    assert filled.best_peer("hello", efficiency) == "granian"
    assert "withholds pieces until the last" in filled.row("hello", "bjoern")[-1]


def test_rows(filled: Comparison) -> None:
    rows = {row[0]: row[1:] for row in filled.rows("hello")}
    assert list(rows) == ["limit", "fastwsgi", "bjoern", "granian", "waitress"]
    assert rows["fastwsgi"] == (
        *("44,000", "88,000", "1.00", "2.50", "3.0"),
        *("0.80 (0.80-0.90)", "1.50 (1.33-2.00)", ""),
    )
    assert rows["limit"][5] == "-"
    assert rows["bjoern"][6] == "-"
    assert rows["waitress"] == (*"-------", "not installed: run `make bench-peers`")
    assert {len(row) + 1 for row in rows.values()} == {len(HEADINGS)}


def test_verdict(filled: Comparison) -> None:
    assert filled.verdict("hello").startswith(
        "fastwsgi: 0.80 (0.80-0.90) x limit per CPU-second (wanted: 0.8); "
        "1.50 (1.33-2.00) x bjoern per CPU-second (wanted: 1.3); "
    )
    assert filled.verdict("post") == ""


@pytest.fixture
def models() -> Comparison:
    """Two rounds of servers of two models; the second round is twice as slow."""
    names = ("limit", "fastwsgi", "fastwsgi-threads", "granian-threads", "gunicorn-threads")
    found = comparison(names)
    for number, speed in enumerate((1.0, 0.5)):
        for name, figure in zip(names, (100_000, 90_000, 80_000, 40_000, 4_000), strict=True):
            found.record.measurements.append(
                measured(number, name, figure * speed, "threads-hello")
            )
    return found


def test_only_servers_that_take_part_are_rows(models: Comparison) -> None:
    assert [row[0] for row in models.rows("threads-sleep10")] == models.record.servers[2:]
    assert [row[0] for row in models.rows("threads-hello")] == models.record.servers
    assert [row[0] for row in models.rows("hello")] == ["limit", "fastwsgi"]


def test_verdict_says_what_is_wanted(models: Comparison) -> None:
    per_cpu_second = models.verdict("threads-hello").split("; ")[:4]
    assert per_cpu_second == [
        "fastwsgi-threads: 0.80 (0.80-0.80) x limit per CPU-second",
        "2.00 (2.00-2.00) x granian-threads per CPU-second (wanted: 1.5)",
        "20.00 (20.00-20.00) x gunicorn-threads per CPU-second (wanted: 18)",
        "0.89 (0.89-0.89) x fastwsgi per CPU-second (wanted: 0.8)",
    ]


@pytest.mark.parametrize(
    ("workload", "connections", "ideal"),
    [
        ("threads-sleep10", 64, 800.0),
        ("threads-sleep10", 4, 400.0),
        ("gevent-sleep10", 64, 6400.0),
        ("hello", 64, 0.0),
    ],
)
def test_ideal(workload: str, connections: int, ideal: float) -> None:
    found = comparison(())
    found.record.options["connections"] = connections
    assert found.ideal(workload) == pytest.approx(ideal)


def test_a_sleeping_application_is_judged_by_requests_per_second(models: Comparison) -> None:
    """The stand-ins' CPU-seconds differ as much as their figures; their seconds are two."""
    for name, requests in (("fastwsgi-threads", 1520), ("granian-threads", 1600)):
        models.record.measurements.append(
            measured(0, name, requests, "threads-sleep10", cpu_seconds=1 / requests)
        )
    assert models.verdict("threads-sleep10") == (
        "fastwsgi-threads: 0.95 (0.95-0.95) x limit per second (wanted: 0.95); "
        "0.95 (0.95-0.95) x granian-threads per second (wanted: 1)"
    )
    rows = models.rows("threads-sleep10")
    assert [row[0] for row in rows[:2]] == ["granian-threads", "fastwsgi-threads"]
    assert rows[1][6:8] == ("0.95 (0.95-0.95)", "0.95 (0.95-0.95)")


def test_remarks(filled: Comparison) -> None:
    filled.record.measurements.append(
        measured(3, "bjoern", 6_000, errors=7, keeps_alive=False, attends=False, p50=None)
    )
    filled.record.failures["bjoern", "hello"] = "ended with -11: no message"
    remark = filled.row("hello", "bjoern")[-1]
    assert remark == (
        "no keep-alive, one connection at a time, 7 errors in 140000, 4 rounds, then ended with -11: no message"
    )


@pytest.mark.parametrize("markdown", [False, True])
def test_rendering(filled: Comparison, markdown: bool) -> None:
    filled.record.interrupted = True
    text = rendered(compare, filled.record, markdown=markdown)
    assert "hello: bare GET" in text
    assert "INTERRUPTED" in text
    assert "browser" not in text
    assert ("| fastwsgi | 44,000 |" in text) == markdown
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == ({len(HEADINGS) + 1} if markdown else set())


def test_a_server_that_fails_everywhere_is_a_row_of_every_table(filled: Comparison) -> None:
    filled.record.measurements.append(measured(0, "limit", 1.0, "post"))
    assert rendered(compare, filled.record, markdown=False).count("not installed") == 2


def test_nothing_could_be_measured() -> None:
    empty = comparison(("waitress",), ("hello", "post")).record
    empty.failures["waitress", ""] = "not installed"
    assert rendered(compare, empty, markdown=False).count("not installed") == 2


def test_charts_have_the_best_on_top_and_ours_marked(filled: Comparison) -> None:
    lead, hello = filled.charts()
    assert [(bar.label, bar.text) for bar in lead.bars] == [("hello : bjoern", "1.50 x")]
    assert [bar.label for bar in hello.bars] == ["limit", "fastwsgi", "bjoern", "granian"]
    assert [bar.label for bar in hello.bars if bar.ours] == ["fastwsgi"]
    assert (hello.bars[1].least, hello.bars[1].most) == (40_000, 90_000)
