"""Where the server listens."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import addresses, flag, positive
from fastwsgi.config.setting import Setting


class ServerSocket:
    """The rows of this section."""

    SECTION: ClassVar = "Server socket"

    bind = Setting(
        addresses,
        ("127.0.0.1:8000",),
        "-b",
        "--bind",
        metavar="ADDRESS",
        text="An address to listen on: HOST, HOST:PORT, [IPv6]:PORT, unix:PATH or fd://N. May be"
        " given several times. Where the environment has PORT, 0.0.0.0:$PORT unless set.",
    )
    backlog = Setting(
        positive,
        2048,
        "--backlog",
        metavar="INT",
        text="The number of connections the kernel queues until a worker accepts them.",
    )
    reuse_port = Setting(
        flag,
        False,
        "--reuse-port",
        text="Give every worker a listening socket of its own (SO_REUSEPORT), so that the kernel"
        " spreads connections evenly over the workers.",
    )
