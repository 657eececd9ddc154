"""Builds the compiled core. Metadata stands in pyproject.toml.

Environment switches, each off unless set to a non-empty value other than 0:
FASTWSGI_DEBUG     bounds checks on, symbols, no optimisation
FASTWSGI_SANITIZE  AddressSanitizer and UndefinedBehaviorSanitizer (run with libasan preloaded)
FASTWSGI_TRACE     line tracing, so that coverage sees the .pyx files
FASTWSGI_ANNOTATE  an HTML page per module that shows where C calls into CPython
FASTWSGI_WERROR    warnings of Cython and of the C compiler are errors
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup


def switch(name: str) -> bool:
    return os.environ.get(f"FASTWSGI_{name}", "0") not in ("", "0")


DEBUG, SANITIZE, TRACE, WERROR = map(switch, ("DEBUG", "SANITIZE", "TRACE", "WERROR"))

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": DEBUG,
    "embedsignature": False,
    "auto_pickle": False,
    "always_allow_keywords": False,
    "binding": False,
    "linetrace": TRACE,
    "freethreading_compatible": True,
    "warn.undeclared": False,
    "warn.unused": True,
    "warn.maybe_uninitialized": True,
}

COMPILE = ["-fvisibility=hidden", "-fstack-protector-strong", "-fno-strict-aliasing", "-Wall"]
COMPILE += ["-fno-plt"]  # all symbols are bound when a module is loaded, so calls need no stubs
LINK = ["-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack"]
COMPILE += ["-O0", "-g3"] if DEBUG else ["-O3", "-g1"]
if not (DEBUG or SANITIZE):
    COMPILE += ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
if SANITIZE:
    COMPILE += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LINK += ["-fsanitize=address,undefined"]
if WERROR:
    COMPILE += ["-Werror"]
    Options.warning_errors = True
MACROS = [("CYTHON_TRACE_NOGIL", "1")] if TRACE else []

EXTENSIONS = [
    Extension(
        f"fastwsgi.{source.stem}",
        [str(source)],
        define_macros=MACROS,
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
    )
    for source in sorted(Path("fastwsgi").glob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        annotate=switch("ANNOTATE"),
        force=DEBUG or SANITIZE or TRACE or WERROR,
    )
)
