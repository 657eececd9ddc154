"""Whom in front of the server to believe, and what."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import (
    address_blocks,
    comma_separated,
    field_values,
    one_of,
    optional_field_name,
    proxy_mode,
)
from fastwsgi.config.setting import Setting

LOCAL = ("127.0.0.1", "::1")


def trusts_all(value: tuple[str, ...]) -> str:
    """What the log says where no address is needed to be believed."""
    return "loosens: whoever connects is believed" if "*" in value else ""


class Proxying:
    """The rows of this section."""

    SECTION: ClassVar = "Proxying"

    forwarded_allow_ips = Setting(
        address_blocks,
        LOCAL,
        "--forwarded-allow-ips",
        metavar="ADDRESSES",
        text="Addresses and networks, with commas between them, of the proxies that are believed"
        " when they say where a request comes from; *: all. Who connects by a unix socket always is."
        " Where the environment has FORWARDED_ALLOW_IPS, that unless set.",
        remark=trusts_all,
    )
    secure_scheme_headers = Setting(
        field_values,
        lambda: {
            "X-FORWARDED-PROTOCOL": "ssl",
            "X-FORWARDED-PROTO": "https",
            "X-FORWARDED-SSL": "on",
        },
        text="Header fields by which such a proxy says that its client uses https, and the value"
        " that says so; any other value says http. Two that contradict each other are refused.",
    )
    forwarder_headers = Setting(
        comma_separated,
        ("SCRIPT_NAME", "PATH_INFO"),
        "--forwarder-headers",
        metavar="NAMES",
        text="Header fields with an underscore in the name that such a proxy may send whatever"
        " header_map says; *: all. SCRIPT_NAME says where the application is mounted.",
    )
    header_map = Setting(
        one_of("drop", "refuse", "dangerous"),
        "drop",
        "--header-map",
        metavar="NAME",
        text="What becomes of a header field with an underscore in its name, which in the environ"
        " looks like the one with a hyphen: drop, refuse (the request), or dangerous (keep both).",
        remark=lambda value: (
            "loosens: X_Y and X-Y are one to the application" if value == "dangerous" else ""
        ),
    )
    real_ip = Setting(
        optional_field_name,
        None,
        "--real-ip",
        metavar="HEADER",
        text="The header field in which such a proxy names its client, which then is REMOTE_ADDR:"
        " X-Forwarded-For or any other with a list of addresses, or Forwarded. Read from the right,"
        " as far as forwarded_allow_ips reaches.",
        ours=True,
    )
    proxy_protocol = Setting(
        proxy_mode,
        "off",
        "--proxy-protocol",
        metavar="MODE",
        bare="auto",
        text="Understand the PROXY protocol, by which a proxy names its client before the first"
        " request: v1, v2, auto (both) or off. Connections without it are served as well.",
    )
    proxy_allow_ips = Setting(
        address_blocks,
        LOCAL,
        "--proxy-allow-from",
        metavar="ADDRESSES",
        text="Addresses and networks, with commas between them, that may speak the PROXY protocol;"
        " *: all. Who connects by a unix socket may.",
        remark=trusts_all,
    )
