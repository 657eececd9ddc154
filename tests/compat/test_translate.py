"""`fastwsgi translate uwsgi.ini`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.translate.options import FAMILIES, RULES
from fastwsgi.translate.uwsgi import translate
from tests.conftest import Serve
from tests.support.server import environment

USUAL = """\
; as many have it
[uwsgi]
project = site
base = {folder}
chdir = %(base)
module = app:%(callable_name)
callable = app
master = true
processes = %k
threads = 2
socket = %d%n.sock
http-socket = 127.0.0.1:$(TRANSLATED_PORT)
chmod-socket = 660
vacuum = true
die-on-term
harakiri = 60
max-requests = 5000
buffer-size = 32768
env = SETTINGS=%(project).settings
if-env = TRANSLATED_DEBUG
env = MODE=%(_)
endif =
for = a b
static-map = /%(_)=/srv/%(_)
endfor =
logto = %d%n.log
log-format = %(addr) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(wid)
stats = /tmp/stats.sock
cheaper = 2
no-such-option = 1
uid = root
reload-on-rss = 512
"""


def write(folder: Path, text: str, name: str = "uwsgi.ini") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def names(folder: Path, text: str, **env: str) -> dict[str, object]:
    """What a translation says when it is run."""
    source = translate(write(folder, f"[uwsgi]\n{text}"))
    before = dict(os.environ)
    os.environ.update(env)
    try:
        said: dict[str, object] = {}
        exec(source, said)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return {name: said[name] for name in said.keys() - {"os", "__builtins__"}}


def comments(folder: Path, text: str) -> str:
    return translate(write(folder, f"[uwsgi]\n{text}"))


def test_the_translation_of_a_usual_file_is_a_configuration(site: Path, serve: Serve) -> None:
    text = USUAL.replace("{folder}", str(site)).replace("app:%(callable_name)", "app")
    write(site, text)
    done = subprocess.run(
        [sys.executable, "-m", "fastwsgi", "translate", "uwsgi.ini"],
        cwd=site,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    (site / "fastwsgi.conf.py").write_text(done.stdout)
    env = {"TRANSLATED_PORT": "0", "TRANSLATED_DEBUG": "yes"}
    checked = serve("--check-config", cwd=site, env=env, ready=False)
    assert checked.wait() == 0
    assert checked.log.lines == []
    server = serve("--error-logfile", "-", "-w", "1", cwd=site, env=env)
    assert server.get("/") == (200, b"hello")
    assert f"unix:{site}/uwsgi.sock" in server.addresses
    number = 1 + text.splitlines().index("stats = /tmp/stats.sock")
    assert f"# line {number}: stats = /tmp/stats.sock; there is no statistics" in done.stdout
    assert ": no-such-option = 1; no option of uWSGI's that is known" in done.stdout
    assert "raw_env += [f\"MODE={os.environ.get('TRANSLATED_DEBUG', '')}\"]" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http = :80", {"bind": ["0.0.0.0:80"]}),
        ("http = *:80", {"bind": ["0.0.0.0:80"]}),
        ("http = [::1]:80", {"bind": ["[::1]:80"]}),
        ("http-socket = /run/a.sock", {"bind": ["unix:/run/a.sock"]}),
        ("http-socket = a.sock\nhttp = h:1", {"bind": ["unix:a.sock", "h:1"]}),
        ("https = :443,c,k", {"bind": ["0.0.0.0:443"], "certfile": "c", "keyfile": "k"}),
        ("chmod-socket", {"umask": 0o111}),
        ("umask = 022", {"umask": 0o022}),
        ("processes = 4", {"workers": 4}),
        ("workers = $(N)", {"workers": "7"}),
        ("processes = %k", {"workers": "auto"}),
        ("listen = 1024", {"backlog": 1024}),
        ("gevent = 100", {"worker_class": "gevent", "worker_connections": 100}),
        ("harakiri = 20", {"request_timeout": 20}),
        ("harakiri = 90", {"request_timeout": 90, "timeout": 90}),
        ("buffer-size = 99999", {"limit_request_head": 99999}),
        ("limit-post = 5", {"limit_request_body": 5}),
        ("module = a.b:c", {"wsgi_app": "a.b:c"}),
        ("module = a.b\ncallable = c()", {"wsgi_app": "a.b:c()"}),
        ("wsgi-file = /srv/a/b.py\ncallable = c", {"wsgi_app": "b:c", "pythonpath": "/srv/a"}),
        ("mount = /=a.b:c", {"wsgi_app": "a.b:c"}),
        ("pp = x\npythonpath = y", {"pythonpath": "x,y"}),
        ("ini-paste = /srv/a.ini", {"paste": "/srv/a.ini"}),
        ("uid = www\ngid = 33", {"user": "www", "group": "33"}),
        ("daemonize = /var/log/a", {"daemon": True, "errorlog": "/var/log/a"}),
        ("logto = /a\nreq-logger = file:/b", {"errorlog": "/a", "accesslog": "/b"}),
        ("logto = /a", {"errorlog": "/a", "accesslog": "/a"}),
        ("master = 1", {"accesslog": "-", "timeout": 0}),
        ("max-requests = 9\nmax-requests-delta = 3", {"max_requests_jitter": 3}),
        ("reload-on-rss = 200", {"max_rss": "200M"}),
        ("max-worker-lifetime = 60", {"max_lifetime": 60}),
        ("py-autoreload = 1", {"reload": True}),
        ("env = A=b\nenv = C=d", {"raw_env": ["A=b", "C=d"]}),
        ("env = A=x$(N)y", {"raw_env": ["A=x7y"]}),
        ("x = 3\nprocesses = %(x)", {"workers": 3}),
        ("set-ph = x=3\nprocesses = %(x)", {"workers": 3}),
        ("set = processes=3", {"workers": 3}),
        ("for-times = 2\nhttp = h:%(_)\nendfor =", {"bind": ["h:1", "h:2"]}),
        ("if-env = N\nprocesses = %(_)\nend-if =", {"workers": "7"}),
        ("if-not-env = N\nthreads = 3\nendif =\nlisten = 5", {"backlog": 5}),
        ("if-exists = /\nif-dir = /\nlisten = 5\nendif =\nendif =", {"backlog": 5}),
        ("x = 1\nif-opt = x=1\nlisten = 5\nendif =", {"backlog": 5}),
        ("if-opt = x=1\nlisten = 5\nendif =", {"accesslog": "-"}),
        ("chdir = %d", {"chdir": "{folder}/"}),
        ("pidfile = %p%e", {"pidfile": "{folder}/uwsgi.iniini"}),
        ("procname = %n-%s-%c", {"proc_name": "uwsgi-uwsgi.ini-{name}"}),
        ("log-format = 100% %(var.X) %(msecs)", {"access_log_format": "100%% %({X}e)s %(M)s"}),
        ("disable-logging = true", {}),
    ],
)
def test_options(text: str, said: dict[str, object], tmp_path: Path) -> None:
    found = names(tmp_path, text, N="7")
    for name, value in said.items():
        if isinstance(value, str):
            value = value.replace("{folder}", str(tmp_path)).replace("{name}", tmp_path.name)  # noqa: PLW2901
        assert found.get(name) == value
    assert ("accesslog" in found) == ("disable-logging" not in text)
    assert "threads" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[uwsgi]\nprocesses = many", "line 2: processes takes a whole number, not 'many'"),
        ("[uwsgi]\n\nprocesses = 0", "line 3: processes takes 1 or more"),
        ("[uwsgi]\n<chdir>", "line 2: '<chdir>' is neither NAME = VALUE nor a section"),
        ("[uwsgi\nmaster = 1", "line 1: '\\[uwsgi' is a section without its closing bracket"),
        ("master = 1", "line 1: 'master' stands before any \\[section\\]"),
        ("[other]\nmaster = 1", "has no section \\[uwsgi\\]; there is: \\[other\\]"),
        ("[uwsgi]\nif-env = A\nmaster = 1", "line 2: if-env has no endif"),
        ("[uwsgi]\nfor = a b\nmaster = 1", "line 2: for has no endfor"),
        ("[uwsgi]\nendif =", "line 2: endif ends nothing"),
        ("[uwsgi]\nif-reload = 1\nendif =", "line 2: if-reload is a condition that cannot be read"),
        ("[uwsgi]\nfor-glob = *\nendfor =", "line 2: for-glob = \\* cannot be read"),
        ("[uwsgi]\nini = other.ini", "line 2: cannot read 'other.ini': No such file"),
        ("[uwsgi]\nini = :uwsgi", "it includes itself"),
        ("[uwsgi]\nyaml = other.yml", "line 2: yaml = other.yml: only ini files can be read"),
        ("[uwsgi]\nenv = @(/etc/secret)", "line 2: @\\(/etc/secret\\) is read from elsewhere"),
        ("[uwsgi]\nwsgi-file = a/b-c.wsgi", "line 2: wsgi-file 'b-c.wsgi' cannot be imported"),
        ("[uwsgi]\nhttps = :443", "line 2: https takes ADDRESS,CERTIFICATE,KEY, not ':443'"),
        ("[uwsgi]\nset-ph = x", "line 2: set-ph takes NAME=VALUE, not x"),
        ("[uwsgi]\nchdir =", "line 2: chdir takes a value"),
        ("[uwsgi]\nchmod-socket = rw", "line 2: chmod-socket takes a mode such as 664, not 'rw'"),
        ("[uwsgi]\nsocket = @name", "line 2: socket '@name' is an abstract socket"),
        ("[uwsgi]\nthreads = %k", "line 2: threads takes a whole number, not '%k'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        translate(write(tmp_path, text))
    assert caught.value.exit_code == 1
    assert str(tmp_path / "uwsgi.ini") in str(caught.value) or "itself" in message


def test_includes_and_sections(tmp_path: Path) -> None:
    write(tmp_path, "[uwsgi]\nprocesses = %(many)\n[more]\nlisten = 7\n", "base.ini")
    path = write(
        tmp_path,
        "[uwsgi]\nmany = 3\nini = base.ini\ninclude = base.ini:more\nini = :own\n"
        "[own]\nthreads = 2\n[unread]\nthreads = x\n",
    )
    text = translate(path)
    assert f"workers = 3  # {tmp_path}/base.ini, line 2: processes = %(many)\n" in text
    assert "backlog = 7  # " in text
    assert "threads = 2  # line 7: threads = 2\n" in text
    assert "many" not in text.replace("%(many)", "")
    assert "threads = 2" in translate(f"{path}:own")


def test_the_remarks_name_what_has_no_match(tmp_path: Path) -> None:
    text = comments(
        tmp_path,
        "socket = :3031\nspooler = /x\ncron = 1 2\nmount = /a=b\nhome = /v\nmaster\nodd = 1\n"
        "logger = syslog:x\n",
    )
    for remark in (
        "line 2: socket = :3031; it speaks HTTP and not the uwsgi protocol",
        "# line 3: spooler = /x; there is no spooler",
        "# line 4: cron = 1 2; there are no timers",
        "# line 5: mount = /a=b; there is one application",
        "# line 6: home = /v; start the server with bin/fastwsgi",
        "# line 7: master; needs no setting here",
        "# line 8: odd = 1; no option of uWSGI's that is known here",
        "# line 9: logger = syslog:x; it can log to files and streams",
        "# No application is named",
    ):
        assert remark in text


@pytest.mark.parametrize("name", sorted({*RULES, *FAMILIES}))
def test_every_rule_gives_settings_that_are_there(name: str, tmp_path: Path) -> None:
    for value in ("5", "/a.py", "true", "h:1,b,c", "a=b"):
        try:
            said = names(tmp_path, f"{name} = {value}")
        except ConfigError:
            continue
        assert said.keys() <= Settings.ROWS.keys()


def test_the_command_says_what_is_wrong_and_ends_with_1(serve: Serve, site: Path) -> None:
    server = serve("translate", "missing.ini", cwd=site, ready=False)
    assert server.wait() == 1
    assert server.log.lines == [
        "fastwsgi: error: cannot read 'missing.ini': No such file or directory"
    ]


@pytest.mark.parametrize(
    "words", [("translate:app",), ("translate", "-w", "1"), ("translate", "a", "b")]
)
def test_a_module_of_that_name_can_be_served(
    words: tuple[str, ...], serve: Serve, site: Path
) -> None:
    (site / "translate.py").write_text("from app import app\napplication = app\n")
    server = serve(*words, "-b", "127.0.0.1:0", cwd=site)
    assert server.get("/") == (200, b"hello")
