"""What the sdist and the wheel contain and say of themselves."""

from __future__ import annotations

import configparser
import email
import tarfile
import zipfile
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest

import fastwsgi
from tests.package.checkout import ROOT

pytestmark = pytest.mark.timeout(600)  # the first of these tests waits for the build

COMPILED = sorted(path.stem for path in (ROOT / "fastwsgi").glob("*.pyx"))
PYTHON = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "fastwsgi").rglob("*.py"))


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def in_sdist(sdist: Path) -> list[str]:
    """The files of the sdist, relative to its one folder."""
    with tarfile.open(sdist) as archive:
        names = [PurePosixPath(member.name) for member in archive if member.isfile()]
    assert len({name.parts[0] for name in names}) == 1
    return [name.relative_to(name.parts[0]).as_posix() for name in names]


def in_dist_info(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (n for n in archive.namelist() if n.endswith(f".dist-info/{name}"))
        return archive.read(found).decode()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    return email.message_from_string(in_dist_info(wheel, "METADATA"))


def test_there_are_compiled_modules() -> None:
    assert {"_parser", "_environ", "_writer", "_exchange", "_http1", "_wsgi"} <= set(COMPILED)


@pytest.mark.parametrize("module", COMPILED)
def test_wheel_has_binary_surface_and_stub_of_each_module(in_wheel: list[str], module: str) -> None:
    assert f"fastwsgi/{module}.pyi" in in_wheel
    assert f"fastwsgi/{module}.pxd" in in_wheel
    binaries = [n for n in in_wheel if n.startswith(f"fastwsgi/{module}.") and n.endswith(".so")]
    assert len(binaries) == 1


def test_wheel_has_every_python_file_and_the_marker_of_types(in_wheel: list[str]) -> None:
    assert {*PYTHON, "fastwsgi/py.typed"} <= set(in_wheel)


def test_wheel_has_nothing_else(in_wheel: list[str], metadata: Message) -> None:
    tops = {name.split("/")[0] for name in in_wheel}
    assert tops == {"fastwsgi", f"fastwsgi-{metadata['Version']}.dist-info"}
    endings = {PurePosixPath(name).suffix for name in in_wheel if name.startswith("fastwsgi/")}
    assert endings <= {".py", ".pyi", ".pxd", ".pyx", ".so", ".typed"}


def test_sdist_has_all_sources_and_nothing_generated(in_sdist: list[str]) -> None:
    sources = [f"fastwsgi/{module}.{kind}" for module in COMPILED for kind in ("pyx", "pxd", "pyi")]
    needed = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "fastwsgi/py.typed"}
    assert {*sources, *PYTHON, *needed} <= set(in_sdist)
    assert [n for n in in_sdist if n.endswith((".c", ".so", ".html", ".pyc"))] == []


def test_no_mandatory_dependency(metadata: Message) -> None:
    mandatory = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert mandatory == []


def test_extras(metadata: Message) -> None:
    assert {"gevent", "test", "bench", "dev"} <= set(metadata.get_all("Provides-Extra", []))


def test_metadata(metadata: Message, wheel: Path) -> None:
    assert metadata["Name"] == "fastwsgi"
    assert metadata["Version"] == fastwsgi.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "MIT"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert in_dist_info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert (ROOT / "README.md").read_text().strip() == str(metadata.get_payload()).strip()


def test_console_script(wheel: Path) -> None:
    entries = configparser.ConfigParser()
    entries.read_string(in_dist_info(wheel, "entry_points.txt"))
    assert dict(entries["console_scripts"]) == {"fastwsgi": "fastwsgi.__main__:main"}


def test_wheel_is_for_this_interpreter_only(wheel: Path) -> None:
    assert "Root-Is-Purelib: false" in in_dist_info(wheel, "WHEEL")
