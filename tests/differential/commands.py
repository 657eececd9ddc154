"""Command lines and configuration files that both parsers read: as people write them, and as they get them wrong."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final, NamedTuple

# Met in public Dockerfiles, Procfiles, compose files and units; variables are substituted. A folder /app is the
# folder of the case.
COMMANDS: Final = """\
gunicorn backend.app:create_app() --bind 0.0.0.0:5000 --workers 2 --timeout 120
gunicorn --bind 0.0.0.0:5000 --workers 2 --timeout 120 --keep-alive 5 --max-requests 1000 --max-requests-jitter 50 app:app
gunicorn --bind 0.0.0.0:8000 --access-logfile - --error-logfile - --log-level info server
gunicorn --bind 0.0.0.0:5000 --reuse-port --reload --worker-class gthread --threads 4 --worker-connections 1000 main:app
gunicorn escolta_system.wsgi --log-file - --timeout 120 --workers 2
gunicorn -b :5000 --worker-tmp-dir /dev/shm --workers=2 --threads=3 --worker-class=gthread --access-logfile - --error-logfile - stabl:app
gunicorn -w 4 -b 0.0.0.0:8000 -k gthread --worker-tmp-dir /dev/shm --no-sendfile --forwarded-allow-ips '*' edd.wsgi:application
gunicorn --worker-class=gevent --graceful-timeout 2 -t 9999 -b 0.0.0.0:80 --worker-tmp-dir /dev/shm --access-logfile - --reload app:app
gunicorn --bind :8080 --workers 1 --threads 8 --timeout 0 --preload main:app
gunicorn --bind :8080 --chdir NST_Code app:app
gunicorn --workers=2 --threads=4 --worker-class=gthread --bind '[::]:80' --worker-tmp-dir /dev/shm --chdir /app/template wsgi:application
gunicorn --name betgame-observer --workers 1 --worker-class eventlet --bind localhost:8021 -m 007 'observer:init_app()'
gunicorn --workers 5 --bind 0.0.0.0:8000 --statsd-host telegraf.web:8125 --statsd-prefix censusreporter censusreporter.config.prod.wsgi
gunicorn --certfile=/etc/certs/localhost.crt --keyfile=/etc/certs/localhost.key backend.wsgi:application --bind 0.0.0.0:443
gunicorn -c python:wsgi_config run:main
gunicorn -t 0 -w 1 -b 0.0.0.0:5000 inference_server.server:app --access-logfile - --access-logformat '%(h)s %(t)s "%(r)s" %(s)s %(b)s'
gunicorn -b 0.0.0.0:7860 -w 4 --timeout 180 --graceful-timeout 180 main:app "--log-level debug"
gunicorn src.asgi:application --workers 2 -k uvicorn.workers.UvicornWorker --worker-tmp-dir /dev/shm --bind 0.0.0.0:8001
"""  # noqa: E501


class Case(NamedTuple):
    """`line` is what a shell would be given; `files` stand in its folder, with an empty text for a folder."""

    name: str
    line: str
    files: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}

    def words(self, folder: str) -> list[str]:
        return shlex.split(self.line.replace("/app/", f"{folder}/"))[1:]


FOLDERS: Final = {
    "NST_Code/": "",
    "template/": "",
    "wsgi_config.py": "workers = 3\nbind = ':8123'\n",
}


def command(line: str) -> Case:
    return Case(re.sub(r"\W+", "-", line.removeprefix("gunicorn "))[:60].strip("-"), line, FOLDERS)


def options(name: str, words: str, **environ: str) -> Case:
    return Case(name, f"gunicorn app:app {words}", {"sub/": ""}, environ)


def file(name: str, text: str, words: str = "", **environ: str) -> Case:
    files = {
        "gunicorn.conf.py": text,
        "sub/": "",
        "other.py": "workers = 9\nbind = ['h:9']\n",
        "hooks.py": "def hook(*a): pass\n",
    }
    return Case(name, f"gunicorn app:app {words}", files, environ)


# One of each setting, each not its default, as a configuration file says it.
EVERYTHING: Final = """\
bind = ["127.0.0.1:8001", "unix:/tmp/x.sock", "[::1]:8002"]
backlog = 64
workers = 3
worker_class = "gthread"
threads = 4
worker_connections = 200
max_requests = 500
max_requests_jitter = 50
timeout = 60
graceful_timeout = 15
keepalive = 5
limit_request_line = 8190
limit_request_fields = 200
limit_request_field_size = 16380
reload_engine = "poll"
reload_extra_files = [__file__]
preload_app = True
sendfile = False
reuse_port = True
raw_env = ["A=1", "B=x=y"]
pidfile = "/tmp/x.pid"
worker_tmp_dir = "/tmp"
tmp_upload_dir = "/tmp"
umask = 0o27
initgroups = True
pythonpath = "/a,/b"
proc_name = "named"
default_proc_name = "other"
secure_scheme_headers = {"X-SCHEME": "https"}
forwarded_allow_ips = "10.0.0.0/8,127.0.0.1"
forwarder_headers = "SCRIPT_NAME"
header_map = "refuse"
proxy_protocol = "v2"
proxy_allow_ips = "*"
accesslog = "-"
access_log_format = '%(h)s "%(r)s"'
errorlog = "/tmp/err.log"
loglevel = "debug"
capture_output = True
disable_redirect_access_to_syslog = True
syslog = True
syslog_addr = "udp://localhost:514"
syslog_prefix = "p"
syslog_facility = "local0"
enable_stdio_inheritance = True
statsd_host = "localhost:8125"
statsd_prefix = "web"
dogstatsd_tags = "a:1,b:2"
enable_backlog_metric = True
keyfile = "k.pem"
certfile = "c.pem"
ca_certs = "a.pem"
cert_reqs = 1
ciphers = "ECDHE"
suppress_ragged_eofs = False
do_handshake_on_connect = True
permit_obsolete_folding = True
strip_header_spaces = True
permit_unconventional_http_method = True
permit_unconventional_http_version = True
casefold_http_method = True
http_protocols = "h1"
http2_cleartext = "both"
http2_max_concurrent_streams = 5
http2_initial_window_size = 70000
http2_max_frame_size = 20000
http2_max_header_list_size = 70000
asgi_loop = "uvloop"
asgi_lifespan = "off"
asgi_disconnect_grace_period = 9
websocket_max_message_size = 10
http_parser = "fast"
root_path = "/api"
dirty_apps = ["a:b"]
dirty_workers = 2
dirty_timeout = 10
dirty_threads = 2
dirty_graceful_timeout = 3
spew = False
control_socket = "/tmp/c.ctl"
control_socket_mode = 0o660
control_socket_disable = True
raw_paste_global_conf = ["a=b"]
logconfig_dict = {"version": 1}
"""

HOOKS: Final = """\
def on_starting(server): pass
def on_reload(server): pass
def when_ready(server): pass
def pre_fork(server, worker): pass
def post_fork(server, worker): pass
def post_worker_init(worker): pass
def worker_int(worker): pass
def worker_abort(worker): pass
def pre_exec(server): pass
def pre_request(worker, req): pass
def post_request(worker, req, environ, resp): pass
def child_exit(server, worker): pass
def worker_exit(server, worker): pass
def nworkers_changed(server, new_value, old_value): pass
def on_exit(server): pass
def ssl_context(config, default_ssl_context_factory): return default_ssl_context_factory()
def on_dirty_starting(arbiter): pass
def dirty_post_fork(arbiter, worker): pass
def dirty_worker_init(worker): pass
def dirty_worker_exit(arbiter, worker): pass
"""

CASES: Final = (
    *map(command, COMMANDS.splitlines()),
    # What the command line says, and how.
    options("nothing", ""),
    options("several binds", "-b :1 --bind=host:2 -b unix:/tmp/s -b fd://3 -b tcp://h:4"),
    options("an empty bind", "-b ''"),
    options("a host alone", "-b 10.0.0.1"),
    options("abbreviations", "--work 3 --keep 7 --wor 4 --grac 9 --log-l debug --chd sub"),
    options("abbreviations of ours too", "--keep=7 --limit-request-fields 5 --limit-request-fi 9"),
    options("an odd spelling", "--limit-request-field_size 100 --proxy-allow-from '*'"),
    options("joined", "-w3 -k=gthread -b:5 --threads=2"),
    options("bad joined", "-w=3"),
    options(
        "every flag", "--reload --preload --reuse-port --spew --no-sendfile --no-control-socket"
    ),
    options("proxy protocol alone", "--proxy-protocol"),
    options("proxy protocol with a value", "--proxy-protocol v1"),
    options("proxy protocol off", "--proxy-protocol off"),
    options("a mask in octal", "-m 022"),
    options("a mask in decimal", "-m 22"),
    options("a mask as Python writes it", "--umask 0o22"),
    options("a mask that is none", "-m x"),
    options("a mode of the control socket", "--control-socket-mode 0660"),
    options("sync with threads", "--threads 2"),
    options("sync with no thread", "--threads 0"),
    options("no worker", "-w 0"),
    options("fewer than no worker", "-w -1"),
    options("no number", "-w many"),
    options("a number with a fraction", "--timeout 1.5"),
    options("an unknown option", "--nope"),
    options("a flag with a value", "--preload=yes"),
    options("an option without its value", "--bind"),
    options("an ambiguous abbreviation", "--max 3"),
    options("an unknown choice", "--http-parser slow"),
    options("a folder that is not there", "--chdir nowhere"),
    options("the folder of nothing", "--chdir ''"),
    options("another folder", "--chdir sub"),
    options("a worker class by its path", "-k gunicorn.workers.gthread.ThreadWorker"),
    options(
        "a worker class by its path, with threads",
        "-k gunicorn.workers.sync.SyncWorker --threads 2",
    ),
    options("a worker class by its entry point", "-k egg:gunicorn#gthread"),
    options("gevent's other names", "-k gevent_pywsgi"),
    options("an address that is no block", "--uwsgi-allow-from 10.0.0.1/8"),
    options("a file that is not there", "-c nowhere.py"),
    options("a module that is not there", "-c python:nowhere"),
    options("variables", "-e A=1 -e B=x=y --env C="),
    Case("no application", "gunicorn -w 2"),
    Case("an application of a file", "gunicorn", {"gunicorn.conf.py": "wsgi_app = 'a:b'"}),
    Case("paste", "gunicorn --paste site.ini -b :1", {"site.ini": "[app:main]\n"}),
    Case("paste by its other name", "gunicorn --paster=site.ini#x", {"site.ini": "[app:main]\n"}),
    Case(
        "paste with loggers", "gunicorn --paste site.ini", {"site.ini": "[loggers]\nkeys = root\n"}
    ),
    Case("paste that is not there", "gunicorn --paste site.ini"),
    Case(
        "paste with values",
        "gunicorn --paste x.ini --paste-global a=b --paste-global c=d",
        {"x.ini": ""},
    ),
    Case("two applications", "gunicorn one:app two:app"),
    # What the environment says.
    options("PORT", "", PORT="5000"),
    options("PORT below bind", "-b :1", PORT="5000"),
    options("PORT that is none below bind", "-b :1", PORT="tcp://10.0.0.1:80"),
    options("WEB_CONCURRENCY", "", WEB_CONCURRENCY="4"),
    options("WEB_CONCURRENCY below workers", "-w 2", WEB_CONCURRENCY="4"),
    options("WEB_CONCURRENCY empty", "", WEB_CONCURRENCY=""),
    options("WEB_CONCURRENCY no number", "", WEB_CONCURRENCY="many"),
    options("FORWARDED_ALLOW_IPS", "", FORWARDED_ALLOW_IPS="10.0.0.0/8"),
    options("FORWARDED_ALLOW_IPS empty", "", FORWARDED_ALLOW_IPS=""),
    options("SENDFILE no", "", SENDFILE="no"),
    options("SENDFILE yes", "", SENDFILE="yes"),
    options("SENDFILE empty", "", SENDFILE=""),
    options("SENDFILE yes, and the flag", "--no-sendfile", SENDFILE="yes"),
    options("GUNICORN_CMD_ARGS", "", GUNICORN_CMD_ARGS="-w 5 -b :6 --preload"),
    options("GUNICORN_CMD_ARGS below", "-w 2 -b :7", GUNICORN_CMD_ARGS="-w 5 -b :6 -b :8"),
    options(
        "GUNICORN_CMD_ARGS quoted", "", GUNICORN_CMD_ARGS="--access-logformat '%(h)s \"%(r)s\"'"
    ),
    options("GUNICORN_CMD_ARGS bad", "", GUNICORN_CMD_ARGS="--nope"),
    options("GUNICORN_CMD_ARGS unclosed", "", GUNICORN_CMD_ARGS="'unclosed"),
    options("GUNICORN_CMD_ARGS no number", "", GUNICORN_CMD_ARGS="-w x"),
    options("GUNICORN_CMD_ARGS with words", "", GUNICORN_CMD_ARGS="-w 3 other:app"),
    # What a configuration file says.
    file("everything", EVERYTHING),
    file("hooks", HOOKS),
    file("a hook by name", "post_fork = 'os.path.join'\nwhen_ready = 'os.path.abspath'\n"),
    file("a hook with too many arguments", "def post_fork(a, b, c): pass"),
    file("post_request with two arguments", "def post_request(a, b): pass"),
    file("post_request with one argument", "def post_request(a): pass"),
    file("a hook that is no function", "post_fork = 5"),
    file("a file below GUNICORN_CMD_ARGS", "workers = 2\nbind = 'a:1'", GUNICORN_CMD_ARGS="-w 5"),
    file(
        "a file below the command line", "workers = 2\nbind = ['a:1', 'b:2']", "-b :3 --workers 4"
    ),
    file(
        "a file above the environment", "workers = 2\nbind = 'a:1'", WEB_CONCURRENCY="7", PORT="1"
    ),
    file("a file named on the command line", "timeout = 9", "-c other.py"),
    file("a file named with its scheme", "timeout = 9", "-c file:other.py"),
    file("a module named on the command line", "timeout = 9", "-c python:other"),
    file("a file named in GUNICORN_CMD_ARGS", "timeout = 9", GUNICORN_CMD_ARGS="-c other.py"),
    file(
        "a file named twice", "x = 1", "-c gunicorn.conf.py", GUNICORN_CMD_ARGS="-c other.py -w 3"
    ),
    file("a file that names a file", "config = 'other.py'\nworkers = 2"),
    file("a flag that is None", "preload_app = None"),
    file("a flag in words", "preload_app = 'True'\nreuse_port = 'false'"),
    file("a flag in wrong words", "preload_app = 'maybe'"),
    file("numbers as text", "workers = '0x3'\ntimeout = '60'"),
    file("a number that is True", "workers = True"),
    file("a number with a fraction in a file", "workers = 2.0"),
    file("a negative number", "timeout = -1"),
    file("text with space around it", "proc_name = ' x '\naccesslog = ' - '"),
    file("one bind as text", "bind = '127.0.0.1:9'"),
    file("binds as a tuple", "bind = ('a:1', 'b:2')"),
    file("raw_env as text", "raw_env = 'A=1,2'"),
    file("raw_env wrong", "raw_env = ['A']"),
    file(
        "a computed number", "import os\nworkers = 2 * 1 + 1\nthreads = int(os.environ.get('T', 4))"
    ),
    file("a module it imports", "from other import bind\nworkers = 4"),
    file("names that are no settings", "import os\nfoo = 1\n_workers = 5\ndef helper(): pass"),
    file(
        "a worker class in a file",
        "from gunicorn.workers.gthread import ThreadWorker as W\nworker_class = W",
    ),
    file("another folder in a file", "chdir = 'sub'"),
    file("a scheme header map that is none", "secure_scheme_headers = 'x'"),
    file("a bad address block", "forwarded_allow_ips = 'x'"),
    file("a bad header map", "header_map = 'x'"),
    file("a bad reload engine", "reload_engine = 'x'"),
    file("an extra file that is not there", "reload_extra_files = ['nowhere.html']"),
    file(
        "extra files by a pattern",
        "from os.path import abspath\nreload_extra_files = [abspath('*.py'), abspath('sub/**/*.html')]",
    ),
    file("a user that is not there", "user = 'nobody-of-that-name'"),
    file("a group that is not there", "group = 'nobody-of-that-name'"),
    file("a user and group by number", "user = 7\ngroup = '8'"),
    file("a user by name", "user = 'root'\ngroup = 'root'"),
    file("a statsd socket", "statsd_host = 'unix:///tmp/s'"),
    file("a file with a mistake", "workers = ("),
    file("a file that raises", "workers = nothing"),
    file("a file that imports nothing", "import nowhere"),
    file("a file that exits", "import sys\nsys.exit(7)"),
)

# Applications by all their names, and what is no name of one. Each returns what it is known by.
SITE: Final = """\
def application(environ, start_response): return "application"
def app(environ, start_response): return "app"
def make(greeting="made", *, times=1): return lambda environ, start_response: greeting * times
def repeat(*values): return lambda environ, start_response: repr(values)
def nothing(): return None
class Holder:
    @staticmethod
    def app(environ, start_response): return "held"
none = None
number = 5
"""
APPLICATIONS: Final = (
    *("site_app", "site_app:app", "site_app: app", "site_app:app ", "pack.inner", "pack.inner:app"),
    *(
        "site_app:make()",
        "site_app:make('x')",
        "site_app:make('x', times=2)",
        "site_app:make(greeting='x')",
    ),
    *(
        "site_app:repeat(1, -1, 1.5, True, None, 'a', b'b')",
        "site_app:repeat([1], (2,), {3}, {'a': [4]})",
    ),
    *("site_app:make(times=5 * 2)", "site_app:make(times=number)", "site_app:make(**{'times': 2})"),
    *(
        "site_app:make(*['x'])",
        "site_app:make(nope=1)",
        "site_app:make(1, 2, 3)",
        "site_app:nothing()",
    ),
    *("site_app:none", "site_app:number", "site_app:number()", "site_app:gone", "site_app:gone()"),
    *(
        "site_app:",
        "site_app:1",
        "site_app:app app",
        "site_app:app[0]",
        "site_app:app:app",
        "site_app:'app'",
    ),
    *(
        "",
        ":app",
        "site_app.py",
        "site_app.py:app",
        "gone",
        "gone:app",
        "site_app.gone",
        "pack.gone:app",
    ),
    "site_app:Holder.app",
)
