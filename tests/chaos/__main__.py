"""Runs scenarios and prints their figures; the exit code is 1 where a limit was missed.

`python -m tests.chaos [--short] [--scenario S9]… [--model inline]…`, or by `make chaos`.
"""

import argparse
import sys
import time

from tests.chaos.figures import CannotRun, Figure, table
from tests.chaos.models import MODELS
from tests.chaos.scenarios import SCENARIOS, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--short", action="store_true", help="the form that the tests run")
    wanted = parser.parse_args(arguments)
    rows: list[tuple[str, str, Figure]] = []
    for model in wanted.model or MODELS:
        for scenario in wanted.scenario or SCENARIOS:
            rows += run_one(scenario, model, "SHORT" if wanted.short else "LONG")
    print(f"\n{table(rows)}")
    return any(not figure.held for _, _, figure in rows)


def run_one(scenario: str, model: str, form: str) -> list[tuple[str, str, Figure]]:
    """The figures of one scenario under one model, told while they come."""
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {line}", flush=True)

    print(f"\n{scenario} {SCENARIOS[scenario].TITLE}, {model}", flush=True)
    rows = []
    try:
        for figure in run(scenario, MODELS[model], form, say):
            say(str(figure))
            rows.append((scenario, model, figure))
    except CannotRun as reason:
        say(f"not run: {reason}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
