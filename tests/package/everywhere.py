"""Runs the suite on every CPython from 3.10 that this machine has: `make test-all`.

Interpreters are looked for on PATH and among those that pyenv has installed; of each version the
first one found counts. Each gets a virtual environment of its own, `.venv-all/<tag>`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.package.checkout import ROOT

OLDEST = (3, 10)
ENVIRONMENTS = ROOT / ".venv-all"

# The ABI tag tells versions, implementations and free-threaded builds apart.
QUESTION = """
import sys, sysconfig
print(sys.implementation.name, *sys.version_info[:2], sysconfig.get_config_var("SOABI"), sep="\\n")
"""


def candidates() -> Iterator[Path]:
    """Programs that may be an interpreter, those on PATH first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    # A shim of pyenv's is no interpreter: it starts whichever one is selected.
    folders = [folder for folder in folders if folder != pyenv / "shims"]
    for folder in [*folders, *sorted(pyenv.glob("versions/*/bin"))]:
        yield from sorted(folder.glob("python3"))
        yield from sorted(folder.glob("python3.[0-9]*"))


def tag(program: Path) -> str | None:
    """The ABI tag of a CPython that is not too old and can make environments; None for others."""
    try:
        result = subprocess.run(
            [program, "-c", QUESTION + "import venv, ensurepip"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name, major, minor, abi = result.stdout.split()
    suits = name == "cpython" and (int(major), int(minor)) >= OLDEST
    return abi if suits else None


def interpreters() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for program in candidates():
        if (abi := tag(program)) is not None:
            found.setdefault(abi, program)
    return found


def passes(program: Path, abi: str, tests: Sequence[str]) -> bool:
    place = ENVIRONMENTS / abi
    python = place / "bin" / "python"
    commands: list[list[str | Path]] = [
        [program, "-m", "venv", place],
        [python, "-m", "pip", "install", "--quiet", "--editable", ".[test]"],
        [python, "-m", "pytest", *tests],
    ]
    return all(
        subprocess.run(command, cwd=ROOT, check=False).returncode == 0 for command in commands
    )


def main(tests: Sequence[str]) -> int:
    found = interpreters()
    if not found:
        sys.exit("there is no CPython from 3.10 with venv on PATH, nor in pyenv")
    results = {}
    for abi, program in sorted(found.items()):
        print(f"== {abi}: {program}", flush=True)
        results[abi] = passes(program, abi, tests)
    for abi, passed in results.items():
        print(f"{abi}: {'passed' if passed else 'FAILED'}")
    return not all(results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
