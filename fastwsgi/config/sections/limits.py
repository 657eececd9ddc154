"""How much of a request is taken, and how long its client may take."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import integer, positive, request_fields
from fastwsgi.config.setting import Setting


class Limits:
    """The rows of this section."""

    SECTION: ClassVar = "Limits"

    limit_request_line = Setting(
        integer,
        4094,
        "--limit-request-line",
        metavar="INT",
        text="The most bytes of a request line; 0: as many as the head may have.",
    )
    limit_request_fields = Setting(
        request_fields,
        100,
        "--limit-request-fields",
        metavar="INT",
        text="The most header fields of a request, at most 32768.",
    )
    limit_request_field_size = Setting(
        integer,
        8190,
        "--limit-request-field_size",
        metavar="INT",
        text="The most bytes of one header field; 0: as many as the head may have.",
    )
    limit_request_head = Setting(
        positive,
        65536,
        "--limit-request-head",
        metavar="INT",
        text="The most bytes of a request line and all header fields together.",
        ours=True,
    )
    limit_request_body = Setting(
        integer,
        0,
        "--limit-request-body",
        metavar="INT",
        text="The most bytes of a request body; 0 without limit.",
        ours=True,
    )
    header_timeout = Setting(
        positive,
        10,
        "--header-timeout",
        metavar="INT",
        text="Seconds a client has to send the head of a request.",
        ours=True,
    )
    body_timeout = Setting(
        positive,
        30,
        "--body-timeout",
        metavar="INT",
        text="Seconds a client may be silent while it sends a request body.",
        ours=True,
    )
    body_min_rate = Setting(
        integer,
        1024,
        "--body-min-rate",
        metavar="INT",
        text="Bytes a second at which a request body must arrive after its first 10 seconds; 0: at"
        " any rate.",
        ours=True,
    )
    send_timeout = Setting(
        positive,
        30,
        "--send-timeout",
        metavar="INT",
        text="Seconds a client may take nothing of a response that is ready.",
        ours=True,
    )
    body_buffer_size = Setting(
        integer,
        33554432,
        "--body-buffer-size",
        metavar="INT",
        text="Bytes of request bodies that a worker keeps in memory, of all its connections"
        " together; a body that takes more than it leaves for the others goes to a temporary file."
        " Of each, 16 KiB are kept in memory in any case.",
        ours=True,
    )
    output_buffer_size = Setting(
        positive,
        262144,
        "--output-buffer-size",
        metavar="INT",
        text="Bytes of a response that wait in memory before the application has to.",
        ours=True,
    )
