"""Settings of gunicorn's that are checked and change nothing here; the log says so of each that is set."""

from __future__ import annotations

from typing import ClassVar, Final

from fastwsgi.config.checks import (
    address_blocks,
    between,
    flag,
    integer,
    listed,
    one_of,
    optional_string,
    permissions,
    protocol_list,
    spoken_protocol,
)
from fastwsgi.config.functions import function_of
from fastwsgi.config.setting import Setting

NO_ASGI: Final = "without effect, as this server runs WSGI applications only"
NO_HTTP2: Final = "without effect, as this server speaks HTTP/1.1 only"
NO_DIRTY: Final = "without effect, as there are no dirty workers here"
NO_CONTROL: Final = "without effect, as there is no control socket here; signals steer the master"


class Accepted:
    """The rows of this section."""

    SECTION: ClassVar = "Accepted for gunicorn's sake"

    protocol = Setting(
        spoken_protocol,
        "http",
        "--protocol",
        metavar="STRING",
        text="What clients speak: http. uwsgi is refused.",
    )
    uwsgi_allow_ips = Setting(
        address_blocks,
        ("127.0.0.1", "::1"),
        "--uwsgi-allow-from",
        metavar="ADDRESSES",
        text="Who may speak the uwsgi protocol, which nobody can here.",
        remark="without effect, as this server does not speak the uwsgi protocol",
    )
    http_parser = Setting(
        one_of("auto", "fast", "python"),
        "auto",
        "--http-parser",
        metavar="STRING",
        text="auto, fast or python; there is one parser here, a compiled one.",
        remark="without effect, as there is one parser here, a compiled one",
    )
    http_protocols = Setting(
        protocol_list,
        ("h1",),
        "--http-protocols",
        metavar="STRING",
        text="h1 and h2, with commas between them.",
        remark=lambda value: "" if value == ("h1",) else "clients are answered by HTTP/1.1",
    )
    http2_cleartext = Setting(
        one_of("off", "prior-knowledge", "upgrade", "both", yes="prior-knowledge"),
        "off",
        "--http2-cleartext",
        metavar="STRING",
        text="off, prior-knowledge, upgrade or both.",
        remark=NO_HTTP2,
    )
    http2_max_concurrent_streams = Setting(
        between(1),
        100,
        "--http2-max-concurrent-streams",
        metavar="INT",
        text="The most requests of one HTTP/2 connection at once.",
        remark=NO_HTTP2,
    )
    http2_initial_window_size = Setting(
        between(0, 2**31 - 1),
        65535,
        "--http2-initial-window-size",
        metavar="INT",
        text="Bytes of a stream that are taken before it has to wait.",
        remark=NO_HTTP2,
    )
    http2_max_frame_size = Setting(
        between(16384, 16777215),
        16384,
        "--http2-max-frame-size",
        metavar="INT",
        text="The most bytes of one HTTP/2 frame.",
        remark=NO_HTTP2,
    )
    http2_max_header_list_size = Setting(
        integer,
        65536,
        "--http2-max-header-list-size",
        metavar="INT",
        text="The most bytes of the header fields of an HTTP/2 request.",
        remark=NO_HTTP2,
    )
    asgi_loop = Setting(
        one_of("auto", "asyncio", "uvloop"),
        "auto",
        "--asgi-loop",
        metavar="STRING",
        text="auto, asyncio or uvloop.",
        remark=NO_ASGI,
    )
    asgi_lifespan = Setting(
        one_of("auto", "on", "off"),
        "auto",
        "--asgi-lifespan",
        metavar="STRING",
        text="auto, on or off.",
        remark=NO_ASGI,
    )
    asgi_disconnect_grace_period = Setting(
        integer,
        3,
        "--asgi-disconnect-grace-period",
        metavar="INT",
        text="Seconds an ASGI application has when its client is gone.",
        remark=NO_ASGI,
    )
    websocket_max_message_size = Setting(
        integer,
        16777216,
        "--websocket-max-message-size",
        metavar="INT",
        text="The most bytes of a message of a WebSocket.",
        remark=NO_ASGI,
    )
    root_path = Setting(
        optional_string,
        "",
        "--root-path",
        metavar="STRING",
        text="Where an ASGI application is mounted. A WSGI application has SCRIPT_NAME for that.",
        remark=NO_ASGI + "; SCRIPT_NAME in the environment says where one is mounted",
    )
    dirty_apps = Setting(
        listed,
        (),
        "--dirty-app",
        metavar="STRING",
        text="An application of dirty workers. May be given several times.",
        remark=NO_DIRTY,
    )
    dirty_workers = Setting(
        integer,
        0,
        "--dirty-workers",
        metavar="INT",
        text="The number of dirty workers.",
        remark=NO_DIRTY,
    )
    dirty_timeout = Setting(
        integer,
        300,
        "--dirty-timeout",
        metavar="INT",
        text="Seconds a dirty worker may spend on one task.",
        remark=NO_DIRTY,
    )
    dirty_threads = Setting(
        integer,
        1,
        "--dirty-threads",
        metavar="INT",
        text="The number of threads of a dirty worker.",
        remark=NO_DIRTY,
    )
    dirty_graceful_timeout = Setting(
        integer,
        30,
        "--dirty-graceful-timeout",
        metavar="INT",
        text="Seconds a dirty worker that is told to leave has.",
        remark=NO_DIRTY,
    )
    on_dirty_starting = Setting(
        function_of("arbiter"), None, text="When dirty workers are to start.", remark=NO_DIRTY
    )
    dirty_post_fork = Setting(
        function_of("arbiter", "worker"),
        None,
        text="After a dirty worker is forked.",
        remark=NO_DIRTY,
    )
    dirty_worker_init = Setting(
        function_of("worker"), None, text="When a dirty worker is ready.", remark=NO_DIRTY
    )
    dirty_worker_exit = Setting(
        function_of("arbiter", "worker"),
        None,
        text="When a dirty worker has left.",
        remark=NO_DIRTY,
    )
    spew = Setting(
        flag,
        False,
        "--spew",
        text="Write down every line of Python that runs, in gunicorn.",
        remark="without effect; python -m trace --trace shows every line of a program",
    )
    control_socket = Setting(
        optional_string,
        None,
        "--control-socket",
        metavar="FILE",
        text="The socket that gunicornc talks to.",
        remark=NO_CONTROL,
    )
    control_socket_mode = Setting(
        permissions,
        0o600,
        "--control-socket-mode",
        metavar="INT",
        text="The permissions of that socket.",
        remark=NO_CONTROL,
    )
    control_socket_disable = Setting(
        flag,
        False,
        "--no-control-socket",
        text="Have no such socket; there is none.",
        remark=NO_CONTROL,
    )
