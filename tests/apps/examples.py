"""The applications of `examples/`, started as their README says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import ServerProcess, foreign_environment

EXAMPLES = Path(__file__).parents[2] / "examples"
DJANGO = EXAMPLES / "django_site"

ADMIN, PASSWORD = "admin", "correct horse battery staple"


@contextmanager
def running(
    spec: str, socket: Path, *, cwd: Path = EXAMPLES, env: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """An example on a TCP port and on the unix socket `socket`, with its access log on `out`."""
    args = [spec, "-b", "127.0.0.1:0", "-b", f"unix:{socket}", "--access-logfile", "-"]
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    with ServerProcess.start(args, cwd=cwd, env=quiet) as server:
        yield server


def django_environment(data: Path) -> dict[str, str]:
    return {"DJANGO_DATA_DIR": str(data), "PYTHONDONTWRITEBYTECODE": "1"}


def prepare_django(data: Path, environ: Mapping[str, str]) -> None:
    """Makes the database and the administrator, by Django's own commands."""
    env = {
        **environ,
        **django_environment(data),
        "DJANGO_SUPERUSER_USERNAME": ADMIN,
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "DJANGO_SUPERUSER_EMAIL": "admin@example.org",
    }
    for command in (["migrate"], ["createsuperuser"]):
        subprocess.run(
            [sys.executable, "manage.py", *command, "--no-input", "--verbosity=0"],
            cwd=DJANGO,
            env=env,
            check=True,
            timeout=60,
        )


def curl(*args: object) -> subprocess.CompletedProcess[bytes]:
    """Runs the real curl with the arguments as text; its standard output is the body."""
    command = shutil.which("curl")
    if command is None:
        pytest.skip("no curl here: apt-get install curl")
    return subprocess.run(
        [
            command,
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "30",
            *map(str, args),
        ],
        env=foreign_environment(),
        capture_output=True,
        check=True,
        timeout=40,
    )
