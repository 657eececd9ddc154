"""The images of `examples/docker`, without Docker: what their files say is read, and their commands are run.

Each image's folder is made as its COPY lines make it. Its command starts there, is asked by its own
HEALTHCHECK and ended by its own STOPSIGNAL; what a container forbids besides is S18 of tests/chaos.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.package.checkout import ROOT
from tests.support.server import COMMAND, ServerProcess, environment

IMAGES: Final = sorted((ROOT / "examples" / "docker").glob("*/Dockerfile"))
COMPOSE: Final = ROOT / "examples" / "docker" / "compose.yaml"

# https://docs.docker.com/reference/dockerfile/
KNOWN: Final = frozenset(
    {
        *(
            "ADD",
            "ARG",
            "CMD",
            "COPY",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "FROM",
            "HEALTHCHECK",
            "LABEL",
        ),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    }
)
OPTION: Final = re.compile(r"--[\w-]+(=\S+)?\s+")
PORT: Final = "8000"
GRACE: Final = 30  # seconds: the default of graceful_timeout


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile: its word, its options, and the rest of its line."""

    word: str
    options: tuple[str, ...]
    rest: str

    @property
    def words(self) -> list[str]:
        """The exec form. ValueError where it is not."""
        found: list[str] = json.loads(self.rest)
        return found


def instructions(path: Path) -> Iterator[Instruction]:
    """The instructions of a Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            options = []
            while option := OPTION.match(rest := rest.lstrip()):
                options.append(option[0].strip())
                rest = rest[option.end() :]
            yield Instruction(word, tuple(options), rest)


@dataclass(frozen=True)
class Image:
    """What the last stage of a Dockerfile says."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def last_stage(self) -> list[Instruction]:
        found = list(instructions(self.path))
        start = max(index for index, one in enumerate(found) if one.word == "FROM")
        return found[start:]

    def only(self, word: str) -> Instruction:
        """The one instruction of the last stage that begins so."""
        (found,) = [one for one in self.last_stage if one.word == word]
        return found

    @property
    def command(self) -> list[str]:
        return self.only("CMD").words

    @property
    def health_check(self) -> list[str]:
        word, _, rest = self.only("HEALTHCHECK").rest.partition(" ")
        assert word == "CMD"
        return Instruction(word, (), rest).words

    @property
    def variables(self) -> dict[str, str]:
        pairs = shlex.split(" ".join(one.rest for one in self.last_stage if one.word == "ENV"))
        return dict(pair.split("=", 1) for pair in pairs)

    def make_folder(self, folder: Path) -> None:
        """Copy to `folder`, which is to be the last WORKDIR, what the image has there."""
        for one in self.last_stage:
            if one.word == "COPY":
                *sources, target = one.rest.split()
                assert target == "./"
                for source in sources:
                    copy(ROOT / source, folder)


def copy(source: Path, folder: Path) -> None:
    """As COPY does it: of a folder, what is in it."""
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("data"))
    else:
        shutil.copy(source, folder)


@pytest.fixture(params=IMAGES, ids=lambda path: path.parent.name)
def image(request: pytest.FixtureRequest) -> Image:
    return Image(request.param)


def test_both_frameworks_have_one() -> None:
    assert [path.parent.name for path in IMAGES] == ["django", "flask"]


def test_what_it_says_is_known_and_what_it_copies_is_there(image: Image) -> None:
    found = list(instructions(image.path))
    assert {one.word for one in found} <= KNOWN
    stages = [one.rest.partition(" AS ")[2] for one in found if one.word == "FROM"]
    assert stages == ["build", ""]
    for one in found:
        if one.word == "COPY":
            *sources, _ = one.rest.split()
            assert [source for source in sources if not (ROOT / source).exists()] == []
        for origin in re.findall(r"\bfrom=(\w+)", " ".join(one.options)):
            assert origin in stages


def test_it_is_fit_for_an_orchestrator(image: Image) -> None:
    assert int(image.only("USER").rest.partition(":")[0]) > 0  # runAsNonRoot wants a number
    assert image.only("STOPSIGNAL").rest == "SIGTERM"
    assert image.only("EXPOSE").rest == PORT
    assert image.command[image.command.index("--bind") + 1] == f"0.0.0.0:{PORT}"
    assert image.variables["PYTHONUNBUFFERED"] == "1"


def test_one_word_makes_it_gunicorns(image: Image, tmp_path: Path) -> None:
    image.make_folder(tmp_path)
    word, *words = image.command
    assert word == "fastwsgi"
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--check-config", *words],
        cwd=tmp_path,
        env=environment({**image.variables, "DJANGO_DATA_DIR": str(tmp_path / "data")}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_its_command_serves_is_healthy_and_ends(image: Image, tmp_path: Path) -> None:
    image.make_folder(tmp_path)
    variables = {**image.variables, "DJANGO_DATA_DIR": str(tmp_path / "data")}
    if image.name == "django":
        migrate(tmp_path, variables)
    words = [word.replace(f"0.0.0.0:{PORT}", "127.0.0.1:0") for word in image.command[1:]]
    with ServerProcess.start(words, tmp_path, variables, command=COMMAND) as server:
        assert server.get("/")[0] == 200
        server.out.wait_for('"GET / HTTP/1.1" 200')
        assert is_healthy(image, server.port)
        server.signal(signal.Signals[image.only("STOPSIGNAL").rest])
        assert server.wait() == 0
        assert not is_healthy(image, server.port)
        assert server.out.count("/healthz") == 0


def migrate(folder: Path, variables: Mapping[str, str]) -> None:
    """Make the database as the compose file does."""
    (words,) = re.findall(r"command: \[python, (.*)\]", COMPOSE.read_text())
    command = [sys.executable, *words.split(", ")]
    subprocess.run(
        command, cwd=folder, env=environment(variables), stdout=subprocess.DEVNULL, check=True
    )


def is_healthy(image: Image, port: int) -> bool:
    """What the image's check says of the server on this port."""
    word, *words = image.health_check
    assert word == "python"
    command = [sys.executable, *(one.replace(f":{PORT}/", f":{port}/") for one in words)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_compose_names_them_and_leaves_them_time() -> None:
    text = COMPOSE.read_text()
    named = {ROOT / path for path in re.findall(r"dockerfile: (\S+)", text)}
    assert named == set(IMAGES)
    assert set(re.findall(r"context: (\S+)", text)) == {"../.."}
    assert (COMPOSE.parent / "../..").resolve() == ROOT
    assert [int(found) for found in re.findall(r"stop_grace_period: (\d+)s", text)] > [GRACE]
    # As the user of the image, in the group that owns its folders.
    users = {Image(path).only("USER").rest for path in IMAGES}
    assert set(re.findall(r'user: "(\d+):0"', text)) == users
