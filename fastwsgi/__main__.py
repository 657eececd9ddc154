"""The command `fastwsgi`, also `python -m fastwsgi`.

Its first act is to take the signals, before it loads anything: the first process of a container gets
only those it has handlers for, and a HUP that comes too early is no reason to die.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Final

PROG: Final = "fastwsgi"

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
TOO_EARLY: Final = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def main() -> None:
    """Run the command line and leave with the exit code it earned; see `run_command`."""
    for number in ENDING:
        signal.signal(number, die)
    for number in TOO_EARLY:
        signal.signal(number, pass_over)

    from fastwsgi.errors import ConfigError  # noqa: PLC0415
    from fastwsgi.process.program import run_command  # noqa: PLC0415

    try:
        code = run_command(sys.argv[1:], os.environ, PROG)
    except ConfigError as error:
        sys.stderr.write(f"{PROG}: error: {error}\n")
        code = error.exit_code
    sys.exit(code)


def die(number: int, frame: FrameType | None) -> None:
    """End as a program without handlers would; also where the kernel spares the first process."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def pass_over(number: int, frame: FrameType | None) -> None:
    """There is nothing to reload, to reopen or to count yet."""


if __name__ == "__main__":
    main()
