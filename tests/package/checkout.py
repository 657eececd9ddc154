"""A copy of the repository as a clean checkout would be: `python -m tests.package.checkout TARGET`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What a working tree may hold and no checkout does.
LEFT_BEHIND = shutil.ignore_patterns(
    ".*", "build", "dist", "data", "*.egg-info", "__pycache__", "*.so", "_*.c", "*.sqlite3"
)


def copy_checkout(target: Path) -> None:
    """Copies all but generated and hidden files to `target`, which must not exist."""
    shutil.copytree(ROOT, target, ignore=LEFT_BEHIND)


if __name__ == "__main__":
    copy_checkout(Path(sys.argv[1]))
