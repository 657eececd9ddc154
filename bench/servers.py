"""The measured servers: one row each.

Every server runs the same application, with one worker, its access log off (but in the model that is about
it) and keep-alive on where it has it. Servers are compared with those of the same execution model.
"""

from __future__ import annotations

from dataclasses import dataclass

THREADS = 8  # that run the application, in the model of that name


class ServerError(Exception):
    """The server cannot be measured; the message says why."""


@dataclass(frozen=True)
class Server:
    """A row of the table.

    `argv` may name {python}, {peers}, {bin} (the scripts of the peers), {limit}, {folder} (of the run's
    files), {module} (that has the application, as `app`), {port}, {workers}, {certificate} and {key}.
    """

    name: str
    argv: tuple[str, ...]
    packages: tuple[str, ...] = ()
    """The distributions that have to be installed, and whose versions are recorded."""
    peer: bool = False
    model: str = "inline"
    """What runs the application: the event loop's own thread, a pool of threads, greenlets. Or, whatever
    runs it: tls, that is what is spoken, and logged, that a line of a log is written for each request."""
    module: str = ""
    """What its interpreter has to be able to import, where a part of the server may be missing."""
    program: str = ""
    """The command that has to be installed, where the server is no Python package."""
    hello_only: bool = False
    """Whether it runs no application and knows only the hello answer."""

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
    *("--keepalive-requests", "0"),  # nginx's bound is lifted as well, no other server has one
)
GUNICORN = (
    *("{peers}", "-m", "gunicorn", "{module}:app", "-b", "127.0.0.1:{port}"),
    *("--workers", "{workers}", "--keep-alive", "65", "--worker-connections", "20000"),
    "--no-control-socket",
)
GRANIAN = (
    *("{peers}", "-m", "granian", "{module}:app", "--interface", "wsgi", "--http", "1"),
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}"),
    *("--backpressure", "20000", "--no-ws", "--http1-pipeline-flush"),
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
    *("{bin}/uwsgi", "--http11-socket", "127.0.0.1:{port}", "--listen", "1024"),
    *("--so-keepalive", "--tcp-nodelay"),
    *("--virtualenv", "{bin}/..", "--module", "{module}:app", "--need-app", "--master"),
    *("--processes", "{workers}", "--die-on-term", "--http-auto-chunked"),
)
UVICORN = (
    *("{peers}", "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
    *("--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "65"),
)
TLS = ("--certfile", "{certificate}", "--keyfile", "{key}")
# To standard output, which is a file as long as the server runs.
LOG = ("--access-logfile", "-")
# One process, as it has one core. Its configuration is a file, so a shell writes it.
NGINX_CONFIGURATION = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 20000; }}
http {{
    access_log off; keepalive_timeout 65; keepalive_requests 1000000000; default_type text/plain;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{ listen 127.0.0.1:{port} backlog=1024; return 200 'Hello, World!'; }}
}}
"""
NGINX = (
    'mkdir -p "$0"; printf %s "$1" >"$0/nginx.conf"; '
    'exec nginx -e stderr -p "$0" -c "$0/nginx.conf"'
)
BJOERN = "import bjoern; from {module} import app; bjoern.run(app, '127.0.0.1', {port})"
FASTPYSGI = "import fastpysgi; from {module} import app; fastpysgi.run(app, '127.0.0.1', {port})"


def peer(name: str, argv: tuple[str, ...], *packages: str, model: str = "inline") -> Server:
    return Server(name, argv, packages, peer=True, model=model)


TABLE = (
    Server("limit", ("{limit}", "{port}"), hello_only=True),
    Server("fastwsgi", FASTWSGI),
    Server(
        "nginx",
        ("sh", "-c", NGINX, "{folder}/nginx", NGINX_CONFIGURATION),
        program="nginx",
        hello_only=True,
    ),
    peer("bjoern", ("{peers}", "-c", BJOERN), "bjoern"),
    peer("fastpysgi", ("{peers}", "-c", FASTPYSGI), "fastpysgi"),
    peer("granian", (*GRANIAN, "--no-access-log", "--blocking-threads", "1"), "granian"),
    peer("uwsgi", (*UWSGI, "--disable-logging"), "uwsgi"),
    peer("waitress", (*WAITRESS, "{module}:app"), "waitress"),
    peer("cheroot", ("{peers}", "-c", CHEROOT % (1, 1)), "cheroot"),
    peer("uvicorn", (*UVICORN, "asgi:{module}"), "uvicorn", "a2wsgi"),
    peer("gunicorn-gthread", (*GUNICORN, "-k", "gthread", "--threads", "1"), "gunicorn"),
    peer("gunicorn-sync", (*GUNICORN, "-k", "sync"), "gunicorn"),
    Server("fastwsgi-threads", (*FASTWSGI, "--threads", f"{THREADS}"), model="threads"),
    peer(
        "granian-threads",
        (*GRANIAN, "--no-access-log", "--blocking-threads", f"{THREADS}"),
        "granian",
        model="threads",
    ),
    peer(
        "uwsgi-threads",
        (*UWSGI, "--disable-logging", "--threads", f"{THREADS}"),
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
        *("gunicorn", "gevent", "packaging"),
        model="gevent",
    ),
    Server("fastwsgi-tls", (*FASTWSGI, *TLS), model="tls"),
    Server("fastwsgi-threads-tls", (*FASTWSGI, "--threads", f"{THREADS}", *TLS), model="tls"),
    peer(
        "granian-tls",
        (
            *(*GRANIAN, "--no-access-log", "--blocking-threads", "1"),
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
    Server("fastwsgi-logged", (*FASTWSGI, *LOG), model="logged"),
    peer(
        "granian-logged",
        (*GRANIAN, "--access-log", "--blocking-threads", "1"),
        "granian",
        model="logged",
    ),
    peer("uwsgi-logged", UWSGI, "uwsgi", model="logged"),
    peer(
        "gunicorn-gthread-logged",
        (*GUNICORN, "-k", "gthread", "--threads", "1", *LOG),
        "gunicorn",
        model="logged",
    ),
    peer("gunicorn-sync-logged", (*GUNICORN, "-k", "sync", *LOG), "gunicorn", model="logged"),
)
NAMES = tuple(server.name for server in TABLE)


def find(name: str) -> Server:
    """The row of that name. KeyError when there is none."""
    return {server.name: server for server in TABLE}[name]
