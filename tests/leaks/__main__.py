"""Counts each shape in an interpreter of its own and prints what grew; the exit code is 1 where anything did.

`python -m tests.leaks [--count N] [--shape NAME]…`, or by `make leaks COUNT=100000 SHAPE=GET`.
"""

import argparse
import sys
import time

from tests.chaos.figures import Figure, table
from tests.leaks.counting import QUANTITIES, count_apart
from tests.leaks.shapes import SHAPES

MILLION = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make leaks")
    parser.add_argument("--count", type=int, default=MILLION, help="requests of each shape")
    parser.add_argument("--shape", action="append", choices=SHAPES)
    wanted = parser.parse_args(arguments)
    rows: list[tuple[str, str, Figure]] = []
    for name in wanted.shape or SHAPES:
        begin = time.monotonic()
        grown = count_apart(name, wanted.count)
        figures = [Figure(what, value, QUANTITIES[what]) for what, value in grown.items()]
        rows += [(name, f"{wanted.count:,}", figure) for figure in figures]
        told = "; ".join(str(figure) for figure in figures if figure.value or not figure.held)
        print(f"{name}: {told or 'nothing more'} [{time.monotonic() - begin:.1f} s]", flush=True)
    print("", table(rows), sep="\n")
    return any(not figure.held for _, _, figure in rows)


if __name__ == "__main__":
    sys.exit(main())
