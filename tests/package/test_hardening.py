"""What the compiled modules of the wheel are linked and compiled with, read by readelf (of binutils, as gcc)."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.package.checkout import ROOT

pytestmark = pytest.mark.timeout(600)  # the first of these tests waits for the build

COMPILED = sorted(path.stem for path in (ROOT / "fastwsgi").glob("*.pyx"))


@pytest.fixture(scope="module")
def modules(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every shared object of the wheel by the name of its module."""
    place = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        found = [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(place, found)
    return {Path(name).name.partition(".")[0]: place / name for name in found}


def read_elf(path: Path, *what: str) -> str:
    command = ["readelf", "--wide", *what, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def segment(path: Path, kind: str) -> str:
    """The line of the one program header of that kind."""
    (line,) = re.findall(rf"^ +{kind} .*", read_elf(path, "--program-headers"), re.MULTILINE)
    return str(line)


def test_every_module_is_looked_at(modules: dict[str, Path]) -> None:
    assert sorted(modules) == COMPILED


@pytest.mark.parametrize("module", COMPILED)
def test_addresses_of_functions_cannot_be_overwritten(
    modules: dict[str, Path], module: str
) -> None:
    # Full RELRO: everything is bound when the module is loaded, and read-only from then on.
    assert segment(modules[module], "GNU_RELRO")
    assert "BIND_NOW" in read_elf(modules[module], "--dynamic")


@pytest.mark.parametrize("module", COMPILED)
def test_no_memory_is_both_writable_and_executable(modules: dict[str, Path], module: str) -> None:
    assert " RWE " not in read_elf(modules[module], "--program-headers")
    assert " RW " in segment(modules[module], "GNU_STACK")


@pytest.mark.parametrize("module", COMPILED)
def test_the_stack_is_protected(modules: dict[str, Path], module: str) -> None:
    assert "__stack_chk_fail@" in read_elf(modules[module], "--symbols")


def test_texts_are_formatted_by_checked_functions(modules: dict[str, Path]) -> None:
    # What FORTIFY_SOURCE makes of snprintf; of a copy it makes something only where sizes are constant.
    symbols = {module: read_elf(path, "--symbols") for module, path in modules.items()}
    checked = [module for module, table in symbols.items() if "__snprintf_chk@" in table]
    assert checked
    assert [module for module, table in symbols.items() if re.search(r"\bsnprintf@", table)] == []
