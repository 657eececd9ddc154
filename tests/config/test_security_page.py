"""The defaults on the page of security are those of the settings."""

import re
from pathlib import Path

from fastwsgi.config.setting import shown
from fastwsgi.config.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| [^|]+ \| `(?P<name>\w+)` \| `(?P<default>[^|]+)` \|", re.MULTILINE)

# What bounds a client or decides whom to believe begins or ends like this.
BOUND = re.compile(
    r"limit_|permit_|strip_header|.*_timeout$|.*_buffer_size$|keepalive|.*_allow_ips$|proxy_protocol$"
)
# Of what is no client's: how a worker ends, and rooms that are not there.
NOT_ABOUT_CLIENTS = {"graceful_timeout", "queue_timeout", "dirty_timeout", "dirty_graceful_timeout"}


def defaults() -> dict[str, str]:
    page = (DOCS / "security.md").read_text("utf-8")
    return {match["name"]: match["default"] for match in ROW.finditer(page)}


def test_the_defaults_are_those_of_the_settings() -> None:
    found = defaults()
    assert found == {name: shown(Settings.ROWS[name].default) for name in found}


def test_no_bound_is_missing() -> None:
    bounds = {name for name in Settings.ROWS if BOUND.match(name)}
    assert bounds - defaults().keys() <= NOT_ABOUT_CLIENTS | {
        name for name in bounds if Settings.ROWS[name].remark
    }
