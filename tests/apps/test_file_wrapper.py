"""`wsgi.file_wrapper` around files of every kind (PEP 3333; wire.md 141)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.apps.client import Client
from tests.apps.conftest import Connect, Events
from tests.apps.fixtures.bodies import LARGE
from tests.apps.fixtures.files import SKIPPED

SMALL = b"".join(b"line %d\n" % n for n in range(500))
assert SKIPPED < len(SMALL) < 8192  # one read of a buffered file takes all of it


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "small"
    path.write_bytes(SMALL)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "large"
    path.write_bytes(LARGE)
    return path


def from_opener(path: Path, opener: str, **more: str) -> list[tuple[str, str]]:
    return [("File", str(path)), ("Opener", opener), *more.items()]


BODIES = {
    "buffered": SMALL,
    "unbuffered": SMALL,
    "BytesIO": SMALL,
    "only read": SMALL,
    "spooled": SMALL,
    "partly read": SMALL[SKIPPED:],
    "partly read BytesIO": SMALL[SKIPPED:],
    "seeked": SMALL[SKIPPED:],
    "pipe": SMALL[:4096],
}


@pytest.mark.parametrize("known", [False, True], ids=["length unknown", "length known"])
@pytest.mark.parametrize("opener", BODIES)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_whole_file(client: Client, small: Path, opener: str, known: bool, version: str) -> None:
    body = BODIES[opener]
    headers = from_opener(small, opener, **({"Known": str(len(body))} if known else {}))
    answer = client.request("/wrapped", headers=headers, version=version)
    assert (answer.status, answer.body) == (200, body)
    assert answer.complete
    if known:
        assert answer.one("content-length") == str(len(body))
    assert client.is_usable() == (version == "1.1")


@pytest.mark.parametrize("opener", ["buffered", "BytesIO"])
@pytest.mark.parametrize("block", ["1", "1000", "10000000"])
def test_block_size_changes_nothing_but_the_pace(
    client: Client, small: Path, opener: str, block: str
) -> None:
    answer = client.request("/wrapped", headers=from_opener(small, opener, Block=block))
    assert answer.body == SMALL
    assert client.is_usable()


@pytest.mark.parametrize("opener", ["buffered", "unbuffered", "BytesIO", "only read", "spooled"])
@pytest.mark.parametrize("known", [False, True], ids=["length unknown", "length known"])
def test_ten_megabytes(client: Client, large: Path, opener: str, known: bool) -> None:
    headers = from_opener(large, opener, **({"Known": str(len(LARGE))} if known else {}))
    answer = client.request("/wrapped", headers=headers)
    assert answer.complete
    assert answer.body == LARGE
    assert client.is_usable()


@pytest.mark.parametrize("opener", ["buffered", "BytesIO", "partly read"])
def test_file_longer_than_the_length_is_cut(client: Client, small: Path, opener: str) -> None:
    answer = client.request("/wrapped", headers=from_opener(small, opener, Known="10"))
    assert answer.body == BODIES[opener][:10]
    assert answer.complete
    client.is_usable()  # or closed; in either case without a further byte of the file


@pytest.mark.parametrize("opener", ["buffered", "BytesIO", "pipe", "partly read"])
def test_141_file_shorter_than_the_length_aborts(
    client: Client, connect: Connect, small: Path, opener: str
) -> None:
    headers = from_opener(small, opener, Known=str(len(SMALL) + 1))
    answer = client.request("/wrapped", headers=headers)
    assert (answer.status, answer.complete) in ((200, False), (500, True))
    if answer.status == 200:
        assert BODIES[opener].startswith(answer.body)
    assert not client.is_usable()
    assert connect().is_usable()


def test_141_file_that_shrinks_aborts(client: Client, connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(LARGE)
    answer = client.request("/wrapped_while_it_shrinks", headers=[("File", str(path))])
    assert not answer.complete
    assert answer.body == LARGE[: len(LARGE) // 2]
    assert not client.is_usable()
    assert connect().is_usable()


def test_content_of_a_gzip_file_is_what_read_gives(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "small.gz"
    path.write_bytes(gzip.compress(SMALL))
    answer = client.request("/wrapped", headers=from_opener(path, "gzip"))
    assert answer.body == SMALL


def test_content_of_a_file_of_the_applications_own_kind(client: Client, small: Path) -> None:
    answer = client.request("/wrapped", headers=from_opener(small, "in capitals"))
    assert answer.body == SMALL.upper()


def test_file_whose_size_the_kernel_does_not_tell(client: Client) -> None:
    """A file of /proc has a size of zero and content all the same."""
    path = Path("/proc/version")
    assert path.stat().st_size == 0
    answer = client.request("/wrapped", headers=from_opener(path, "buffered"))
    assert answer.body == path.read_bytes()


def test_text_file_is_a_500(client: Client, small: Path) -> None:
    answer = client.request("/wrapped", headers=from_opener(small, "text"))
    assert (answer.status, answer.complete) == (500, True)


def test_closed_file_is_a_500(client: Client, small: Path) -> None:
    answer = client.request("/wrapped_but_closed", headers=[("File", str(small))])
    assert (answer.status, answer.complete) == (500, True)


def test_empty_file(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    answer = client.request("/wrapped", headers=from_opener(path, "buffered"))
    assert (answer.body, answer.complete) == (b"", True)
    assert client.is_usable()


@pytest.mark.parametrize("opener", ["buffered", "BytesIO"])
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 No Content")],
)
def test_no_body_where_none_belongs(
    client: Client, small: Path, opener: str, method: str, status: str
) -> None:
    headers = from_opener(small, opener, Known=str(len(SMALL)), Status=status)
    answer = client.request("/wrapped", headers=headers, method=method)
    assert answer.status == int(status[:3])
    assert answer.raw.endswith(b"\r\n\r\n")
    assert client.is_usable()


def test_after_write(client: Client, small: Path) -> None:
    answer = client.request("/wrapped_after_write", headers=[("File", str(small))])
    assert answer.body == b"before " + SMALL
    assert client.is_usable()


def test_inside_a_generator(client: Client, small: Path) -> None:
    answer = client.request("/wrapped_in_generator", headers=[("File", str(small))])
    assert answer.body == SMALL
    assert client.is_usable()


def test_without_start_response_is_a_500(client: Client, small: Path) -> None:
    answer = client.request("/wrapped_without_start", headers=[("File", str(small))])
    assert (answer.status, answer.complete) == (500, True)


def test_plain_file_without_the_wrapper(client: Client, small: Path) -> None:
    answer = client.request("/plain_file", headers=[("File", str(small))])
    assert answer.body == SMALL


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_138_file_is_closed_once(
    client: Client, connect: Connect, events: Events, small: Path, method: str
) -> None:
    headers = [("File", str(small)), events.header]
    answer = client.request("/wrapped_and_watched", headers=headers, method=method)
    assert answer.body == (SMALL if method == "GET" else b"")
    assert events.take() == "close"
    assert client.request("/sentinel", headers=[events.header]).body == b"sentinel"
    assert events.take() == "sentinel"


def test_138_file_is_closed_when_the_client_goes(
    connect: Connect, events: Events, large: Path
) -> None:
    client = connect()
    client.send("/wrapped_and_watched", headers=[("File", str(large)), events.header])
    client.receive_until(b"\r\n\r\n")
    client.close()
    assert events.take() == "close"
    assert connect().is_usable()
