"""What developers want to see."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import flag
from fastwsgi.config.setting import Setting


class Debugging:
    """The rows of this section."""

    SECTION: ClassVar = "Debugging"

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
