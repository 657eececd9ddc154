"""The sdist and the wheel, built once for all these tests, and the wheel installed elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.package.checkout import ROOT, copy_checkout
from tests.support.server import environment


def run(*command: str | Path, cwd: Path) -> None:
    """A command that must succeed; its whole output in the failure when it does not."""
    result = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment({"PYTHONPATH": ""}),  # without build switches, too
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(result.args)}\n{result.stdout}"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where `python -m build` has put an sdist, and a wheel made from that sdist.

    The wheel's sources are the unpacked sdist in a temporary folder, so it shows that the sdist
    builds away from the repository.
    """
    source = tmp_path_factory.mktemp("checkout") / "fastwsgi"
    copy_checkout(source)
    target = tmp_path_factory.mktemp("dist")
    command = ["-m", "build", "--no-isolation", "--outdir", str(target), str(source)]
    run(sys.executable, *command, cwd=tmp_path_factory.mktemp("empty"))
    return target


@pytest.fixture(scope="session")
def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has nothing but pip and the wheel; no registry was asked."""
    place = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", place, cwd=ROOT)
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    run(place / "bin" / "python", *install, wheel, cwd=place)
    return place
