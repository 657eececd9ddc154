"""`python -m bench COMMAND`: measures fastwsgi, its peers and the physical limit, and reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench.commands import parser, peers, report
from bench.commands.report import COMMANDS
from bench.run import add_common, conduct

OTHERS = {"report": report, "parser": parser, "peers": peers}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="A measurement interrupted by Ctrl-C reports what it has and ends with 130.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        measuring = commands.add_parser(name, help=command.ABOUT, description=command.__doc__)
        command.add_arguments(measuring)
        add_common(measuring, name)
    for name, other in OTHERS.items():
        other.add_arguments(commands.add_parser(name, help=other.ABOUT, description=other.__doc__))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    name = options.command
    if name in COMMANDS:
        return conduct(name, COMMANDS[name], options)
    return int(OTHERS[name].main(options))


if __name__ == "__main__":
    sys.exit(main())
