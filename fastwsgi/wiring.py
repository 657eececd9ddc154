"""The composition root: settings, application and sockets become one running server, bound once per worker.

Besides `config/` this is the only file that sees the settings.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from mmap import mmap
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from fastwsgi._body import BodyMemory, RequestBody
from fastwsgi._clock import Clock
from fastwsgi._elsewhere import Elsewhere
from fastwsgi._environ import EnvironBuilder
from fastwsgi._exchange import Exchange
from fastwsgi._http1 import LENIENCY, Http1
from fastwsgi._wsgi import Caller, FileWrapper, Inline
from fastwsgi.net.listener import Complaints
from fastwsgi.net.peers import Peers
from fastwsgi.net.reactor import Reactor
from fastwsgi.observe.access_log import both
from fastwsgi.observe.error_stream import ErrorStream
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import ERROR, Log
from fastwsgi.observe.reports import Reports
from fastwsgi.serving import Server

if TYPE_CHECKING:
    from fastwsgi.config.settings import Settings
    from fastwsgi.net.proxy_protocol import ProxyProtocol
    from fastwsgi.net.tls import Certificate, Endpoint
    from fastwsgi.observe.logger import Logger
    from fastwsgi.observe.prometheus import Metrics
    from fastwsgi.observe.request_hooks import RequestHooks

ENOUGH_MEMORY = 1 << 24  # bytes, for a request or two
LARGEST_HEAD = 1 << 30  # bytes: the parser counts in 32 bits
MOST_FIELDS = 32768  # gunicorn's upper bound of limit_request_fields
SCRAPES = 100  # connections for metrics

Application = Callable[..., Any]
OnWornOut = Callable[[], object] | None
OnDone = Callable[[Exchange], object]


def reactors(settings: Settings, cpus: Callable[[], int]) -> int:
    """How many reactors a worker has: one, and without the GIL, beside threads, one for each of its CPUs.

    `cpus()` is how many the process may use; its workers share them.
    """
    if settings.execution != "threads" or has_gil():
        return 1
    share = math.ceil(cpus() / max(settings.workers, 1))
    return min(share, settings.threads, settings.worker_connections)


def build(
    settings: Settings,
    app: Callable[..., Any],
    sockets: list[socket.socket],
    *,
    endpoint: Endpoint | None = None,
    max_requests: int = 0,
    on_worn_out: Callable[[], object] | None = None,
    heartbeat: memoryview[Any] | None = None,
    clock: Clock | None = None,
    worker: object = None,
    log: Logger | None = None,
    metrics: Metrics | None = None,
    metrics_sockets: Sequence[socket.socket] = (),
    reactors: int = 1,
) -> Server:
    """Return a server for `app` on bound `sockets`; they speak TLS where there is an `endpoint`.

    After `max_requests` requests (0: never) every answer announces the end of its connection and
    `on_worn_out()` is called; likewise when half of the threads are stuck. `heartbeat` is a cell of
    one double: the monotonic time, in seconds, at which the last request was dispatched. `worker` is
    what the hooks around requests get, `log` the server's logger; without one errors go to the
    logger `gunicorn.error`. `metrics` counts what happens on `sockets`, and answers on
    `metrics_sockets`, on the reactor's own thread however requests are run. Accepting starts here;
    nothing is answered before `Server.run` or `Server.reactor.turn`. Several `reactors`, no more
    than connections may be open, share out the connections; the requests of all wait for the same
    threads. All but the first run in threads that `Server.run` starts.
    """
    clock = clock or Clock()
    head = min(settings.limit_request_head, LARGEST_HEAD)
    if settings.execution == "gevent":
        from fastwsgi.execution.gevent import cooperative_poll, wait_for

        make_reactor, wait = partial(Reactor, clock, make_poll=cooperative_poll), wait_for
    else:
        make_reactor, wait = partial(Reactor, clock), None
    share, left = divmod(settings.worker_connections, reactors)
    servers = [Server(make_reactor(), share + (number < left)) for number in range(reactors)]
    server, *others = servers
    for other in others:
        server.run_abreast(other)
    said = log or logging.getLogger(ERROR)
    reports = Reports(said)
    server.report(reports)
    hooks = request_hooks(settings, worker, said)
    if hooks is not None:
        app = hooks.around(app)
    if metrics is not None:
        app = metrics.busy.around(app)
    dispatcher = DISPATCHERS[settings.execution](settings, app, clock, on_worn_out, reports)
    dispatcher.on_end = both(
        None if hooks is None else hooks.over, None if metrics is None else metrics.busy.over
    )
    if isinstance(dispatcher, Elsewhere):
        server.run_elsewhere(dispatcher)
        for each in servers:
            each.reactor.before_wait(dispatcher.rouse)

    def on_max_requests() -> None:
        server.say_end()
        if on_worn_out is not None:
            on_worn_out()

    speaker = partial(
        Http1,
        clock=clock,
        wait_for=wait,
        make_socket=socket_of,
        server_header=settings.server_header,
        # 0 means as much as possible in gunicorn; here any line still has to fit into the head.
        limit_request_line=min(settings.limit_request_line or head, head),
        limit_request_fields=settings.limit_request_fields or MOST_FIELDS,
        limit_request_field_size=min(settings.limit_request_field_size or head, head),
        limit_request_head=head,
        limit_request_body=settings.limit_request_body,
        open_spool=partial(open_spool, settings.tmp_upload_dir or settings.worker_tmp_dir),
        header_timeout=settings.header_timeout,
        body_timeout=settings.body_timeout,
        body_min_rate=settings.body_min_rate,
        send_timeout=settings.send_timeout,
        keepalive=settings.keepalive,
        keepalive_requests=settings.keepalive_requests,
        output_buffer_size=settings.output_buffer_size,
        on_max_requests=on_max_requests,
        trusted_peers=Peers(settings.forwarded_allow_ips),
        leniency=sum(bit for name, bit in LENIENCY.items() if getattr(settings, name)),
    )
    on_done = both(access_log(settings, log), None if hooks is None else hooks.answered)
    speak = partial(
        speaker,
        dispatcher=dispatcher,
        # A body that is streamed takes no more than its application reads.
        body_memory=BodyMemory(
            sys.maxsize if settings.request_streaming else settings.body_buffer_size
        ),
        request_streaming=settings.request_streaming,
        health_path=settings.health_path or "",
        health_log=settings.health_log,
        max_requests=max_requests,
        heartbeat=heartbeat,
        on_done=both(on_done, None if metrics is None else metrics.answered),
        on_refusal=both(reports.refusal, None if metrics is None else metrics.refused),
    )
    if endpoint is not None:
        endpoint.catch_up()
        server.reactor.every_second(endpoint.check)
    how = {"shared": settings.workers > 1 or reactors > 1, "backlog": settings.backlog}
    listening = [(sock, Complaints()) for sock in sockets]
    elder = None
    for each in servers:
        http = speak(reactor=each.reactor, elder=elder)
        elder = elder or http
        each.speak(http)
        if settings.proxy_protocol != "off":
            each.expect_proxies(preambles(each, settings))
        if endpoint is not None:
            each.speak_tls(endpoint)
        for sock, complaints in listening:
            each.listen(sock, environ_builder(sock, settings), complaints=complaints, **how)
    if metrics is not None:
        page = partial(speaker, dispatcher=Inline(metrics.page, reports.application_error))
        server.run_beside(tell(server.reactor, page, metrics_sockets, settings, reports))
    return server


def tell(
    reactor: Reactor,
    page: Callable[..., Http1],
    sockets: Sequence[socket.socket],
    settings: Settings,
    reports: Reports,
) -> Server:
    """Return the server on `reactor` that tells of the metrics."""
    server = Server(reactor, SCRAPES)
    http = page(
        reactor=reactor,
        body_memory=BodyMemory(settings.body_buffer_size),
        request_streaming=False,
        health_path="",
        health_log=False,
        max_requests=0,
        heartbeat=None,
        on_done=None,
        on_refusal=reports.refusal,
    )
    server.speak(http)
    for sock in sockets:
        environs = plain_environ_builder(sock, settings)
        server.listen(sock, environs, shared=settings.workers > 1, backlog=settings.backlog)
    return server


def preambles(server: Server, settings: Settings) -> ProxyProtocol:
    """Return what reads the PROXY headers of one server's connections."""
    from fastwsgi.net.proxy_protocol import ProxyProtocol

    return ProxyProtocol(
        server.reactor,
        settings.proxy_protocol,
        Peers(settings.proxy_allow_ips),
        settings.header_timeout,
        server.adjust,
    )


def socket_of(fd: int) -> socket.socket:
    """Return an object for a socket; of gevent's class where that is patched in."""
    return socket.socket(fileno=fd)


def environ_builder(sock: socket.socket, settings: Settings) -> EnvironBuilder:
    """Return what makes the environs of one listening socket."""
    client_header = find_client = None
    if settings.real_ip is not None:
        from fastwsgi.forwarded import client_finder

        client_header = settings.real_ip.upper()
        find_client = client_finder(client_header, Peers(settings.forwarded_allow_ips))
    return EnvironBuilder(
        environ_template(sock, settings),
        secure_scheme_headers={
            name.upper(): value for name, value in settings.secure_scheme_headers.items()
        },
        forwarder_headers=[name.upper() for name in settings.forwarder_headers],
        header_map=settings.header_map,
        client_header=client_header,
        find_client=find_client,
    )


def plain_environ_builder(sock: socket.socket, settings: Settings) -> EnvironBuilder:
    """Return the same of one where no proxy is believed, and nothing is mounted anywhere."""
    return EnvironBuilder(
        environ_template(sock, settings) | {"SCRIPT_NAME": "", "wsgi.url_scheme": "http"},
        secure_scheme_headers={},
        forwarder_headers=(),
        header_map="drop",
        client_header=None,
        find_client=None,
    )


def secure(settings: Settings) -> Endpoint | None:
    """Return the TLS that the settings want, or None. Raises ConfigError.

    To be called where the keys can be read: before the workers are forked.
    """
    if settings.certfile is None:
        return None
    from fastwsgi.net.tls import Certificate, Endpoint

    def certificate(entry: str) -> Certificate:
        certfile, _, keyfile = entry.partition(",")
        return Certificate(certfile.strip(), keyfile.strip() or None, "sni", "sni")

    entries = (entry.partition("=") for entry in settings.sni)
    return Endpoint(
        Certificate(settings.certfile, settings.keyfile),
        {host.lower(): certificate(files) for host, _, files in entries},
        ca_certs=settings.ca_certs,
        cert_reqs=settings.cert_reqs,
        ciphers=settings.ciphers,
        customise=settings.ssl_context and partial(settings.ssl_context, settings),
    )


def environ_template(sock: socket.socket, settings: Settings) -> dict[str, Any]:
    """What all environs of one listening socket have in common (PEP 3333), the rest as placeholders."""
    if sock.family == socket.AF_UNIX:
        # PEP 3333 wants both to be there; applications use the Host field before them.
        host, port = "localhost", 443 if settings.is_ssl else 80
    else:
        host, port = sock.getsockname()[:2]
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": settings.url_scheme,
        # Of requests without a body.
        "wsgi.input": RequestBody(BodyMemory(0), partial(open_spool, None)),
        "wsgi.errors": ErrorStream(logging.getLogger(ERROR)),
        "wsgi.multithread": settings.execution != "inline",
        "wsgi.multiprocess": settings.workers > 1,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": file_wrapper(settings),
        "wsgi.input_terminated": True,
        "SERVER_SOFTWARE": settings.server_header or "fastwsgi",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        # Bytes of the environment as latin-1 (PEP 3333, "Unicode Issues").
        "SCRIPT_NAME": os.environb.get(b"SCRIPT_NAME", b"").rstrip(b"/").decode("latin-1"),
        "REQUEST_METHOD": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "RAW_URI": "",
        "REMOTE_ADDR": "",
    }


def file_wrapper(settings: Settings) -> Callable[..., Any]:
    """Return what an application wraps an open file in: our own lets the kernel send it, wsgiref's reads it."""
    if settings.sendfile:
        return FileWrapper
    from wsgiref.util import FileWrapper as ReadingWrapper

    return ReadingWrapper


def run_inline(
    settings: Settings, app: Application, clock: Clock, on_worn_out: OnWornOut, reports: Reports
) -> Caller:
    """Return what runs `app` on the reactor's own thread."""
    return Inline(app, reporter(reports, on_worn_out))


def run_in_threads(
    settings: Settings, app: Application, clock: Clock, on_worn_out: OnWornOut, reports: Reports
) -> Caller:
    """Return the pool of threads that the settings want."""
    from fastwsgi._threads import Threads

    def on_overdue(environ: dict[str, Any], thread: threading.Thread, seconds: float) -> None:
        # Without the GIL it runs on, and the frames that are looked at may go meanwhile.
        frame = sys._current_frames().get(thread.ident or 0) if has_gil() else None
        reports.overdue(environ, thread.name, frame, seconds)

    def on_stuck(stuck: int) -> None:
        if 2 * stuck >= settings.threads and on_worn_out is not None:
            reports.stuck(stuck, settings.threads)
            on_worn_out()

    return Threads(
        app,
        reporter(reports, on_worn_out),
        clock,
        settings.request_timeout,
        on_overdue,
        threads=settings.threads,
        max_queue=settings.max_queue,
        queue_timeout=settings.queue_timeout,
        on_stuck=on_stuck,
    )


def run_in_greenlets(
    settings: Settings, app: Application, clock: Clock, on_worn_out: OnWornOut, reports: Reports
) -> Caller:
    """Return what runs `app` in a greenlet for each request."""
    from fastwsgi._greenlets import Greenlets
    from fastwsgi.execution.gevent import end, spawner

    def on_overdue(environ: dict[str, Any], greenlet: Any, seconds: float) -> None:
        reports.overdue(environ, "a greenlet", greenlet.gr_frame, seconds)

    return Greenlets(
        app,
        reporter(reports, on_worn_out),
        clock,
        settings.request_timeout,
        on_overdue,
        spawn=spawner(),
        end=end,
    )


def has_gil() -> bool:
    """Whether one thread at a time runs Python code: everywhere but on a free-threaded build (PEP 703)."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


DISPATCHERS: Final = {"inline": run_inline, "threads": run_in_threads, "gevent": run_in_greenlets}


def open_spool(folder: str | None) -> BinaryIO:
    """Return a new unnamed file in `folder` (None: the system's place for temporary files)."""
    from tempfile import TemporaryFile  # slow to import, and most workers never need it

    return TemporaryFile(prefix="fastwsgi-", dir=folder)


def access_log(settings: Settings, log: Logger | None) -> OnDone | None:
    """Return what to call after each response, or None where nobody is to be told."""
    if log is None or (type(log) is Logger and not log.access_log_enabled):
        return None
    from fastwsgi.observe.finished import listener

    return listener(
        log,
        format=settings.access_log_format,
        as_json=settings.access_log_json,
        excluded=settings.access_log_exclude,
    )


def request_hooks(settings: Settings, worker: object, log: Log) -> RequestHooks | None:
    """Return what goes around each request, or None where nothing does."""
    if settings.pre_request is None and settings.post_request is None:
        return None
    from fastwsgi.observe.request_hooks import RequestHooks

    return RequestHooks(worker, settings.pre_request, settings.post_request, log)


def reporter(
    reports: Reports, on_worn_out: OnWornOut
) -> Callable[[dict[str, Any], BaseException | str], None]:
    """Return what reports the application's mistakes, and has a worker replaced that is out of memory."""

    def report(environ: dict[str, Any], error: BaseException | str) -> None:
        reports.application_error(environ, error)
        if isinstance(error, MemoryError) and on_worn_out is not None and is_exhausted():
            reports.out_of_memory()
            on_worn_out()

    return report


def is_exhausted() -> bool:
    """Whether the process gets hardly any memory, and not only less than somebody wanted at once."""
    try:
        mmap(-1, ENOUGH_MEMORY).close()
    except OSError:
        return True
    return False
