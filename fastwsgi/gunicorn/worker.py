"""`gunicorn -k fastwsgi.gunicorn.Worker`: gunicorn's master, our core.

gunicorn forks, watches and ends this worker as any of its own: its sockets, settings, loggers, hooks
and signals are gunicorn's, and what a connection sends and gets is ours. Seen with gunicorn 20.1,
21.2, 23.0 and 27.0.

TERM, HUP    accepts what is queued, finishes what runs, leaves; within graceful_timeout
INT, QUIT    leaves at once; an application that does not return is cut off after a second
ABRT         the master has heard nothing for `timeout`: writes the stacks of all threads, ends the
             request that keeps the worker with 504, and leaves
USR1         reopens the logs
the master is gone, max_requests is reached, a reloader saw a change: as TERM
"""

from __future__ import annotations

import math
import mmap
import os
import select
import signal
import socket
import sys
import time
import traceback
from types import FrameType
from typing import Any, Final

from gunicorn.workers import base

from fastwsgi import wiring
from fastwsgi.config.cpus import usable_cpus
from fastwsgi.config.sections.leniency import Leniency
from fastwsgi.config.sections.limits import Limits
from fastwsgi.config.sections.proxying import Proxying
from fastwsgi.config.sections.tls import Tls
from fastwsgi.config.sections.workers import Workers
from fastwsgi.config.setting import Setting
from fastwsgi.config.settings import Settings
from fastwsgi.config.sources import environment_settings
from fastwsgi.errors import ConfigError, RequestTimeout
from fastwsgi.net import reactor as loop
from fastwsgi.process.worker import Watch
from fastwsgi.serving import Server

SOURCE: Final = "gunicorn"
QUICK_SECONDS: Final = 1

# The settings that are about connections and requests; the rest is the master's business.
TAKEN: Final = (
    *("backlog", "sendfile", "tmp_upload_dir", "worker_tmp_dir"),
    *("pre_request", "post_request", "ssl_context"),
    *(
        name
        for section in (Workers, Limits, Proxying, Leniency, Tls)
        for name, row in vars(section).items()
        if isinstance(row, Setting) and name != "worker_class"
    ),
)


class Worker(base.Worker):  # type: ignore[misc]  # gunicorn is not typed
    """A worker of gunicorn's that serves with the compiled core; with `threads`, in threads."""

    server: Server
    tmp: Any

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self.tmp = Pulse(self.tmp)
        self.exit_code = 0
        self.leave_by = math.inf

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """In the master, before it forks. RuntimeError, which ends gunicorn, for what we cannot do."""
        try:
            wiring.secure(read(cfg))
        except ConfigError as error:
            raise RuntimeError(str(error)) from None

    def run(self) -> None:
        """Serve until told to leave."""
        settings = read(self.cfg)
        self.server = wiring.build(
            settings,
            self.wsgi,
            [plain(listener) for listener in self.sockets],
            endpoint=wiring.secure(settings),
            max_requests=self.max_requests if self.cfg.max_requests else 0,
            on_worn_out=self.wear_out,
            heartbeat=self.tmp.cell,
            worker=self,
            log=self.log,
            reactors=wiring.reactors(settings, usable_cpus),
        )
        self.server.reactor.add(self.PIPE[0], Watch(self.obey), select.EPOLLIN)
        self.server.reactor.every_second(self.beat)
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self.quit)
        signal.signal(signal.SIGABRT, self.give_up)
        try:
            self.server.run()
        finally:
            self.server.close()
        sys.exit(self.exit_code)

    def beat(self) -> None:
        """Once a second."""
        self.notify()
        self.nr = self.server.requests
        if self.alive and self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.drain()
        if time.monotonic() >= self.leave_by:
            self.server.stop()

    def obey(self) -> None:
        """A signal has come, or the reloader has something to say: both set `alive`."""
        os.read(self.PIPE[0], 4096)
        if not self.alive:
            self.drain()

    def drain(self) -> None:
        """Finish what was begun or is queued, and leave."""
        self.alive = False
        self.leave_by = min(self.leave_by, time.monotonic() + self.cfg.graceful_timeout)
        self.server.drain(self.stop_listening)

    def stop_listening(self) -> None:
        """Give up the listening sockets, which the drain has emptied; the master keeps its own."""
        for listener in self.sockets:
            plain(listener).close()

    def wear_out(self) -> None:
        """max_requests is reached, or threads are stuck."""
        self.log.info("Autorestarting worker after current request.")
        self.drain()

    def quit(self, sig: int, frame: FrameType | None) -> None:
        """INT or QUIT: leave at once."""
        self.alive = False
        self.cfg.worker_int(self)
        self.server.stop()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(QUICK_SECONDS)

    def give_up(self, sig: int, frame: FrameType | None) -> None:
        """ABRT: say what keeps the worker, end it, and leave."""
        self.alive = False
        self.exit_code = 1
        self.cfg.worker_abort(self)
        self.log.error("The worker was silent for too long. It is here:\n%s", stacks())
        if loop.called(frame) is None:
            sys.exit(self.exit_code)
        raise RequestTimeout(f"it took longer than {self.cfg.timeout} seconds")


class Pulse:
    """A heartbeat in memory that the master shares, so that a request beats it without a system call.

    `cell` holds the monotonic time of the last beat, in seconds. `file` is what gunicorn has for it:
    others expect its descriptor, and it knows by which clock this version of gunicorn measures.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.cell = memoryview(mmap.mmap(-1, 8)).cast("d")
        self.fileno = file.fileno
        self.close = file.close
        file.notify()
        self._ahead: float = file.last_update() - time.monotonic()
        self.notify()

    def notify(self) -> None:
        """Beat."""
        self.cell[0] = time.monotonic()

    def last_update(self) -> float:
        """When the last beat was, by gunicorn's clock."""
        return self.cell[0] + self._ahead


def read(cfg: Any) -> Settings:
    """Our settings of gunicorn's `cfg`, with our own of the environment. Raises ConfigError."""
    given = {name: cfg.settings[name] for name in TAKEN if name in cfg.settings}
    # What stands for no hook in gunicorn is a function that does nothing.
    said = {name: row.get() for name, row in given.items() if row.get() is not row.default}
    model = {"worker_class": "gthread" if cfg.threads > 1 else "sync"}
    return Settings([(SOURCE, said), *environment_settings(os.environ), (SOURCE, model)])


def plain(listener: Any) -> socket.socket:
    """The socket in gunicorn's wrapper of one."""
    sock: socket.socket = listener.sock
    return sock


def stacks() -> str:
    """What all threads are doing."""
    return "\n".join(
        f"Thread {number}:\n{''.join(traceback.format_stack(frame)).rstrip()}"
        for number, frame in sys._current_frames().items()
    )
