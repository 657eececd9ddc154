"""Starting: what it says, what it does before it serves, and how each bad start ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fastwsgi import __version__
from tests.conftest import Serve
from tests.support.server import ServerProcess, environment

LOCAL = ("-b", "127.0.0.1:0")


def test_the_lines_that_tools_match_on(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-w", "2", cwd=site)
    server.wait_for("Booting worker", count=2)
    stamp = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{server.pid}\] \[INFO\] "
    for line, words in zip(
        server.log.lines,
        [
            f"Starting fastwsgi {re.escape(__version__)}",
            rf"Listening at: http://127\.0\.0\.1:{server.port} \({server.pid}\)",
            "Using worker: sync",
        ],
        strict=False,
    ):
        assert re.fullmatch(stamp + words, line)
    for pid in server.workers:
        assert any(f"[{pid}] [INFO] Booting worker with pid: {pid}" in s for s in server.log.lines)


def test_it_serves_and_leaves_no_file(serve: Serve, site: Path) -> None:
    before = sorted(os.listdir(site))
    server = serve("app:app", *LOCAL, cwd=site, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert server.get("/") == (200, b"hello")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert sorted(os.listdir(site)) == before


def test_several_addresses(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "-b", "unix:app.sock", "-b", "[::1]:0", cwd=site)
    first, second, third = server.addresses
    assert first.startswith("http://127.0.0.1:")
    assert second == "unix:app.sock"
    assert third.startswith("http://[::1]:")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site / "app.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"hello")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not (site / "app.sock").exists()


def test_a_socket_that_was_passed_on(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        args = ["app:app", "-b", f"fd://{fd}"]
        with ServerProcess.start(args, cwd=site, pass_fds=[fd]) as server:
            assert server.port == listening.getsockname()[1]
            assert server.get("/") == (200, b"hello")


def test_port_of_the_environment(serve: Serve, site: Path) -> None:
    server = serve("app:app", cwd=site, env={"PORT": "0", "WEB_CONCURRENCY": "2"})
    assert server.host == "0.0.0.0"
    server.wait_for("Booting worker", count=2)


def test_the_application_finds_its_surroundings(serve: Serve, site: Path) -> None:
    (site / "sub").mkdir()
    (site / "lib").mkdir()
    (site / "app.py").rename(site / "sub" / "app.py")
    (site / "lib" / "helper.py").write_text("")
    with (site / "sub" / "app.py").open("a") as file:
        file.write("import helper\nassert os.environ['GREETING'] == 'a=b'\n")
    server = serve(
        "app:app", *LOCAL, "--chdir", "sub", "--pythonpath", "../lib", "-e", "GREETING=a=b",
        cwd=site,
    )  # fmt: skip
    assert server.get("/cwd") == (200, str(site / "sub").encode())
    assert server.get("/env?GREETING") == (200, b"a=b")
    assert server.get("/env?SERVER_SOFTWARE")[1] == f"fastwsgi/{__version__} (gunicorn)".encode()


def test_a_factory_and_a_surplus_word(serve: Serve, site: Path) -> None:
    with (site / "app.py").open("a") as file:
        file.write(
            "def make(version):\n    global VERSION\n    VERSION = version\n    return app\n"
        )
    server = serve("app:make('7')", "--log-level debug", *LOCAL, cwd=site)
    server.wait_for(r"\[WARNING\] .*ignored: '--log-level debug'; .*two words")
    assert server.get("/version") == (200, b"7")


def test_the_console_output_of_an_application_stays_its_own(serve: Serve, site: Path) -> None:
    with (site / "app.py").open("a") as file:
        file.write("print('loaded', flush=True)\n")
    server = serve("app:app", *LOCAL, "--access-logfile", "-", cwd=site)
    server.out.wait_for("^loaded$")
    server.get("/some/where")
    server.out.wait_for(r'^127\.0\.0\.1 - - \[.*\] "GET /some/where HTTP/1\.1" 200 5 "-" "-"$')


def test_a_refused_request_is_logged_too(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--access-logfile", "-", cwd=site)
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
        assert b" 400 " in client.makefile("rb").readline()
    server.out.wait_for(r'^127\.0\.0\.1 - - \[.*\] "-" 400 \d+ "-" "-"$')


def test_preload_loads_once_in_the_master(serve: Serve, site: Path) -> None:
    with (site / "app.py").open("a") as file:
        file.write("print('loaded by', os.getpid(), os.environ['A'], flush=True)\n")
    server = serve("app:app", *LOCAL, "--preload", "-w", "2", "-e", "A=1", cwd=site)
    server.wait_for("Booting worker", count=2)
    assert server.get("/") == (200, b"hello")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.out.lines == [f"loaded by {server.pid} 1"]


def test_processes_are_named_where_setproctitle_is_installed(serve: Serve, site: Path) -> None:
    (site / "setproctitle.py").write_text(
        "import os\ndef setproctitle(title): os.write(1, (title + '\\n').encode())\n"
    )
    where = {"PYTHONPATH": f"{environment()['PYTHONPATH']}:{site}"}
    for args, name in (([], "app:app"), (["-n", "shop"], "shop")):
        server = serve("app:app", *LOCAL, *args, cwd=site, env=where)
        server.out.wait_for(rf"^fastwsgi: master \[{name}\]$")
        server.out.wait_for(rf"^fastwsgi: worker \[{name}\]$")


def test_reuse_port_gives_each_worker_a_socket_of_its_own(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--reuse-port", "-w", "3", cwd=site)
    server.wait_for("Booting worker", count=3)
    seen: set[bytes] = set()
    for _ in range(200):  # each worker is missed by all with a chance of 1e-35
        seen.add(server.get("/pid")[1])
        if len(seen) == 3:
            break
    assert seen == {str(pid).encode() for pid in server.workers}
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_a_pidfile_is_there_while_it_runs(serve: Serve, site: Path) -> None:
    (site / "x.pid").write_text("999999999\n")  # stale: no system has such a process
    server = serve("app:app", *LOCAL, "-p", "x.pid", cwd=site)
    assert (site / "x.pid").read_text() == f"{server.pid}\n"
    second = serve("app:app", *LOCAL, "-p", "x.pid", cwd=site, ready=False)
    assert second.wait() == 1
    assert f"Already running on PID {server.pid}" in second.log.lines[-1]
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not (site / "x.pid").exists()


def errors(server: ServerProcess) -> list[str]:
    return [line for line in server.log.lines if "[INFO]" not in line]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 1, "no application is named"),
        (["gone:app"], 4, "there is no module 'gone'"),
        (["app:gone"], 4, "the module 'app' has no attribute 'gone'"),
        (["app:app()"], 4, "app was called with the wrong arguments"),
        (["app:app", "-w", "3", "-t", "x"], 2, "--timeout takes a whole number, not 'x'"),
        (["app:app", "-w", "0"], 1, "--workers takes 1 or more"),
        (["app:app", "--nope"], 2, "there is no option --nope"),
        (
            ["app:app", "-k", "tornado"],
            1,
            "there is no worker class 'tornado': it runs Tornado's own loop",
        ),
        (["app:app", "-b", "127.0.0.1:x"], 1, "'x' is not a port"),
        (["app:app", "-b", "unix:/gone/x.sock"], 1, "cannot listen on unix:/gone/x.sock"),
        (["app:app", "-c", "gone.py"], 1, "the configuration file 'gone.py'"),
        (["app:app", "--chdir", "gone"], 1, "--chdir takes a folder"),
        (["app:app", "--error-logfile", "gone/x"], 1, "the log file"),
        (["app:app", "-p", "gone/x"], 1, "the pidfile"),
        (["gone:app", "--preload"], 4, "there is no module 'gone'"),
        (["gone:app", "-w", "4"], 4, "there is no module 'gone'"),
        (["gone:app", "--check-config"], 1, "there is no module 'gone'"),
    ],
)
def test_a_bad_start_is_one_line_and_its_exit_code(
    args: list[str], code: int, message: str, serve: Serve, site: Path
) -> None:
    server = serve(*args, *(() if "-b" in args else LOCAL), cwd=site, ready=False)
    assert server.wait() == code
    assert len(errors(server)) == 1, server.log.text()
    assert errors(server)[0].startswith("fastwsgi: error: ")
    assert message in errors(server)[0]


@pytest.mark.parametrize("extra", [[], ["-w", "3"], ["--preload"]])
def test_the_applications_own_failure_keeps_its_traceback_once(
    extra: list[str], serve: Serve, site: Path
) -> None:
    (site / "bad.py").write_text("import a_module_that_is_not_there\n")
    server = serve("bad:app", *LOCAL, *extra, cwd=site, ready=False)
    assert server.wait() == 4
    assert errors(server) == [
        "fastwsgi: error: the application 'bad:app' failed while it was loaded:",
        "Traceback (most recent call last):",
        f'  File "{site}/bad.py", line 1, in <module>',
        "    import a_module_that_is_not_there",
        "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    ]


@pytest.mark.parametrize(
    ("code", "end"),
    [("os._exit(0)", "exited with code 0"), ("os.kill(os.getpid(), 11)", "was sent SIGSEGV!")],
)
def test_a_worker_that_cannot_boot_ends_the_start_with_3(
    code: str, end: str, serve: Serve, site: Path
) -> None:
    (site / "bad.py").write_text(f"import os\n{code}\n")
    server = serve("bad:app", *LOCAL, "-w", "2", cwd=site, ready=False)
    assert server.wait() == 3
    assert re.fullmatch(
        rf"fastwsgi: error: worker \(pid:\d+\) {end} before it was ready", server.log.lines[-1]
    )


def test_a_bad_start_is_in_the_log_file_too(serve: Serve, site: Path) -> None:
    server = serve("gone:app", *LOCAL, "--error-logfile", "x.log", cwd=site, ready=False)
    assert server.wait() == 4
    assert len(server.log.lines) == 1
    assert "there is no module 'gone'" in server.log.lines[0]
    log = (site / "x.log").read_text()
    assert re.search(r"\[CRITICAL\] .*there is no module 'gone'", log)


# The command, with a short pause between two tries, and a word for each.
HASTY = """
import os, sys
from fastwsgi.config.sources import Sources
from fastwsgi.process import arbiter, program

class Sockets(arbiter.Sockets):
    @classmethod
    def open(cls, *words):
        print("try", flush=True)
        return super().open(*words)

arbiter.Sockets = Sockets
sources = Sources.of_command_line(sys.argv[1:], os.environ, "fastwsgi")
arbiter.Arbiter(sources, sources.read(), program.load_named, bind_pause=0.01).run()
"""


def test_a_port_in_use_is_tried_five_times(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        command = (sys.executable, "-c", HASTY)
        with ServerProcess(["app:app", "-b", where], site, command=command) as server:
            assert server.wait() == 1
    assert server.out.lines == ["try"] * 5
    said = rf"cannot listen on {where}: address already in use; stop .* --bind"
    assert server.log.count(rf"\[WARNING\] {said}") == 1
    assert re.search(f"ConfigError|BindError: {said}", server.log.lines[-1])


def test_a_port_that_becomes_free_is_taken(serve: Serve, site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        server = serve("app:app", "-b", where, cwd=site, ready=False)
        server.wait_for("trying again")
    assert server.ready().get("/") == (200, b"hello")


def test_term_ends_the_wait_for_a_port(serve: Serve, site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        server = serve("app:app", "-b", where, cwd=site, ready=False)
        server.wait_for("trying again")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastwsgi", *args],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_check_config(site: Path) -> None:
    done = run("--check-config", "app:app", cwd=site)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_print_config_shows_where_values_come_from(site: Path) -> None:
    (site / "gunicorn.conf.py").write_text("timeout = 9\n")
    done = run("--print-config", "app:app", "-w", "3", cwd=site)
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert re.fullmatch(r"timeout +=\s9\s+# gunicorn\.conf\.py, line 1", lines["timeout"])
    assert re.fullmatch(r"workers +=\s3\s+# command line", lines["workers"])


def test_the_version_of_the_package_is_the_version_of_the_project(site: Path) -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    text = project.read_text()
    assert f'version = "{__version__}"' in text or 'attr = "fastwsgi.__version__"' in text
    assert run("--version", cwd=site).stdout == f"fastwsgi (version {__version__})\n"
