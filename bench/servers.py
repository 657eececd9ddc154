"""The measured servers: one row each.

Every server runs the same application, with one worker, its access log off and keep-alive on where it has
it. Servers are compared with those of the same execution model.
"""

from __future__ import annotations

from dataclasses import dataclass

THREADS = 8  # that run the application, in the model of that name


class ServerError(Exception):
    """The server cannot be measured; the message says why."""


@dataclass(frozen=True)
class Server:
    """A row of the table.

    `argv` may name {python}, {peers}, {bin} (the scripts of the peers), {limit}, {module} (that has the
    application, as `app`), {port}, {workers}, {certificate} and {key}.
    """

    name: str
    argv: tuple[str, ...]
    packages: tuple[str, ...] = ()
    """The distributions that have to be installed, and whose versions are recorded."""
    peer: bool = False
    model: str = "inline"
    """What runs the application: the event loop's own thread, a pool of threads, greenlets; or tls:
    whatever runs it, that is what is spoken."""
    module: str = ""
    """What its interpreter has to be able to import, where a part of the server may be missing."""

    @property
    def ours(self) -> bool:
        """Whether it is fastwsgi."""
        return self.name.startswith("fastwsgi")

    @property
    def scales(self) -> bool:
        """Whether it can run several workers."""
        return any("{workers}" in word for word in self.argv)


FASTWSGI = (
    *("{python}", "-m", "fastwsgi", "{module}:app", "-b", "127.0.0.1:{port}"),
    *("--workers", "{workers}", "--keep-alive", "65", "--worker-connections", "20000"),
)
GUNICORN = (
    *("{peers}", "-m", "gunicorn", "{module}:app", "-b", "127.0.0.1:{port}"),
    *("--workers", "{workers}", "--keep-alive", "65", "--worker-connections", "20000"),
    "--no-control-socket",
)
GRANIAN = (
    *("{peers}", "-m", "granian", "{module}:app", "--interface", "wsgi", "--http", "1"),
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}"),
    *("--backpressure", "20000", "--no-access-log", "--no-ws", "--http1-pipeline-flush"),
)
WAITRESS = (
    *("{peers}", "-m", "waitress", "--listen", "127.0.0.1:{port}"),
    *("--connection-limit", "20000", "--asyncore-use-poll"),
)
# Its command line cannot say how many connections are kept: ten of them.
CHEROOT = (
    "from cheroot.wsgi import Server; from {module} import app; server = Server("
    "('127.0.0.1', {port}), app, numthreads=%d, max=%d, timeout=65, request_queue_size=2048); "
    "server.keep_alive_conn_limit = 20000; server.safe_start()"
)
UWSGI = (
    *("{bin}/uwsgi", "--http11-socket", "127.0.0.1:{port}", "--so-keepalive", "--listen", "1024"),
    *("--virtualenv", "{bin}/..", "--module", "{module}:app", "--need-app", "--master"),
    *("--processes", "{workers}", "--die-on-term", "--disable-logging", "--http-auto-chunked"),
)
UVICORN = (
    *("{peers}", "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
    *("--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "65"),
)
TLS = ("--certfile", "{certificate}", "--keyfile", "{key}")
BJOERN = "import bjoern; from {module} import app; bjoern.run(app, '127.0.0.1', {port})"
FASTPYSGI = "import fastpysgi; from {module} import app; fastpysgi.run(app, '127.0.0.1', {port})"


def peer(name: str, argv: tuple[str, ...], *packages: str, **options: str) -> Server:
    return Server(name, argv, packages, peer=True, **options)


TABLE = (
    Server("limit", ("{limit}", "{port}")),
    Server("fastwsgi", FASTWSGI),
    peer("bjoern", ("{peers}", "-c", BJOERN), "bjoern"),
    peer("fastpysgi", ("{peers}", "-c", FASTPYSGI), "fastpysgi"),
    peer("granian", (*GRANIAN, "--blocking-threads", "1"), "granian"),
    peer("uwsgi", UWSGI, "uwsgi"),
    peer("waitress", (*WAITRESS, "{module}:app"), "waitress"),
    peer("cheroot", ("{peers}", "-c", CHEROOT % (1, 1)), "cheroot"),
    peer("uvicorn", (*UVICORN, "asgi:{module}"), "uvicorn", "a2wsgi"),
    peer("gunicorn-gthread", (*GUNICORN, "-k", "gthread", "--threads", "1"), "gunicorn"),
    peer("gunicorn-sync", (*GUNICORN, "-k", "sync"), "gunicorn"),
    Server("fastwsgi-threads", (*FASTWSGI, "--threads", f"{THREADS}"), model="threads"),
    peer(
        "granian-threads",
        (*GRANIAN, "--blocking-threads", f"{THREADS}"),
        "granian",
        model="threads",
    ),
    peer(
        "uwsgi-threads",
        (*UWSGI, "--threads", f"{THREADS}"),
        "uwsgi",
        model="threads",
    ),
    peer(
        "waitress-threads",
        (*WAITRESS, "--threads", f"{THREADS}", "{module}:app"),
        "waitress",
        model="threads",
    ),
    peer(
        "cheroot-threads",
        ("{peers}", "-c", CHEROOT % (THREADS, THREADS)),
        "cheroot",
        model="threads",
    ),
    peer(
        "uvicorn-threads",
        (*UVICORN, "asgi:{module}_in_threads"),
        *("uvicorn", "a2wsgi"),
        model="threads",
    ),
    peer(
        "gunicorn-threads",
        (*GUNICORN, "-k", "gthread", "--threads", f"{THREADS}"),
        "gunicorn",
        model="threads",
    ),
    Server(
        "fastwsgi-gevent",
        (*FASTWSGI, "-k", "gevent"),
        model="gevent",
        module="fastwsgi.execution.gevent",
    ),
    peer(
        "gunicorn-gevent",
        (*GUNICORN, "-k", "gevent"),
        "gunicorn",
        model="gevent",
        module="gevent",
    ),
    Server("fastwsgi-tls", (*FASTWSGI, *TLS), model="tls"),
    Server("fastwsgi-threads-tls", (*FASTWSGI, "--threads", f"{THREADS}", *TLS), model="tls"),
    peer(
        "granian-tls",
        (
            *(*GRANIAN, "--blocking-threads", "1"),
            *("--ssl-certificate", "{certificate}", "--ssl-keyfile", "{key}"),
        ),
        "granian",
        model="tls",
    ),
    peer(
        "gunicorn-threads-tls",
        (*GUNICORN, "-k", "gthread", "--threads", f"{THREADS}", *TLS),
        "gunicorn",
        model="tls",
    ),
)
NAMES = tuple(server.name for server in TABLE)


def find(name: str) -> Server:
    """The row of that name. KeyError when there is none."""
    return {server.name: server for server in TABLE}[name]
