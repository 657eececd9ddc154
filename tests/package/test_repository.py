"""The form of the repository."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.package.checkout import ROOT

TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "bench",
    "docs",
    "examples",
    "fastwsgi",
    "pyproject.toml",
    "setup.py",
    "tests",
}


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def test_top_level(tracked: list[str]) -> None:
    assert {name.split("/")[0] for name in tracked} == TOP_LEVEL


def test_nothing_generated_is_committed(tracked: list[str]) -> None:
    generated = (".so", ".pyc", ".sqlite3", ".egg-info", ".whl", ".tar.gz")
    assert [name for name in tracked if name.endswith(generated)] == []
    assert [n for n in tracked if n.endswith(".c") and n.startswith("fastwsgi/")] == []


def test_setup_stays_small() -> None:
    assert len((ROOT / "setup.py").read_text().splitlines()) <= 80


def test_ci_ends_with_the_test_command_of_the_readme() -> None:
    assert "```sh\nmake test\n```" in (ROOT / "README.md").read_text()
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in commands if line.startswith("make ")][-1].startswith("make test ")
