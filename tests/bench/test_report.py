from __future__ import annotations

import json

import pytest
import report
import workloads
from report import HEADINGS, Measurement, Report


def measured(number: int, server: str, efficiency: float, workload: str = "hello") -> Measurement:
    """One CPU-second of a load that took two seconds."""
    return Measurement(number, server, workload, int(efficiency), 2.0, 1.0, 0.001, 0.0025, 0)


@pytest.fixture
def filled() -> Report:
    """Three rounds on a machine that halves its speed in the second."""
    found = Report(("limit", "fastwsgi", "bjoern", "granian", "waitress"), workloads.NAMES, 64)
    rounds = {
        "limit": (100_000, 50_000, 110_000),
        "fastwsgi": (90_000, 40_000, 88_000),
        "bjoern": (60_000, 30_000, 44_000),
        "granian": (10_000, 70_000, 10_000),
    }
    for server, figures in rounds.items():
        for number, figure in enumerate(figures):
            found.measurements.append(measured(number, server, figure))
    found.failures["waitress", ""] = "not installed: run `make bench-peers`"
    return found


def test_ratios_are_paired_by_round(filled: Report) -> None:
    ratio = filled.ratio("hello", "fastwsgi", "limit", report.efficiency)
    assert str(ratio) == "0.80 (0.80-0.90)"
    assert filled.ratio("hello", "fastwsgi", "waitress", report.efficiency) is None


def test_rounds_without_a_partner_do_not_count(filled: Report) -> None:
    filled.measurements.append(measured(3, "fastwsgi", 1.0))
    ratio = filled.ratio("hello", "fastwsgi", "limit", report.efficiency)
    assert ratio is not None
    assert ratio.least == 0.8


def test_best_peer_is_that_of_the_median_not_of_the_luckiest_round(filled: Report) -> None:
    assert filled.best_peer("hello", report.efficiency) == "bjoern"
    assert filled.best_peer("post", report.efficiency) is None


def test_a_peer_that_withholds_pieces_is_no_candidate(filled: Report) -> None:
    filled.withholding.add(("bjoern", "hello"))
    assert filled.best_peer("hello", report.efficiency) == "granian"
    assert "withholds pieces" in filled.row("hello", "bjoern")[-1]


def test_rows(filled: Report) -> None:
    rows = {row[0]: row[1:] for row in filled.rows("hello")}
    assert list(rows) == ["limit", "fastwsgi", "bjoern", "granian", "waitress"]
    assert rows["fastwsgi"] == (
        *("44,000", "88,000", "1.00", "2.50"),
        *("0.80 (0.80-0.90)", "1.50 (1.33-2.00)", ""),
    )
    assert rows["limit"][4] == "-"
    assert rows["bjoern"][5] == "-"
    assert rows["waitress"] == (*"------", "not installed: run `make bench-peers`")
    assert {len(row) + 1 for row in rows.values()} == {len(HEADINGS)}


def test_verdict(filled: Report) -> None:
    assert filled.verdict("hello").startswith(
        "fastwsgi: 0.80 (0.80-0.90) x limit per CPU-second; "
        "1.50 (1.33-2.00) x bjoern per CPU-second; "
    )
    assert filled.verdict("post") == ""


@pytest.fixture
def models() -> Report:
    """Two rounds of servers of two models; the second round is twice as slow."""
    names = ("limit", "fastwsgi", "fastwsgi-threads", "granian-threads", "gunicorn-threads")
    found = Report(names, workloads.NAMES, 64)
    for number, speed in enumerate((1.0, 0.5)):
        for name, figure in zip(names, (100_000, 90_000, 80_000, 40_000, 4_000), strict=True):
            found.measurements.append(measured(number, name, figure * speed, "threads-hello"))
    return found


def test_only_servers_that_take_part_are_rows(models: Report) -> None:
    assert [row[0] for row in models.rows("threads-sleep10")] == list(models.names[2:])
    assert [row[0] for row in models.rows("threads-hello")] == list(models.names)
    assert [row[0] for row in models.rows("hello")] == ["limit", "fastwsgi"]


def test_verdict_says_what_is_wanted(models: Report) -> None:
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
    assert Report((), (), connections).ideal(workload) == pytest.approx(ideal)


def test_a_sleeping_application_is_judged_by_requests_per_second(models: Report) -> None:
    """The stand-ins' CPU-seconds differ as much as their figures; their seconds are two."""
    for name, requests in (("fastwsgi-threads", 1520), ("granian-threads", 1600)):
        models.measurements.append(
            Measurement(0, name, "threads-sleep10", requests, 2.0, 1 / requests, None, None, 0)
        )
    assert models.verdict("threads-sleep10") == (
        "fastwsgi-threads: 0.95 (0.95-0.95) x limit per second (wanted: 0.95); "
        "0.95 (0.95-0.95) x granian-threads per second"
    )
    rows = models.rows("threads-sleep10")
    assert [row[0] for row in rows[:2]] == ["granian-threads", "fastwsgi-threads"]
    assert rows[1][5:7] == ("0.95 (0.95-0.95)", "0.95 (0.95-0.95)")


def test_remarks(filled: Report) -> None:
    filled.closing.add(("bjoern", "hello"))
    filled.measurements.append(
        Measurement(3, "bjoern", "hello", 6_000, 2.0, 1.0, None, None, errors=7)
    )
    filled.failures["bjoern", "hello"] = "ended with -11: no message"
    remark = filled.row("hello", "bjoern")[-1]
    assert remark == (
        "no keep-alive, 7 errors in 140000, 4 rounds, then ended with -11: no message"
    )


@pytest.mark.parametrize("markdown", [False, True])
def test_rendering(filled: Report, markdown: bool) -> None:
    filled.interrupted = True
    text = filled.render(markdown=markdown)
    assert "hello: bare GET" in text
    assert "INTERRUPTED" in text
    assert "browser" not in text
    assert ("| fastwsgi | 44,000 |" in text) == markdown
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == ({len(HEADINGS) + 1} if markdown else set())


def test_a_server_that_fails_everywhere_is_a_row_of_every_table(filled: Report) -> None:
    filled.measurements.append(measured(0, "limit", 1.0, "post"))
    assert filled.render(markdown=False).count("not installed") == 2


def test_nothing_could_be_measured() -> None:
    empty = Report(("waitress",), ("hello", "post"), 64)
    empty.failures["waitress", ""] = "not installed"
    assert empty.render(markdown=False).count("not installed") == 2


def test_json(filled: Report) -> None:
    document = json.loads(json.dumps(filled.as_json()))
    assert len(document["measurements"]) == 12
    assert document["measurements"][0]["cpu_seconds"] == 1.0
    assert document["failures"] == [
        {
            "server": "waitress",
            "workload": "",
            "reason": "not installed: run `make bench-peers`",
        }
    ]
    assert document["verdicts"]["hello"] == filled.verdict("hello")
