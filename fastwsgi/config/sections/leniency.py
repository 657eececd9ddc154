"""What else a client may send; each row loosens what HTTP asks for."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import flag
from fastwsgi.config.setting import Setting


class Leniency:
    """The rows of this section."""

    SECTION: ClassVar = "Leniency"

    permit_obsolete_folding = Setting(
        flag,
        False,
        "--permit-obsolete-folding",
        text="Take header fields that go on in a further line; but not those that say where a"
        " request ends and for whom it is.",
        remark="loosens what HTTP allows; others may read a folded line as a field of its own",
    )
    strip_header_spaces = Setting(
        flag,
        False,
        "--strip-header-spaces",
        text="Take white space between a header field's name and the colon.",
        remark="loosens what HTTP allows; requests can be smuggled past a proxy that reads them"
        " otherwise",
    )
    permit_unconventional_http_method = Setting(
        flag,
        False,
        "--permit-unconventional-http-method",
        text="Take methods with lower-case letters, and of any length.",
        remark="loosens which methods reach the application",
    )
    permit_unconventional_http_version = Setting(
        flag,
        False,
        "--permit-unconventional-http-version",
        text="Take versions other than HTTP/1: as 1.0 what is lower, as 1.1 what is higher.",
        remark="loosens what HTTP allows; nothing but HTTP/1 is spoken here",
    )
    casefold_http_method = Setting(
        flag,
        False,
        "--casefold-http-method",
        text="Give methods to the application in upper case. Those with lower-case letters need"
        " permit_unconventional_http_method, too.",
        remark="loosens: methods that differ only in case become one",
    )
