"""What developers want to see."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import flag, one_of, paths_or_patterns
from fastwsgi.config.setting import Setting


class Debugging:
    """The rows of this section."""

    SECTION: ClassVar = "Debugging"

    reload = Setting(
        flag,
        False,
        "--reload",
        text="Replace the workers when a file of the application changes. An application that cannot be"
        " loaded is no end then: every request shows the traceback, until the next change.",
        remark="for development only, as whoever makes a request may see tracebacks",
    )
    reload_engine = Setting(
        one_of("auto", "poll", "inotify"),
        "auto",
        "--reload-engine",
        metavar="STRING",
        text="How a change is noticed: poll looks at every file once a second; inotify is told by the"
        " kernel, at once; auto does both, as shared folders may have no events.",
    )
    reload_extra_files = Setting(
        paths_or_patterns,
        (),
        "--reload-extra-file",
        metavar="FILES",
        text="One more file to watch; can be given several times. With * or ? or [ it is a pattern, ** for"
        " all folders below, and a file that is new is watched from then on.",
    )
    check_config = Setting(
        flag,
        False,
        "--check-config",
        text="Read the settings, load the application, and exit: 0 if both can be done, else 1.",
    )
    print_config = Setting(
        flag,
        False,
        "--print-config",
        text="Print every setting with its value and where that came from; then as --check-config.",
    )
