"""The composition root: settings, application and sockets become one running server, bound once per worker.

Besides `config/` this is the only file that sees the settings.
"""

from __future__ import annotations

import logging
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
from fastwsgi._greenlets import Greenlets
from fastwsgi._http1 import LENIENCY, Http1
from fastwsgi._threads import Threads
from fastwsgi._wsgi import Caller, FileWrapper, Inline
from fastwsgi.net.listener import Factory, Listener
from fastwsgi.net.peers import Peers
from fastwsgi.net.reactor import Reactor
from fastwsgi.observe.access_log import both
from fastwsgi.observe.error_stream import ErrorStream
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import ERROR, Log
from fastwsgi.observe.reports import Reports

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


class Server:
    """One worker's server: a reactor, its listeners and their connections.

    `connections` bounds how many connections are open at once.
    """

    def __init__(self, reactor: Reactor, connections: int) -> None:
        self.reactor = reactor
        self._limit = connections
        self._listeners: list[Listener] = []
        self._draining = False
        self._on_quiet: Callable[[], object] | None = None
        self.elsewhere: Elsewhere | None = None
        self._beside: tuple[Server, ...] = ()
        self._preambles: ProxyProtocol | None = None
        self._endpoint: Endpoint | None = None
        self._reports: Reports | None = None

    @property
    def requests(self) -> int:
        """Requests dispatched so far."""
        return self._http.requests

    @property
    def connections(self) -> int:
        """Connections open now."""
        begun: int = self._http.connections
        return begun if self._preambles is None else begun + len(self._preambles)

    def run(self) -> None:
        """Serve until `stop`, or until a `drain` is complete."""
        self.reactor.run()
        if self._draining:
            self._finish()

    def announce(self) -> None:
        """Serve on, but say that the server ends: on every answer, and to whoever asks for its health."""
        for server in (self, *self._beside):
            server._http.announce()

    def drain(self, on_quiet: Callable[[], object] | None = None) -> None:
        """Take what is queued, answer what is under way, then let `run` return. Safe in a signal handler.

        `on_quiet()` is called when nothing is left in the queues of the listening sockets.
        """
        self._draining = True
        self._on_quiet = on_quiet
        self.reactor.stop()

    def stop(self) -> None:
        """Let `run` return at once. Safe in a signal handler."""
        self._draining = False
        self.reactor.stop()

    def close(self) -> None:
        """Close the connections and the reactor, but not the listening sockets."""
        for server in (self, *self._beside):
            server._close_connections()
        if self.elsewhere is not None:
            self.elsewhere.close()
        if self._reports is not None:
            self._reports.sweep()
        self.reactor.close()

    def run_beside(self, server: Server) -> None:
        """Let `server`, on the same reactor, end with this one."""
        self._beside += (server,)

    def speak(self, http: Http1) -> None:
        """Serve connections by `http` from now on."""
        self._http = http
        self.reactor.every_second(lambda: http.sweep(self.reactor.moment))
        self.reactor.every_wake(http.take_returned)

    def report(self, reports: Reports) -> None:
        """Let `reports` say once a second, and in the end, what it did not say at once."""
        self._reports = reports
        self.reactor.every_second(reports.sweep)

    def expect_proxies(self, preambles: ProxyProtocol) -> None:
        """Let connections of the listeners that follow begin with a PROXY header."""
        self._preambles = preambles

    def speak_tls(self, endpoint: Endpoint) -> None:
        """Let connections begin with the handshake of `endpoint`, which keeps its certificates fresh."""
        self._endpoint = endpoint
        endpoint.catch_up()
        self.reactor.every_second(endpoint.check)

    def run_elsewhere(self, dispatcher: Elsewhere) -> None:
        """Let `dispatcher`, which runs the application in threads or greenlets, see to its bounds."""
        self.elsewhere = dispatcher
        self.reactor.before_wait(dispatcher.rouse)
        self.reactor.every_second(dispatcher.sweep)

    def listen(
        self, sock: socket.socket, environs: EnvironBuilder, *, shared: bool, backlog: int
    ) -> None:
        """Accept from `sock`; see `Listener` for `shared` and `backlog`."""
        connect = partial(self._connect, environs)
        factory: Factory = connect
        if self._preambles is not None:
            refuse = partial(self._http.refuse, environs)
            factory = partial(self._preambles.accept, connect, refuse)
        listener = Listener(sock, self.reactor, factory, shared=shared, backlog=backlog)
        self._listeners.append(listener)

    def adjust(self) -> None:
        """Accept, or rest where the worker is full; called when the number of connections has changed."""
        full = self.connections >= self._limit
        for listener in self._listeners:
            if full:
                listener.pause()
            else:
                listener.resume()

    def _connect(
        self, environs: EnvironBuilder, fd: int, address: Any, extra: dict[str, Any] | None = None
    ) -> None:
        transport = None if self._endpoint is None else self._endpoint.accept()
        self._http.connect(environs, fd, address, extra=extra or None, transport=transport)
        if self.connections >= self._limit:
            self.adjust()

    def _close_connections(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._preambles is not None:
            self._preambles.close()
        self._http.close()

    def _drain_connections(self) -> None:
        for listener in self._listeners:
            listener.drain()
        self._http.drain()
        if self._preambles is not None:
            self._preambles.drain()

    def _finish(self) -> None:
        servers = (self, *self._beside)
        for server in servers:
            server._drain_connections()
        listeners = [listener for server in servers for listener in server._listeners]
        # Idle connections are let go in a second, and so is the next time that somebody looks.
        self.reactor.sweep()
        while self._draining and any(server.connections for server in servers):
            if self._on_quiet is not None and all(listener.stopped for listener in listeners):
                self._on_quiet()
                self._on_quiet = None
            self.reactor.turn()


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
) -> Server:
    """Return a server for `app` on bound `sockets`; they speak TLS where there is an `endpoint`.

    After `max_requests` requests (0: never) every answer announces the end of its connection and
    `on_worn_out()` is called; likewise when half of the threads are stuck. `heartbeat` is a cell of
    one double: the monotonic time, in seconds, at which the last request was dispatched. `worker` is
    what the hooks around requests get, `log` the server's logger; without one errors go to the
    logger `gunicorn.error`. `metrics` counts what happens on `sockets`, and answers on
    `metrics_sockets`, on the reactor's own thread however requests are run. Accepting starts here;
    nothing is answered before `Server.run` or `Server.reactor.turn`.
    """
    clock = clock or Clock()
    head = min(settings.limit_request_head, LARGEST_HEAD)
    if settings.execution == "gevent":
        from fastwsgi.execution.gevent import cooperative_poll, wait_for

        reactor, wait = Reactor(clock, make_poll=cooperative_poll), wait_for
    else:
        reactor, wait = Reactor(clock), None
    server = Server(reactor, settings.worker_connections)
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
    speaker = partial(
        Http1,
        reactor=reactor,
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
        body_buffer_size=settings.body_buffer_size,
        open_spool=partial(open_spool, settings.tmp_upload_dir or settings.worker_tmp_dir),
        header_timeout=settings.header_timeout,
        body_timeout=settings.body_timeout,
        body_min_rate=settings.body_min_rate,
        send_timeout=settings.send_timeout,
        keepalive=settings.keepalive,
        keepalive_requests=settings.keepalive_requests,
        output_buffer_size=settings.output_buffer_size,
        on_max_requests=on_worn_out,
        trusted_peers=Peers(settings.forwarded_allow_ips),
        leniency=sum(bit for name, bit in LENIENCY.items() if getattr(settings, name)),
    )
    on_done = both(access_log(settings, log), None if hooks is None else hooks.answered)
    http = speaker(
        dispatcher=dispatcher,
        request_streaming=settings.request_streaming,
        health_path=settings.health_path or "",
        health_log=settings.health_log,
        max_requests=max_requests,
        heartbeat=heartbeat,
        on_done=both(on_done, None if metrics is None else metrics.answered),
        on_refusal=both(reports.refusal, None if metrics is None else metrics.refused),
        on_change=server.adjust,
    )
    server.speak(http)
    if settings.proxy_protocol != "off":
        from fastwsgi.net.proxy_protocol import ProxyProtocol

        server.expect_proxies(
            ProxyProtocol(
                reactor,
                settings.proxy_protocol,
                Peers(settings.proxy_allow_ips),
                settings.header_timeout,
                server.adjust,
            )
        )
    if endpoint is not None:
        server.speak_tls(endpoint)
    for sock in sockets:
        environs = environ_builder(sock, settings)
        server.listen(sock, environs, shared=settings.workers > 1, backlog=settings.backlog)
    if metrics is not None:
        beside = Server(reactor, SCRAPES)
        http = speaker(
            dispatcher=Inline(metrics.page, reports.application_error),
            request_streaming=False,
            health_path="",
            health_log=False,
            max_requests=0,
            heartbeat=None,
            on_done=None,
            on_refusal=reports.refusal,
            on_change=beside.adjust,
        )
        beside.speak(http)
        for sock in metrics_sockets:
            environs = plain_environ_builder(sock, settings)
            beside.listen(sock, environs, shared=settings.workers > 1, backlog=settings.backlog)
        server.run_beside(beside)
    return server


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
