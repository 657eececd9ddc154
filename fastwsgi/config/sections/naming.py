"""What ps shows."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import optional_string
from fastwsgi.config.setting import Setting


class ProcessNaming:
    """The rows of this section."""

    SECTION: ClassVar = "Process naming"

    proc_name = Setting(
        optional_string,
        None,
        "-n",
        "--name",
        metavar="STRING",
        text="The name of the processes in ps and top, where setproctitle is installed.",
    )
    default_proc_name = Setting(
        optional_string,
        None,
        text="That name where proc_name is not set; the application's unless set. Configuration file"
        " only.",
    )
