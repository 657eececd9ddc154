"""Serves the hello example with the installed package once: `python smoke.py FOLDER_OF_EXAMPLES`.

Needs nothing but the standard library, so that it runs wherever a wheel has just been installed.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys


def main(examples: str) -> None:
    command = [sys.executable, "-m", "fastwsgi", "hello:app", "-b", "127.0.0.1:0"]
    server = subprocess.Popen(command, cwd=examples, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        lines = iter(server.stderr.readline, "")
        found = next(
            filter(None, (re.search(r"Listening at: http://.+:(\d+)", li) for li in lines))
        )
        client = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
        client.request("GET", "/")
        response = client.getresponse()
        assert (response.status, response.read()) == (200, b"Hello, world!\n")
        client.close()
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert server.returncode == 0, server.returncode


if __name__ == "__main__":
    main(sys.argv[1])
