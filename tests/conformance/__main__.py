"""Asks all servers all cases and writes docs/conformance.md; fails where this server does not pass.

`python -m tests.conformance [--server NAME]… [--cases WORDS] [--verbose]`, or by `make conformance`. With a choice of
servers or cases the page is printed, not written.
"""

import argparse
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from tests.conformance.conversation import Verdict
from tests.conformance.page import PAGE, Row, cell, row_of, write
from tests.conformance.run import Findings, Say, ask_all
from tests.conformance.servers import Column, columns
from tests.wire.corpus import Case, load_cases

OURS = "fastwsgi"
AT_ONCE = 4  # servers that are asked side by side: they mostly wait, but not forever


def main(arguments: list[str] | None = None) -> int:
    names = [column.name for column in columns()]
    parser = argparse.ArgumentParser(prog="make conformance")
    parser.add_argument("--server", action="append", choices=names)
    parser.add_argument("--cases", default="", help="those with this in their names")
    parser.add_argument("--verbose", action="store_true", help="name what is no pass")
    options = parser.parse_args(arguments)
    cases = [case for case in load_cases() if options.cases in str(case)]
    chosen = [one for one in columns() if not options.server or one.name in options.server]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(
            zip(chosen, pool.map(lambda column: ask_column(column, cases), chosen), strict=True)
        )
    if options.verbose:
        for column, findings in answers.items():
            tell(column, findings)
    table = {
        column.name: (column.version or column.absence, cells(findings))
        for column, findings in answers.items()
    }
    imperfect = [
        finding
        for column, findings in answers.items()
        for finding in findings
        if column.name == OURS and finding.verdict is not Verdict.PASS
    ]
    page = write(table, cases)
    if options.server or options.cases:
        print(page)
    else:
        PAGE.write_text(page, "utf-8")
        print(f"written: {PAGE.name}")
    for finding in imperfect:
        print(f"{OURS} {finding.verdict.value} {finding.case}: {finding.came}", file=sys.stderr)
    return bool(imperfect)


def ask_column(column: Column, cases: list[Case]) -> Findings:
    """Asks one server; nothing where it is not there."""
    column.prepare()
    return [] if column.absence else ask_all(column, cases, teller(column))


def tell(column: Column, findings: Findings) -> None:
    """Prints what is no pass."""
    for case, verdict, came, _ in findings:
        if verdict is not Verdict.PASS:
            print(f"{column.name} {verdict.value} {case}: {came}")


def teller(column: Column) -> Say:
    """What prints how far a server has come."""
    begin = time.monotonic()

    def say(words: str) -> None:
        print(
            f"[{time.monotonic() - begin:5.1f} s] {column.name} {words}",
            file=sys.stderr,
            flush=True,
        )

    return say


def cells(findings: Findings) -> dict[Row, str]:
    """The cells of one column."""
    by_row: dict[Row, list[Verdict]] = defaultdict(list)
    for case, verdict, _, _ in findings:
        for row in row_of(case):
            by_row[row].append(verdict)
    return {row: cell(found) for row, found in by_row.items()}


if __name__ == "__main__":
    sys.exit(main())
