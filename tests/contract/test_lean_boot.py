"""What a plain worker has loaded, beside its application: read inside a real worker process."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.server import ServerProcess

# Needed only where a setting, a signal or a request asks for it. Each costs every worker memory and
# every start time, and most of them bring a whole family along. A name covers its submodules.
NOT_FOR_A_PLAIN_WORKER = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "subprocess", "socketserver"),
        *("ssl", "_ssl", "hashlib", "hmac", "secrets", "random", "uuid"),
        *("email", "html", "http", "xml", "xmlrpc", "urllib", "mimetypes", "wsgiref"),
        *("json", "pickle", "csv", "sqlite3", "decimal", "fractions", "statistics", "calendar"),
        *("bz2", "gzip", "lzma", "zlib", "zipfile", "tarfile"),
        *("tempfile", "shutil", "ctypes", "platform", "sysconfig", "ipaddress"),
        *("ast", "dis", "inspect", "pdb", "pydoc", "doctest", "unittest", "tracemalloc"),
        *("unicodedata", "stringprep", "encodings.idna"),
        *("Cython", "cython", "gevent", "greenlet", "gunicorn", "lxml", "setuptools"),
    }
)

# What the server is made of, so that nobody is blamed for what Python's own library drags along.
NEEDED = ("argparse", "contextlib", "logging", "mmap", "select", "signal", "socket", "threading")

APP = """
import sys

def app(environ, start_response):
    body = "\\n".join(sys.modules).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

# Compiled modules may register helpers of the Cython runtime, which are not packages of anyone's.
CYTHON_RUNTIME = re.compile(r"_cython_[\d_]+|cython_runtime")

# Taken where it is installed, as gunicorn takes it: a worker's name in ps.
NAMERS = ("setproctitle",)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Names of the modules in a worker that has answered a request."""
    folder = tmp_path_factory.mktemp("lean")
    (folder / "lean.py").write_text(APP)
    with ServerProcess.start(["lean:app", "-b", "127.0.0.1:0"], folder) as server:
        server.get("/")
        status, body = server.get("/")
    assert status == 200
    return frozenset(body.decode().split())


def test_the_list_is_a_workers(loaded: frozenset[str]) -> None:
    """A list that names neither the server nor the application would prove nothing below."""
    assert {"fastwsgi.wiring", "fastwsgi.net.reactor", "lean", "sys"} <= loaded


def test_a_plain_worker_loads_no_more_than_it_needs(loaded: frozenset[str]) -> None:
    needless = {
        name
        for name in loaded - loaded_by(*NEEDED)
        if any(name == top or name.startswith(top + ".") for top in NOT_FOR_A_PLAIN_WORKER)
    }
    assert needless == set()


def test_what_only_metrics_need_is_not_loaded(loaded: frozenset[str]) -> None:
    assert {"fastwsgi.observe.prometheus", "fastwsgi.observe.busy"}.isdisjoint(loaded)


def test_a_worker_needs_nothing_but_the_standard_library(loaded: frozenset[str]) -> None:
    tops = {name.partition(".")[0] for name in loaded} - {
        "fastwsgi",
        "lean",
        "__mp_main__",
        *NAMERS,
    }
    foreign = tops - sys.stdlib_module_names - loaded_by()
    assert {name for name in foreign if not CYTHON_RUNTIME.fullmatch(name)} == set()


def loaded_by(*imports: str) -> frozenset[str]:
    """What an interpreter of this environment has loaded after these imports."""
    program = "import sys; [__import__(name) for name in sys.argv[1:]]; print(*sys.modules)"
    return frozenset(
        subprocess.check_output([sys.executable, "-c", program, *imports], text=True).split()
    )
