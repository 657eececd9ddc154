"""What cannot run against extensions built otherwise, with the reasons: for `make sanitize` and `make checked`.

`pytest -p tests.support.instrumented`: what a pattern of NEVER finds in the name of a test is skipped, and where
AddressSanitizer is preloaded that of NOT_SANITIZED.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

NEVER: Final[Mapping[str, str]] = {
    r"^tests/(bench|contract|coverage)/": "counts and measures, and this build has other figures",
    r"^tests/(chaos|leaks)/": "judges memory and times, and this build has others",
    r"^tests/package/": "builds the extensions itself",
    r"^tests/config/": "has settings and no extension before it",
    r"pathological": "is about speed",
}
NOT_SANITIZED: Final[Mapping[str, str]] = {
    r"gevent|greenlet": "a greenlet copies stacks, which AddressSanitizer takes for an overflow",
    r"browser": "AddressSanitizer would be preloaded into Chromium, too",
    r"os\.kill\(os\.getpid\(\), 11\)": "AddressSanitizer makes another end of SIGSEGV",
    r"a_worker_that_grew": "AddressSanitizer keeps what was freed, so no process is small",
    r"tool_of_systemd_itself": "the tool preloads nothing for what it starts",
}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    sanitized = "libasan" in os.environ.get("LD_PRELOAD", "")
    reasons = {**NEVER, **(NOT_SANITIZED if sanitized else {})}
    for item in items:
        for pattern, reason in reasons.items():
            if re.search(pattern, item.nodeid):
                item.add_marker(pytest.mark.skip(reason=reason))
