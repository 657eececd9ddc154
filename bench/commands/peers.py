"""Installs the measured peers from PyPI into a virtual environment of their own.

Makes `.venv-bench` beside `bench` (or `--environment DIR`). Each peer is installed by itself, so that
one that does not build leaves the others usable: it then is a row of the comparison that says so.
bjoern compiles against libev (Debian: libev-dev, gcc). Flask and Django get the versions that fastwsgi
is measured with.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import venv
from pathlib import Path

from bench.programs import FOLDER, PEERS

ABOUT = "install the other servers into an environment of their own"
REQUIREMENTS = FOLDER / "peers.txt"
FRAMEWORKS = ("flask", "django")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--environment", type=Path, default=PEERS, metavar="DIR")


def requirements() -> list[str]:
    """The lines of the list, then the frameworks as they are here."""
    lines = REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")] + [
        f"{name}=={version}" for name in FRAMEWORKS if (version := installed(name))
    ]


def installed(name: str) -> str:
    """Its version in this environment, "" where it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


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


def main(options: argparse.Namespace) -> int:
    """Exit code 1 where none could be installed."""
    venv.create(options.environment, with_pip=True)
    failed = 0
    for requirement in requirements():
        complaint = install(options.environment / "bin" / "python", requirement)
        failed += bool(complaint)
        print(f"{requirement:18} {complaint or 'installed'}", flush=True)
    if failed == len(requirements()):
        print("no peer could be installed", file=sys.stderr)
        return 1
    return 0
