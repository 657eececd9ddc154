"""Who the workers are, and what they and the master may write then."""

import grp
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.errors import BootError
from fastwsgi.process import privileges
from tests.conftest import Serve
from tests.process.conftest import APP
from tests.support.holding import HeldRequest

LOCAL = ("-b", "127.0.0.1:0")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = pwd.getpwnam("nobody")

IDENTITY = """
import os

def identity(environ, start_response):
    lines = open("/proc/self/status").read().splitlines()
    body = "\\n".join(line for line in lines if line.split(":")[0] in ("Uid", "Gid", "Groups"))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""

# Imports what a spool needs, as the library of this Python may be readable for root alone.
SPOOLED = """
import os, tempfile

def length(environ, start_response):
    body = b"%d %d" % (len(environ["wsgi.input"].read()), os.getuid())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def open_site() -> Iterator[Path]:
    """The applications in a folder that everybody may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="fastwsgi-test-") as name:
        site = Path(name)
        site.chmod(0o755)
        (site / "app.py").write_text(APP)
        (site / "who.py").write_text(IDENTITY)
        (site / "spooled.py").write_text(SPOOLED)
        yield site


def identity(body: bytes) -> dict[str, set[int]]:
    lines = (line.partition(":") for line in body.decode().splitlines())
    return {name: set(map(int, numbers.split())) for name, _, numbers in lines}


@AS_ROOT
@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["-u", "nobody"], (NOBODY.pw_uid, 0, {0})),
        (["-u", "nobody", "-g", "nogroup"], (NOBODY.pw_uid, NOBODY.pw_gid, {NOBODY.pw_gid})),
        (["-u", "4711", "-g", "4712"], (4711, 4712, {4712})),
        (["-g", "4712"], (0, 4712, set(os.getgroups()))),
    ],
)
def test_the_workers_become_who_they_should_be(
    words: list[str], ids: tuple[int, int, set[int]], serve: Serve, open_site: Path
) -> None:
    user, group, groups = ids
    server = serve("who:identity", *LOCAL, *words, cwd=open_site)
    found = identity(server.get("/")[1])
    # Real, effective, saved and of the file system: none is left to return by.
    assert found == {"Uid": {user}, "Gid": {group}, "Groups": groups}
    assert os.stat(f"/proc/{server.pid}").st_uid == 0
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    assert identity(server.get("/")[1])["Uid"] == {user}
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@AS_ROOT
def test_initgroups_gives_all_groups_of_the_user(serve: Serve, open_site: Path) -> None:
    member = next((g.gr_mem[0] for g in grp.getgrall() if g.gr_mem and g.gr_mem[0] != "root"), None)
    if member is None:
        pytest.skip("no user of this system is a member of a further group")
    groups = set(os.getgrouplist(member, 4712))
    server = serve(
        "who:identity", *LOCAL, "-u", member, "-g", "4712", "--initgroups", cwd=open_site
    )
    assert identity(server.get("/")[1])["Groups"] == groups


@AS_ROOT
def test_a_busy_worker_of_another_user_ends_after_its_master(serve: Serve, open_site: Path) -> None:
    """The kernel forgets the signal of the parent's death when a process becomes somebody else."""
    for name in ("started", "hold"):
        os.mkfifo(open_site / name)
        (open_site / name).chmod(0o666)
    server = serve(
        "app:app", *LOCAL, "-u", "nobody", "-g", "nogroup", "--graceful-timeout", "1", cwd=open_site
    )
    held = HeldRequest(server, open_site)
    server.signal(signal.SIGKILL)
    server.wait()
    assert held.answer() == b""


@AS_ROOT
def test_a_large_body_is_spooled_by_the_user(serve: Serve, open_site: Path) -> None:
    spool = open_site / "spool"
    spool.mkdir()
    os.chown(spool, NOBODY.pw_uid, NOBODY.pw_gid)
    spool.chmod(0o700)
    server = serve(
        "spooled:length", *LOCAL, "--preload", "-u", "nobody", "-g", "nogroup", "--worker-tmp-dir", spool,
        cwd=open_site,
    )  # fmt: skip
    body = b"x" * 1_000_000
    with server.connect() as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        )
        client.sendall(body)
        answer = client.makefile("rb").read()
    assert answer.endswith(b"1000000 %d" % NOBODY.pw_uid)


@AS_ROOT
def test_post_fork_has_the_privileges_that_the_application_has_not(
    serve: Serve, open_site: Path
) -> None:
    (open_site / "gunicorn.conf.py").write_text(
        "import os\n"
        "def post_fork(server, worker): os.write(2, b'HOOK forked as %d\\n' % os.getuid())\n"
        "def post_worker_init(worker): os.write(2, b'HOOK loaded as %d\\n' % os.getuid())\n"
        "def worker_exit(server, worker): os.write(2, b'HOOK left as %d\\n' % os.getuid())\n"
    )
    server = serve("who:identity", *LOCAL, "-u", "nobody", cwd=open_site)
    server.wait_for("Ready")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    said = [line for line in server.log if line.startswith("HOOK")]
    nobody = NOBODY.pw_uid
    assert said == ["HOOK forked as 0", f"HOOK loaded as {nobody}", f"HOOK left as {nobody}"]


@AS_ROOT
def test_usr1_works_for_the_user(serve: Serve, open_site: Path) -> None:
    # The library of this Python may be readable for root alone: what the log needs is there before.
    (open_site / "gunicorn.conf.py").write_text("import fastwsgi.observe.finished\n")
    logs = open_site / "logs"
    logs.mkdir()
    server = serve(
        "app:app", *LOCAL, "-u", "nobody", "-g", "nogroup", "--access-logfile", "logs/access.log",
        cwd=open_site, env={"TZ": "UTC"},
    )  # fmt: skip
    assert server.get("/one")[0] == 200
    assert (logs / "access.log").stat().st_uid == NOBODY.pw_uid
    (logs / "access.log").rename(logs / "access.log.1")
    server.signal(signal.SIGUSR1)
    server.wait_for("Handling signal: usr1")
    # The worker hears of it after the master has made the file.
    while server.get("/two")[0] == 200 and not (logs / "access.log").exists():
        pass
    while "/two" not in (logs / "access.log").read_text():
        assert server.get("/two")[0] == 200
    assert (logs / "access.log").stat().st_uid == NOBODY.pw_uid
    assert server.log.count(r"\[(ERROR|WARNING)\]") == 0, server.log.text()


@AS_ROOT
def test_a_folder_of_roots_may_be_where_a_preloaded_application_is(
    serve: Serve, open_site: Path
) -> None:
    closed = open_site / "closed"
    closed.mkdir(0o700)
    (open_site / "app.py").rename(closed / "app.py")
    server = serve(
        "app:app", *LOCAL, "--preload", "--chdir", "closed", "-u", "nobody", "-g", "nogroup",
        cwd=open_site,
    )  # fmt: skip
    assert server.get("/cwd") == (200, str(closed).encode())


@AS_ROOT
def test_a_worker_that_cannot_be_who_it_should_does_not_start(
    serve: Serve, open_site: Path
) -> None:
    server = serve("app:app", *LOCAL, "-u", "4711", "--initgroups", cwd=open_site, ready=False)
    assert server.wait() == 3
    assert "the groups of the user 4711 are not known, as it has no name" in server.log.lines[-1]


DROP = """
import os, sys
from fastwsgi.config.settings import Settings
from fastwsgi.errors import BootError
from fastwsgi.process import privileges
os.setresgid(4712, 4712, 4712)
os.setgroups([])
os.setresuid(4711, 4711, 4711)
try:
    privileges.drop(Settings([("test", {sys.argv[1]: sys.argv[2]})]))
except BootError as error:
    print(error)
else:
    print("nothing to do")
"""


@AS_ROOT
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "user",
            "nobody",
            "a worker cannot become the user 65534 and the group 4712: Operation not",
        ),
        ("group", "root", "a worker cannot become the user 4711 and the group 0: Operation not"),
        ("initgroups", "true", "the groups of the user 4711 are not known"),
        ("user", "4711", "nothing to do"),
        ("umask", "077", "nothing to do"),
    ],
)
def test_who_is_not_root_stays_who_he_is(name: str, value: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROP, name, value], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(said)


def test_what_can_be_regained_is_no_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with CAP_SETUID that is not root keeps it when it becomes somebody else."""
    calls: list[tuple[object, ...]] = []
    for name in ("setresuid", "setresgid", "setgroups", "setuid"):
        monkeypatch.setattr(os, name, lambda *words, name=name: calls.append((name, *words)))
    monkeypatch.setattr(os, "getresuid", lambda: (4711, 4711, 4711))
    monkeypatch.setattr(os, "getresgid", lambda: (4712, 4712, 4712))
    settings = Settings([("test", {"user": 4711, "group": 4712})])
    with pytest.raises(BootError, match="could become root again"):
        privileges.drop(settings)
    # Groups while it still may, the user last.
    assert [call[0] for call in calls] == ["setgroups", "setresgid", "setresuid", "setuid"]
    assert calls[0] == ("setgroups", [4712])


def test_the_mask_is_that_of_the_files_of_sockets(serve: Serve, open_site: Path) -> None:
    conf = open_site / "gunicorn.conf.py"
    conf.write_text("umask = 0o027\n")
    server = serve("app:app", "-b", "unix:x.sock", "-p", "x.pid", cwd=open_site)
    assert (open_site / "x.sock").stat().st_mode & 0o777 == 0o750
    assert (open_site / "x.pid").stat().st_mode & 0o777 == 0o644
    conf.write_text("umask = '0o077'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded")
    assert (open_site / "x.sock").stat().st_mode & 0o777 == 0o700


@AS_ROOT
def test_the_file_of_a_socket_belongs_to_the_user(serve: Serve, open_site: Path) -> None:
    serve("app:app", "-b", "unix:x.sock", "-u", "nobody", "-g", "nogroup", cwd=open_site)
    status = (open_site / "x.sock").stat()
    assert (status.st_uid, status.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
