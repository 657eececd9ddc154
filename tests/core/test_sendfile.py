"""The setting sendfile: whether the kernel sends what an application wraps, or its read() is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.loop import SteppedServer


class Telltale:
    """A file whose read() gives other bytes than its descriptor has."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.fileno = self.file.fileno
        self.tell = self.file.tell
        self.close = self.file.close
        self.blocks = [b"read", b" by blocks", b""]

    def read(self, size: int) -> bytes:
        return self.blocks.pop(0)


@pytest.mark.parametrize(
    ("sendfile", "body"), [(True, b"from the disk"), (False, b"read by blocks")]
)
def test_no_sendfile_means_that_the_file_is_read(
    sendfile: bool, body: bytes, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"from the disk")
    wrapped: list[Telltale] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped.append(Telltale(tmp_path / "file"))
        return cast(Iterable[bytes], environ["wsgi.file_wrapper"](wrapped[0], 4096))

    with SteppedServer(app, tmp_path, sendfile=sendfile) as server, server.connection() as client:
        answer = client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.body == body
        assert wrapped[0].file.closed
