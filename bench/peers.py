"""Installs the measured peers from PyPI into a virtual environment of their own.

`python bench/peers.py` makes `.venv-bench` beside `bench` (or `--environment DIR`). Each peer is
installed by itself, so that one that does not build leaves the others usable: it then is a row of
the comparison that says so. bjoern compiles against libev (Debian: libev-dev, gcc).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT = Path(__file__).parent.parent / ".venv-bench"
REQUIREMENTS = Path(__file__).with_name("peers.txt")


def requirements() -> list[str]:
    lines = REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def install(python: Path, requirement: str) -> str:
    """Installs one peer; returns the last line of pip's complaint, empty when there is none."""
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--upgrade", requirement],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return lines[-1].strip() if lines else f"pip ended with {done.returncode}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Install the peers of the comparison.")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, metavar="DIR")
    options = parser.parse_args(arguments)
    venv.create(options.environment, with_pip=True)
    failed = 0
    for requirement in requirements():
        complaint = install(options.environment / "bin" / "python", requirement)
        failed += bool(complaint)
        print(f"{requirement:12} {complaint or 'installed'}", flush=True)
    return failed == len(requirements())


if __name__ == "__main__":
    sys.exit(main())
