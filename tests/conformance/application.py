"""The application under every compared server: that of the case, and what it was called with, asked for by HTTP.

Runs in the environment of the peers, so it needs nothing but Python and this repository on the path.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.wire import apps
from tests.wire.recorder import Call, Environ, Recorder

BEGIN = "/-begin"
CALLS = "/-calls"
PROBE = "/probe"

recorder = Recorder(apps.echo)


def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """`/-begin?NAME` has the application of that name answer what follows; `/-calls` tells its calls.

    Both tell the process, too: after a crash it is another.
    """
    path = environ["PATH_INFO"]
    if path == BEGIN:
        recorder.calls.clear()
        recorder.target = getattr(apps, environ["QUERY_STRING"])
        return answer(start_response, os.getpid())
    if path == CALLS:
        return answer(start_response, [os.getpid(), list(map(describe, recorder.calls))])
    if path == PROBE:
        return answer(start_response, path)
    return recorder(environ, start_response)


def describe(call: Call) -> list[Any]:
    strings = {key: value for key, value in call.environ.items() if isinstance(value, str)}
    return [strings, call.body.decode("latin-1"), call.closed]


def answer(start_response: Callable[..., Any], value: object) -> Iterable[bytes]:
    body = json.dumps(value).encode()
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", fields)
    return [body]
