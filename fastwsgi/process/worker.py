"""A worker: the forked process that loads the application and serves it.

`Worker.run` is what the child of a fork does, from its first instruction to its exit code. Whatever
happens to it, the master learns by its exit, its slot of the scoreboard and the note it left there;
it writes no reason for a failed start itself, so that ten workers with one fault give one message.

How it ends:

TERM        drains: accepts what is queued, finishes what runs, leaves. Where the whole server ends
            and drain_delay is set, it first serves on and says so, until TERM comes again
INT, QUIT   leaves at once
TIMEOUT     writes the Python stacks of all threads to the error log (faulthandler, in C, whatever
            runs), ends the request that keeps it with 504, and is worn out: see max_requests
ABRT        writes the stacks and dies
the master  is gone: its pipe is at EOF, and the kernel sends TERM (PR_SET_PDEATHSIG); drains
max_requests is reached: tells the master and serves on until the successor is ready and TERM comes
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from fastwsgi import wiring
from fastwsgi._prctl import signal_when_parent_dies
from fastwsgi.config.cpus import usable_cpus
from fastwsgi.config.settings import Settings
from fastwsgi.errors import AppLoadError, BootError, ConfigError, RequestTimeout
from fastwsgi.net import reactor as loop
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import STANDARD, open_log
from fastwsgi.process import hooks
from fastwsgi.process.application import Application
from fastwsgi.process.faces import WorkerFace
from fastwsgi.process.privileges import drop
from fastwsgi.process.scoreboard import Order, Slot, State, Tally
from fastwsgi.process.signals import TIMEOUT, SignalQueue
from fastwsgi.process.surroundings import enter_folder, prepare
from fastwsgi.process.wear import Wear

if TYPE_CHECKING:
    from fastwsgi.net.tls import Endpoint
    from fastwsgi.observe.prometheus import Metrics
    from fastwsgi.process.reloader import Reloader

# HUP, TTIN and the like are the master's: a worker that gets one with its whole process group
# neither acts on it nor dies of it. A handler, not SIG_IGN, which the application's own children
# would inherit.
OURS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, TIMEOUT)
THE_MASTERS: Final = (
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR2,
    signal.SIGWINCH,
)

AROUND_APPLICATIONS: Final = ("fastwsgi.observe.request_hooks", "fastwsgi.observe.busy")

ABORTED: Final = 1  # exit code after ABRT, as gunicorn's


class Worker(WorkerFace):
    """One forked process; made before the fork, and the master's copy stays what it was then.

    `lifeline` is the reading end of a pipe that the master alone writes, `age` the worker's number.
    On `metrics_sockets` it says what `tally` returns of all workers.
    """

    def __init__(
        self,
        settings: Settings,
        app: Application,
        sockets: Sequence[socket.socket],
        slot: Slot,
        log: Logger,
        *,
        metrics_sockets: Sequence[socket.socket],
        tally: Callable[[], Tally],
        endpoint: Endpoint | None,
        lifeline: int,
        master: int,
        age: int,
    ) -> None:
        self.settings = settings
        self.app = app
        self.sockets = sockets
        self.metrics_sockets = metrics_sockets
        self.tally = tally
        self.endpoint = endpoint
        self.slot = slot
        self.log = log
        self.lifeline = lifeline
        self.master = master
        self.age = age
        self.pid = "[booting]"
        self.interrupted = False
        # `obey` before new connections are accepted, once there is a reactor.
        self.hurry: Callable[[], object] = lambda: None

    def run(self, arbiter: object) -> int:
        """Serve until told to leave; the exit code. `arbiter` is the master, for hooks."""
        self.pid = os.getpid()
        self.arbiter = arbiter
        gc.freeze()  # what the master has: pages that the collector leaves alone stay shared
        try:
            self.boot()
        except ConfigError as error:
            self.slot.leave_note(str(error))
            return error.exit_code if isinstance(error, AppLoadError) else BootError.exit_code
        except Exception:
            self.slot.leave_note(f"a worker cannot start:\n{traceback.format_exc().rstrip()}")
            return BootError.exit_code
        try:
            self.server.run()
            self.stop_listening()
            self.server.close()
        except Exception:
            self.log.exception("Worker failed (pid: %s)", os.getpid())
            return 1
        self.log.info("Worker exiting (pid: %s)", os.getpid())
        return 0

    def exit(self, code: int) -> NoReturn:
        """The last of this process."""
        hooks.call(self.settings, "worker_exit", self.arbiter, self)
        leave(code)

    def boot(self) -> None:
        """Everything up to the first request. Raises ConfigError, and what wiring raises."""
        self.log.info("Booting worker with pid: %s", os.getpid())
        if self.settings.worker_abort is not None:
            # faulthandler, which comes before it, writes the stacks and then raises the signal anew.
            signal.signal(signal.SIGABRT, self.abort)
        # Of its own: what a logger class or a configuration of logging writes to may have no file.
        self.stacks = open_log(self.settings.errorlog or STANDARD, 2)
        faulthandler.enable(self.stacks)
        self.signals = SignalQueue((*OURS, *THE_MASTERS), self.act_at_once)
        self.write_stacks_at_timeout()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*OURS, *THE_MASTERS, signal.SIGCHLD))
        self.call_post_fork()
        enter_folder(self.settings)  # which may be closed to the user that follows
        drop(self.settings)
        self.die_with_the_master()
        prepare(self.settings)
        reloader = make_reloader(self.settings)
        self.wsgi = self.app.wsgi() if reloader is None else reloader.load(self.app)
        hooks.require(self.settings, "post_worker_init", self)
        self.server = wiring.build(
            self.settings,
            self.wsgi,
            list(self.sockets),
            log=self.log,
            endpoint=self.endpoint,
            max_requests=self.allowance(),
            on_worn_out=self.wear_out,
            heartbeat=self.slot.pulse,
            worker=self,
            metrics=self.make_metrics(),
            metrics_sockets=self.metrics_sockets,
            reactors=wiring.reactors(self.settings, usable_cpus),
        )
        reactor = self.server.reactor
        reactor.add(self.signals.fd, Watch(self.obey), select.EPOLLIN)
        self.hurry = partial(reactor.later, self.obey)
        reactor.add(self.lifeline, Watch(self.outlive_the_master), select.EPOLLIN)
        reactor.every_second(self.beat)
        if self.settings.max_rss or self.settings.max_lifetime:
            reactor.every_second(partial(self.examine, Wear(self.settings)))
        # What was loaded stays, and a full collection would walk all of it each time.
        gc.collect()
        gc.freeze()
        self.beat()
        self.slot.state = State.READY
        if reloader is not None:
            reloader.watch(reactor, self.give_way)

    def make_metrics(self) -> Metrics | None:
        """What counts, and answers, where somebody is to be answered."""
        if not self.metrics_sockets:
            return None
        from fastwsgi.observe.prometheus import Metrics  # noqa: PLC0415

        return Metrics(self.slot.counters, self.slot.busy, self.tally)

    def write_stacks_at_timeout(self) -> None:
        faulthandler.register(TIMEOUT, self.stacks, all_threads=True, chain=True)

    def call_post_fork(self) -> None:
        """Whatever signals it takes for itself are ours again afterwards, as they are gunicorn's."""
        if self.settings.post_fork is not None:
            hooks.require(self.settings, "post_fork", self.arbiter, self)
            faulthandler.unregister(TIMEOUT)
            self.signals.take_back()
            self.write_stacks_at_timeout()

    def allowance(self) -> int:
        """The number of requests after which to be replaced; 0: never."""
        settings = self.settings
        if not settings.max_requests:
            return 0
        chance = int.from_bytes(os.urandom(8), "little")
        return settings.max_requests + chance % (settings.max_requests_jitter + 1)

    def beat(self) -> None:
        """Once a second."""
        self.slot.beat(self.server.requests, self.server.connections)

    def examine(self, wear: Wear) -> None:
        """Once a second, where there are bounds: ask to be replaced when one is reached."""
        if self.slot.state is State.READY and (why := wear.why()):
            self.log.info("Worker (pid: %s) is to be replaced: %s", self.pid, why)
            self.wear_out()

    def stop_listening(self) -> None:
        """Give up the listening sockets, which the drain has emptied.

        Were they kept while a long response goes out, the kernel would queue connections that
        nobody accepts; so they are refused, or another worker's.
        """
        for sock in (*self.sockets, *self.metrics_sockets):
            sock.close()

    def obey(self) -> None:
        """Act on the signals that came."""
        for number in self.signals.take():
            if number == signal.SIGTERM:
                self.leave()
            elif number in (signal.SIGINT, signal.SIGQUIT):
                self.interrupt()
                self.server.stop()
            elif number == signal.SIGUSR1:
                self.log.reopen_files()
                self.stacks.reopen()
            elif number == TIMEOUT:
                self.wear_out()

    def leave(self) -> None:
        """TERM came. Drain, or while the delay of the server's end lasts, say that it is near.

        A supervisor may send TERM to all processes of the server; the master's own comes after the
        delay, and where it has heard of nothing, when there is a successor.
        """
        order = self.slot.order
        if order is not Order.RETIRE:
            self.server.announce()
        delayed = self.settings.drain_delay and os.getppid() == self.master
        if order is Order.NONE and delayed:
            self.slot.state = State.LEAVING
        else:
            self.drain()

    def drain(self) -> None:
        """Finish what was begun or is queued, and leave."""
        self.slot.state = State.LEAVING
        self.server.drain(self.stop_listening)

    def give_way(self, path: str) -> None:
        """A file has changed: leave, so that whoever comes next has it."""
        if self.slot.state is not State.LEAVING:
            self.log.info("Worker reloading: %s modified", path)
            self.interrupt()
            self.drain()

    def act_at_once(self, number: int, frame: FrameType | None) -> None:
        """In the signal handler, as an application that does not return never comes to `obey`."""
        self.hurry()
        if number == signal.SIGTERM:
            self.bound_the_drain()
        elif number in (signal.SIGINT, signal.SIGQUIT):
            # What is called here might wait, which gevent's hub, if that is what was met, must not.
            if self.settings.execution != "gevent":
                self.interrupt()
        elif number == TIMEOUT:
            hooks.call(self.settings, "worker_abort", self)
            self.end_request(frame)

    def interrupt(self) -> None:
        """Call worker_int, once however often the worker is told to leave at once."""
        if not self.interrupted:
            self.interrupted = True
            hooks.call(self.settings, "worker_int", self)

    def abort(self, number: int, frame: FrameType | None) -> NoReturn:
        """ABRT came; the stacks are written already."""
        hooks.call(self.settings, "worker_abort", self)
        self.exit(ABORTED)

    def end_request(self, frame: FrameType | None) -> None:
        """Raise RequestTimeout in the application, where it is what runs and has for too long.

        Not where the loop, or code of ours that it called, is what the signal met.
        """
        called = loop.called(frame)
        if called is None or is_ours(called.f_globals.get("__name__", "")):
            return
        limit = self.settings.patience
        if time.monotonic() - self.slot.heartbeat >= limit:
            raise RequestTimeout(f"it took longer than {limit} seconds")

    def bound_the_drain(self) -> None:
        """What still runs is not waited for longer than is allowed.

        The master sees to that. Where it is gone nobody does: the alarm, nobody handling it, ends
        the process.
        """
        if os.getppid() != self.master:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(max(1, self.settings.graceful_timeout))

    def die_with_the_master(self) -> None:
        """Get TERM when the master dies; at once, if it did before the kernel was asked to."""
        signal_when_parent_dies(signal.SIGTERM)
        if os.getppid() != self.master:
            raise BootError("the master died while a worker was started")

    def outlive_the_master(self) -> None:
        """The pipe is at EOF. Leave without being told, as nobody is there to tell."""
        self.server.reactor.remove(self.lifeline)
        self.log.error("The master is gone; worker leaving (pid: %s)", os.getpid())
        self.bound_the_drain()
        self.server.announce()
        self.drain()


class Watch:
    """Calls `action` when its descriptor is readable."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action

    def on_event(self, events: int, /) -> None:
        self.action()


def make_reloader(settings: Settings) -> Reloader | None:
    """What loads and watches the application where `reload` is set; few servers need the code of it."""
    if not settings.reload:
        return None
    from fastwsgi.process.reloader import Reloader  # noqa: PLC0415

    return Reloader(settings)


def is_ours(module: str) -> bool:
    """Whether code of the server's own is in `module`, other than what stands around an application.

    The loop calls OpenSSL by way of the module ssl.
    """
    if module == "ssl":
        return True
    return module.startswith("fastwsgi.") and module not in AROUND_APPLICATIONS


def leave(code: int) -> NoReturn:
    """End a forked process as an interpreter ends: threads joined, atexit run, output flushed.

    But without unwinding the frames it shares with the master, whose `finally` clauses and context
    managers are the master's business. multiprocessing ends its children in the same way.
    """
    with contextlib.suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)
