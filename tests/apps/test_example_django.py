"""The Django example by `requests` and by curl: session, admin, upload, download, static files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.apps.conftest import unix_path
from tests.apps.examples import ADMIN, PASSWORD, curl
from tests.apps.fixtures.bodies import LARGE
from tests.support.server import ServerProcess


def form_token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found is not None
    return found[1]


def link_to(title: str, page: str) -> str:
    found = re.search(rf'<a href="(/documents/\d+/)">{re.escape(title)}</a>', page)
    assert found is not None, page
    return found[1]


def test_session_counts_visits(django: ServerProcess) -> None:
    with requests.Session() as session:
        pages = [session.get(django.url, timeout=10).text for _ in range(3)]
    counted = [re.findall(r'<b id="visits">(\d+)</b>', page) for page in pages]
    assert counted == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize("size", [1, 70_000, 5 << 20])
def test_upload_and_download_by_requests(django: ServerProcess, size: int) -> None:
    """Django spools uploads above 2.5 MB to a file of its own; downloads come by file_wrapper."""
    title, content = f"Document of {size} bytes", LARGE[:size]
    with requests.Session() as session:
        token = form_token(session.get(django.url, timeout=10).text)
        response = session.post(
            django.url,
            data={"csrfmiddlewaretoken": token, "title": title},
            files={"file": ("étude.bin", content)},
            timeout=30,
        )
        assert [r.status_code for r in response.history] == [302]
        download = session.get(django.url + link_to(title, response.text), timeout=30)
    assert download.content == content
    assert download.headers["Content-Length"] == str(size)
    assert "attachment" in download.headers["Content-Disposition"]
    head = requests.head(download.url, timeout=10)
    assert (head.headers["Content-Length"], head.content) == (str(size), b"")


def test_upload_without_the_token_is_forbidden(django: ServerProcess) -> None:
    files = {"file": ("x", b"x")}
    response = requests.post(django.url, data={"title": "x"}, files=files, timeout=10)
    assert response.status_code == 403


Curl = Callable[..., bytes]


@pytest.fixture(params=["tcp", "unix"])
def session_curl(django: ServerProcess, request: pytest.FixtureRequest, tmp_path: Path) -> Curl:
    """curl with a cookie jar: `session_curl(*options, path="/")` gives the body."""
    options: list[str | Path] = ["--cookie", tmp_path / "jar", "--cookie-jar", tmp_path / "jar"]
    host = django.url
    if request.param == "unix":
        host = "http://localhost"
        options += ["--unix-socket", unix_path(django)]

    def run(*more: str | Path, path: str = "/") -> bytes:
        return curl(*options, *more, host + path).stdout

    return run


def test_upload_and_download_by_curl(session_curl: Curl, tmp_path: Path) -> None:
    title = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    file = tmp_path / "large.bin"
    file.write_bytes(LARGE)
    token = form_token(session_curl().decode())
    fields = (f"csrfmiddlewaretoken={token}", f"title={title}", f"file=@{file}")
    page = session_curl("--location", *(part for field in fields for part in ("--form", field)))
    assert session_curl(path=link_to(title, page.decode())) == LARGE


def test_admin_login_by_curl(session_curl: Curl) -> None:
    path = "/admin/login/?next=/admin/"
    token = form_token(session_curl(path=path).decode())
    fields = {"csrfmiddlewaretoken": token, "username": ADMIN, "password": PASSWORD}
    form = [part for item in fields.items() for part in ("--data-urlencode", "=".join(item))]
    page = session_curl("--location", *form, path=path).decode()
    assert "Site administration" in page
    assert "/admin/documents/document/" in page


def test_admin_by_requests(django: ServerProcess) -> None:
    with requests.Session() as session:
        login = session.get(f"{django.url}/admin/", timeout=10)
        assert "/admin/login/?next=/admin/" in login.url
        token = form_token(login.text)
        wrong = {"csrfmiddlewaretoken": token, "username": ADMIN, "password": "wrong"}
        refused = session.post(login.url, data=wrong, timeout=10)
        assert "Please enter the correct username and password" in refused.text
        right = {**wrong, "csrfmiddlewaretoken": form_token(refused.text), "password": PASSWORD}
        admin = session.post(login.url, data=right, timeout=10)
        assert "Site administration" in admin.text
        add = session.get(f"{django.url}/admin/documents/document/add/", timeout=10)
        stored = session.post(
            add.url,
            data={"csrfmiddlewaretoken": form_token(add.text), "title": "By the admin"},
            files={"file": ("admin.txt", b"by the admin")},
            timeout=10,
        )
        assert "was added successfully" in stored.text
        assert "By the admin" in stored.text


def test_static_files_of_the_admin(django: ServerProcess) -> None:
    page = requests.get(f"{django.url}/admin/login/", timeout=10).text
    sheets = re.findall(r'href="(/static/admin/css/[\w.]+css)"', page)
    assert sheets
    for sheet in sheets:
        response = requests.get(django.url + sheet, timeout=10)
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/css")
        since = {"If-Modified-Since": response.headers["Last-Modified"]}
        unchanged = requests.get(django.url + sheet, headers=since, timeout=10)
        assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_unknown_path(django: ServerProcess) -> None:
    assert requests.get(f"{django.url}/none", timeout=10).status_code == 404
