"""A real browser against the Flask and Django examples."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps.examples import EXAMPLES, running
from tests.support.server import ServerProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: apt-get install chromium"
)

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Scripts and what they fetch are finished before the page is taken.
    "--virtual-time-budget=10000",
)

Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Opens a page and gives its DOM after the scripts, or does what the options say instead."""

    def open_page(url: str, *options: str) -> str:
        assert CHROMIUM is not None
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"]
        result = subprocess.run(
            [*command, *(options or ["--dump-dom"]), url],
            capture_output=True,
            check=True,
            timeout=90,
        )
        return result.stdout.decode()

    return open_page


def test_flask_page_with_its_script(tmp_path: Path, browse: Browse) -> None:
    with running("flask_app:app", tmp_path / "server.sock", cwd=EXAMPLES) as server:
        page = browse(server.url)
        assert "<h1>Hello, stranger!</h1>" in page
        assert '<p id="server">Served by fastwsgi' in page  # fetched by the script
        server.out.wait_for(r'"GET /api/about HTTP/1\.1" 200 .*Chrom')


def test_django_page(django: ServerProcess, browse: Browse) -> None:
    page = browse(django.url)
    assert "<title>Documents</title>" in page
    assert '<b id="visits">1</b>' in page


def test_django_admin_with_its_static_files(
    django: ServerProcess, browse: Browse, tmp_path: Path
) -> None:
    picture = tmp_path / "admin.png"
    browse(f"{django.url}/admin/", f"--screenshot={picture}")
    assert picture.read_bytes().startswith(b"\x89PNG")
    django.out.wait_for(r'"GET /admin/login/\?next=/admin/ HTTP/1\.1" 200 .*Chrom')
    django.out.wait_for(r'"GET /static/admin/css/base\.css HTTP/1\.1" 200 .*Chrom')
    django.out.wait_for(r'"GET /static/admin/js/theme\.js HTTP/1\.1" 200 .*Chrom')
