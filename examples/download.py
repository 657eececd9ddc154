"""A file sent by the kernel (sendfile) through `wsgi.file_wrapper`: `fastwsgi download:app`.

Sends the file named by the variable DOWNLOAD_FILE, or else this very source file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FILE = Path(os.environ.get("DOWNLOAD_FILE", __file__))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    file = FILE.open("rb")
    # The size of the open file: a file renamed over it in the meantime does not matter.
    size = os.fstat(file.fileno()).st_size
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", f'attachment; filename="{FILE.name}"'),
        ("Content-Length", str(size)),
    ]
    start_response("200 OK", headers)
    # The server closes the file, also for HEAD and when the client goes away in the middle.
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
    return wrapped
