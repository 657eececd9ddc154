"""The command `fastwsgi`, also `python -m fastwsgi`."""

from __future__ import annotations

import os
import sys

from fastwsgi.errors import ConfigError
from fastwsgi.process.program import run_command

PROG = "fastwsgi"


def main() -> None:
    """Run the command line and leave with the exit code it earned; see `run_command`."""
    try:
        code = run_command(sys.argv[1:], os.environ, PROG)
    except ConfigError as error:
        sys.stderr.write(f"{PROG}: error: {error}\n")
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
