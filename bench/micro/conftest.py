"""Builds `loops` against the installed core, into the build folder."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench.programs import ROOT

FOLDER = ROOT / "build" / "micro"
SOURCE = Path(__file__).with_name("loops.pyx")


@pytest.fixture(scope="session")
def loops() -> ModuleType:
    """The compiled loops."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / SOURCE.name).write_text(SOURCE.read_text())
    program = (
        "from Cython.Build import cythonize; from setuptools import Extension, setup;"
        "part = Extension('loops', ['loops.pyx'], extra_compile_args=['-O3']);"
        f"setup(ext_modules=cythonize(part, include_path=[{str(ROOT)!r}], quiet=True))"
    )
    subprocess.run(
        [sys.executable, "-c", program, "--quiet", "build_ext", "--inplace"], cwd=FOLDER, check=True
    )
    (built,) = FOLDER.glob("loops.*.so")
    spec = importlib.util.spec_from_file_location("loops", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
