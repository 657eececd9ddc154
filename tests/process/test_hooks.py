"""Hooks of a configuration file: when each is called, with what, and what becomes of one that fails."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.holding import HeldRequest
from tests.support.server import COMMAND, ServerProcess

LOCAL = ("-b", "127.0.0.1:0")
GUNICORN = (sys.executable, "-m", "gunicorn", "--no-control-socket")

# Says on standard error which hook was called where: by the master, or by the worker of some age.
SAYING = """
import os

def say(*words):
    os.write(2, (" ".join(map(str, ("HOOK", *words))) + "\\n").encode())

def on_starting(server): say("master on_starting", server.pid == os.getpid())
def when_ready(server): say("master when_ready", len(server.LISTENERS), len(server.WORKERS))
def nworkers_changed(server, new, old): say("master nworkers_changed", new, old)
def on_reload(server): say("master on_reload", server.cfg.workers)
def on_exit(server): say("master on_exit", len(server.WORKERS))
def pre_fork(server, worker): say("master pre_fork", worker.age, worker.pid)
def child_exit(server, worker): say("master child_exit", worker.pid in server.WORKERS)
def post_fork(server, worker): say(worker.age, "post_fork", worker.pid == os.getpid())
def post_worker_init(worker): say(worker.age, "post_worker_init", worker.booted, worker.ppid == os.getppid())
def pre_request(worker, req): say(worker.age, "pre_request", req.method, req.path, req.query)
def post_request(worker, req, environ, resp): say(worker.age, "post_request", worker.nr, resp.status)
def worker_int(worker): say(worker.age, "worker_int")
def worker_abort(worker): say(worker.age, "worker_abort")
def worker_exit(server, worker): say(worker.age, "worker_exit", server.pid == os.getppid())
"""


@pytest.fixture
def site(site: Path) -> Path:
    (site / "gunicorn.conf.py").write_text(SAYING)
    return site


def configure(site: Path, text: str) -> None:
    (site / "gunicorn.conf.py").write_text(f"{SAYING}\n{text}")


def said(server: ServerProcess) -> list[str]:
    return [line.removeprefix("HOOK ") for line in server.log if line.startswith("HOOK ")]


# -- the same as gunicorn


def by_process(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """What the master said, and what each worker said, by itself, whichever it was."""
    found: dict[str, list[str]] = {}
    for line in lines:
        process, _, rest = line.partition(" ")
        found.setdefault(process, []).append(rest)
    return found.pop("master"), sorted(found.values())


def life(server: ServerProcess, ending: int) -> tuple[list[str], list[list[str]]]:
    """Start, a request, a reload, a worker more, one less, the end."""
    server.wait_for(r"HOOK 1 post_worker_init")
    assert server.get("/there?q=1")[0] == 200
    server.wait_for(r"HOOK 1 post_request")
    server.signal(signal.SIGHUP)
    server.wait_for(r"HOOK master child_exit")
    server.wait_for(r"HOOK 2 post_worker_init")
    server.signal(signal.SIGTTIN)
    server.wait_for(r"HOOK 3 post_worker_init")
    server.signal(signal.SIGTTOU)
    server.wait_for(r"HOOK master child_exit", count=2)
    server.signal(ending)
    assert server.wait() == 0
    return by_process(said(server))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGQUIT])
def test_hooks_are_called_when_gunicorn_calls_them(ending: int, site: Path) -> None:
    lives = []
    for command in (COMMAND, GUNICORN):
        with ServerProcess.start([*LOCAL, "app:app"], site, command=command) as server:
            lives.append(life(server, ending))
    (our_master, our_workers), (their_master, their_workers) = lives
    assert our_master == their_master
    assert our_workers == their_workers
    assert len(our_workers) == 3


# -- what a hook finds


def test_what_a_hook_writes_on_a_worker_stays_on_it(serve: Serve, site: Path) -> None:
    """Numbering workers with the lowest number that is free, as people do it."""
    configure(
        site,
        """
def free(server):
    taken = {worker.number for worker in server.WORKERS.values() if worker.alive}
    return next(number for number in range(1, 99) if number not in taken)

def pre_fork(server, worker): worker.number = free(server)
def post_fork(server, worker): os.environ["NUMBER"] = str(worker.number); say("forked", worker.number)
def child_exit(server, worker): say("gone", worker.number, worker.pid)
""",
    )
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site)
    server.wait_for("Ready: 2 workers")
    assert server.get("/env?NUMBER")[1] in (b"1", b"2")
    os.kill(server.worker(0), signal.SIGKILL)
    pid, number = server.worker(0), server.wait_for(r"HOOK gone (\d+)")[1]
    server.wait_for(rf"HOOK gone {number} {pid}$")
    server.wait_for(rf"HOOK forked {number}$", count=2)


def test_variables_of_the_settings_are_the_masters_too(serve: Serve, site: Path) -> None:
    """A collector of metrics marks a dead worker in the folder that a variable names."""
    configure(
        site,
        """
raw_env = ["METRICS_DIR=" + os.getcwd()]

def child_exit(server, worker):
    with open(os.path.join(os.environ["METRICS_DIR"], f"dead-{worker.pid}"), "w"):
        say("marked", worker.pid)
""",
    )
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Ready")
    os.kill(server.worker(0), signal.SIGKILL)
    server.wait_for(rf"HOOK marked {server.worker(0)}$")
    assert [path.name for path in site.glob("dead-*")] == [f"dead-{server.worker(0)}"]
    configure(site, "def on_reload(server): say('variable', os.environ.get('METRICS_DIR'))")
    server.signal(signal.SIGHUP)
    server.wait_for(r"HOOK variable None$")


def test_variables_do_not_grow_with_each_reload(serve: Serve, site: Path) -> None:
    configure(
        site,
        """
raw_env = ["LEVEL=" + os.environ["LEVEL"] + "x"]

def on_reload(server): say("reload", server.cfg.env["LEVEL"], os.environ["LEVEL"])
""",
    )
    server = serve("app:app", *LOCAL, cwd=site, env={"LEVEL": "y"})
    for count in (1, 2):
        server.wait_for(r"Ready" if count == 1 else "Reloaded")
        server.signal(signal.SIGHUP)
        server.wait_for(r"HOOK reload yx yx$", count=count)
    assert server.get("/env?LEVEL")[1] == b"yx"


def test_the_objects_have_what_hooks_look_for(serve: Serve, site: Path) -> None:
    configure(
        site,
        """
workers = 2

def when_ready(server):
    listener = server.LISTENERS[0]
    server.log.info("at %s %s", listener, listener.getsockname()[0])
    say("cfg", server.cfg.workers, server.num_workers, server.cfg.bind[0])
    server.num_workers = 1
    say("app", server.app.callable, server.app.wsgi().__name__)

def post_worker_init(worker):
    worker.log.info("worker log")
    say("worker", worker.cfg.workers, worker.nr, worker.alive, worker.booted, worker.aborted_by_test)
    say("wsgi", worker.wsgi.__name__, worker.app.callable is worker.wsgi, len(worker.sockets))
    before = worker.tmp.last_update()
    worker.tmp.notify()
    worker.notify()
    say("tmp", worker.tmp.last_update() >= before > 0)

def pre_fork(server, worker): worker.aborted_by_test = False
""",
    )
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for(r"\[INFO\] at http://127.0.0.1:\d+ 127\.0\.0\.1")
    server.wait_for(r"HOOK cfg 2 2 127\.0\.0\.1:0$")
    server.wait_for(r"HOOK master nworkers_changed 1 2$")
    server.wait_for(r"HOOK app None app$")
    server.wait_for(r"\[INFO\] worker log")
    server.wait_for(r"HOOK worker 2 0 True False False$")
    server.wait_for(r"HOOK wsgi app True 1$")
    server.wait_for(r"HOOK tmp True$")
    server.wait_for("Ready: 1 workers")


def test_a_worker_that_a_hook_declares_dead_is_replaced(serve: Serve, site: Path) -> None:
    configure(
        site,
        "def post_request(worker, req): worker.alive = req.path != '/last'; say('alive', worker.alive)",
    )
    server = serve("app:app", *LOCAL, cwd=site)
    first = server.get("/pid")[1]
    assert server.get("/last")[0] == 200
    server.wait_for("HOOK alive False")
    server.wait_for("HOOK 2 post_worker_init")
    server.wait_for("HOOK master child_exit")
    assert server.get("/pid")[1] not in (first, b"")


def test_a_hook_may_end_the_server(serve: Serve, site: Path) -> None:
    configure(
        site, "import signal\ndef post_request(worker, req): os.kill(os.getppid(), signal.SIGTERM)"
    )
    server = serve("app:app", *LOCAL, cwd=site)
    assert server.get("/")[0] == 200
    assert server.wait() == 0


def test_a_wrapper_that_a_hook_puts_around_the_application_is_served(
    serve: Serve, site: Path
) -> None:
    configure(
        site,
        """
def post_worker_init(worker):
    app = worker.wsgi
    worker.wsgi = lambda environ, start: [*app(environ, start)][:0] + [b"wrapp"]
""",
    )
    assert serve("app:app", *LOCAL, cwd=site).get("/")[1] == b"wrapp"


def test_a_hook_does_not_take_the_signals_away(serve: Serve, site: Path) -> None:
    configure(
        site,
        """
import signal

def post_fork(server, worker):
    for number in (signal.SIGTERM, signal.SIGRTMIN):
        signal.signal(number, lambda number, frame: say("theirs", number))
""",
    )
    server = serve("app:app", *LOCAL, "-t", "1", cwd=site)
    assert HeldRequest(server, site).answer().startswith(b"HTTP/1.1 504 ")
    server.wait_for(r"File .*, line \d+ in app")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "theirs" not in server.log.text()


def test_greenlets_get_their_hooks(serve: Serve, site: Path) -> None:
    """As with psycogreen: post_fork makes a library cooperative before the application uses it."""
    pytest.importorskip("gevent")
    configure(site, "def post_fork(server, worker): os.environ['GREEN'] = 'yes'")
    server = serve("app:app", *LOCAL, "-k", "gevent", cwd=site)
    assert server.get("/env?GREEN") == (200, b"yes")
    server.wait_for(r"HOOK 1 pre_request GET /env GREEN")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert [line.split()[1] for line in said(server)[-3:-1]] == ["worker_exit", "child_exit"]
    assert said(server).count("1 worker_int") == 1


def test_an_upgrade_calls_its_hook_in_the_process_that_becomes_the_new_master(
    serve: Serve, site: Path
) -> None:
    configure(site, "def pre_exec(server): say('exec', os.getpid(), server.pid == os.getppid())")
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Ready")
    server.signal(signal.SIGUSR2)
    successor = int(server.wait_for(r"HOOK exec (\d+) True$")[1])
    server.wait_for(rf"\[{successor}\] \[INFO\] Ready")
    assert server.log.count(r"HOOK exec") == 1
    server.signal(signal.SIGTERM)
    server.wait_for("Master has been promoted")
    os.kill(successor, signal.SIGTERM)
    assert server.wait() == 0


def test_an_upgrade_without_its_hook_is_none(serve: Serve, site: Path) -> None:
    configure(site, failing("pre_exec"))
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Ready")
    server.signal(signal.SIGUSR2)
    server.wait_for(r"\[ERROR\] The new master cannot be started: the hook pre_exec failed:")
    assert server.get("/")[0] == 200


# -- time limits


def test_a_worker_that_is_silent_calls_its_hook_and_ends_the_request(
    serve: Serve, site: Path
) -> None:
    configure(
        site,
        """
import sys, traceback

def worker_abort(worker):
    say("stacks", *["".join(traceback.format_stack(frame)).count("/hold") for frame in sys._current_frames().values()])
""",
    )
    server = serve("app:app", *LOCAL, "-t", "1", cwd=site)
    assert HeldRequest(server, site).answer().startswith(b"HTTP/1.1 504 ")
    server.wait_for(r"HOOK stacks [1-9]")
    server.wait_for(r"HOOK 1 post_request 1 504 Gateway Timeout")
    server.wait_for(r"HOOK 1 worker_exit")


def test_abort_writes_the_stacks_and_calls_its_hook(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Ready")
    os.kill(server.worker(0), signal.SIGABRT)
    server.wait_for(rf"Worker \(pid:{server.worker(0)}\) exited with code 1")
    server.wait_for("HOOK 2 post_worker_init")
    server.wait_for("Fatal Python error: Aborted")
    assert [line.split()[1] for line in said(server) if line[0] == "1"] == [
        *("post_fork", "post_worker_init", "worker_abort", "worker_exit")
    ]


# -- hooks that fail


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nworkers_changed", 1),
        ("on_starting", 1),
        ("when_ready", 1),
        ("pre_fork", 3),
        ("post_fork", 3),
        ("post_worker_init", 3),
    ],
)
def test_a_start_without_its_hook_is_none(name: str, code: int, serve: Serve, site: Path) -> None:
    configure(site, failing(name))
    server = serve("app:app", *LOCAL, cwd=site, ready=False)
    assert server.wait() == code
    assert server.log.count(rf"^fastwsgi: error: the hook {name} failed:$") == 1
    assert server.log.count(r"^ZeroDivisionError: division by zero$") == 1
    assert server.log.count(r"gunicorn.conf.py\", line \d+, in ") == 1
    assert ("master on_exit 0" in said(server)) == (code == 3 or name == "when_ready")


@pytest.mark.parametrize("name", ["nworkers_changed", "on_reload"])
def test_a_reload_survives_a_hook_that_fails(name: str, serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Ready")
    configure(site, failing(name))
    server.signal(signal.SIGHUP)
    server.wait_for(rf"\[ERROR\] The hook {name} failed")
    server.wait_for("Reloaded")
    assert server.get("/")[0] == 200


@pytest.mark.parametrize("name", ["pre_fork", "post_fork"])
def test_workers_that_cannot_be_made_are_no_reload(name: str, serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site)
    server.wait_for("Ready")
    before = set(server.workers)
    configure(site, failing(name))
    server.signal(signal.SIGHUP)
    server.wait_for(rf"\[ERROR\] Not reloaded, going on as before: the hook {name} failed:")
    assert int(server.get("/pid")[1]) in before
    (site / "gunicorn.conf.py").write_text(SAYING)
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    assert server.log.count(r"\[ERROR\]") == 1


def test_the_master_outlives_hooks_that_fail(serve: Serve, site: Path) -> None:
    names = ("child_exit", "worker_exit", "on_exit", "worker_int")
    configure(site, "\n".join(map(failing, names)))
    server = serve("app:app", *LOCAL, cwd=site)
    server.wait_for("Ready")
    os.kill(server.worker(0), signal.SIGQUIT)
    server.wait_for("HOOK 2 post_worker_init")
    assert server.get("/")[0] == 200
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert [server.log.count(f"The hook {name} failed") for name in names] == [2, 2, 1, 1]


def failing(name: str) -> str:
    arguments = {"nworkers_changed": "server, new, old"}.get(name)
    if arguments is None:
        both = name in ("pre_fork", "post_fork", "child_exit", "worker_exit")
        arguments = "server, worker" if both else "one"
    return f"def {name}({arguments}): 1 / 0"
