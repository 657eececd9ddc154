"""Runs scenarios and prints their figures; the exit code is 1 where a limit was missed.

`python -m tests.chaos [--short | --longest] [--scenario S9]… [--model inline]… [--markdown PAGE]`, or by `make chaos`.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import page
from tests.chaos.figures import CannotRun, Figure, table
from tests.chaos.models import MODELS
from tests.chaos.scenarios import SCENARIOS, models_of, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--model", action="append", choices=MODELS)
    forms = parser.add_mutually_exclusive_group()
    for form, about in (
        ("SHORT", "the form that the tests run"),
        ("LONGEST", "ten million requests"),
    ):
        forms.add_argument(
            f"--{form.lower()}", dest="form", action="store_const", const=form, help=about
        )
    parser.set_defaults(form="LONG")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="put the figures there, too")
    wanted = parser.parse_args(arguments)
    rows: list[tuple[str, str, Figure]] = []
    left_out: list[str] = []
    for model in wanted.model or MODELS:
        for scenario in wanted.scenario or SCENARIOS:
            if model in models_of(scenario, wanted.form):
                new: list[tuple[str, str, Figure]] = []
                try:
                    new.extend(run_one(scenario, model, wanted.form))
                    passed = all(figure.held for _, _, figure in new)
                    print(f"{scenario} under {model}: {'pass' if passed else 'FAIL'}", flush=True)
                except CannotRun as reason:
                    left_out.append(f"{scenario} under {model} was not run: {reason}")
                rows += new
                if wanted.markdown:
                    page.write(wanted.markdown, new)
    print("", table(rows), *left_out, sep="\n")
    return any(not figure.held for _, _, figure in rows)


def run_one(scenario: str, model: str, form: str) -> Iterator[tuple[str, str, Figure]]:
    """The figures of one scenario under one model, told while they come. Raises CannotRun."""
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {line}", flush=True)

    print(f"\n{scenario} {SCENARIOS[scenario].TITLE}, {model}", flush=True)
    for figure in run(scenario, MODELS[model], form, say):
        say(str(figure))
        yield scenario, model, figure


if __name__ == "__main__":
    sys.exit(main())
