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
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final, NoReturn

from fastwsgi import wiring
from fastwsgi._prctl import signal_when_parent_dies
from fastwsgi.config.settings import Settings
from fastwsgi.errors import AppLoadError, BootError, ConfigError, RequestTimeout
from fastwsgi.net import reactor as loop
from fastwsgi.observe.logs import ERROR, Logs
from fastwsgi.process.privileges import drop
from fastwsgi.process.scoreboard import Order, Slot, State
from fastwsgi.process.signals import TIMEOUT, SignalQueue
from fastwsgi.process.surroundings import enter_folder, prepare

Load = Callable[[Settings], Callable[..., Any]]

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


class Worker:
    """One forked process. `lifeline` is the reading end of a pipe that the master alone writes."""

    def __init__(
        self,
        settings: Settings,
        load: Load,
        sockets: Sequence[socket.socket],
        slot: Slot,
        logs: Logs,
        *,
        lifeline: int,
        master: int,
    ) -> None:
        self.settings = settings
        self.load = load
        self.sockets = sockets
        self.slot = slot
        self.logs = logs
        self.lifeline = lifeline
        self.master = master
        self.log = logging.getLogger(ERROR)

    def run(self) -> int:
        """Serve until told to leave; the exit code."""
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

    def boot(self) -> None:
        """Everything up to the first request. Raises ConfigError, and what wiring raises."""
        self.log.info("Booting worker with pid: %s", os.getpid())
        faulthandler.enable(self.logs.error)
        self.signals = SignalQueue((*OURS, *THE_MASTERS), self.act_at_once)
        faulthandler.register(TIMEOUT, self.logs.error, all_threads=True, chain=True)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*OURS, *THE_MASTERS, signal.SIGCHLD))
        drop(self.settings)
        self.die_with_the_master()
        enter_folder(self.settings)
        prepare(self.settings)
        app = self.load(self.settings)
        self.server = wiring.build(
            self.settings,
            app,
            list(self.sockets),
            max_requests=self.allowance(),
            on_worn_out=self.wear_out,
            heartbeat=self.slot.pulse,
        )
        reactor = self.server.reactor
        reactor.add(self.signals.fd, Watch(self.obey), select.EPOLLIN)
        reactor.add(self.lifeline, Watch(self.outlive_the_master), select.EPOLLIN)
        reactor.every_second(self.beat)
        self.beat()
        self.slot.state = State.READY

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

    def stop_listening(self) -> None:
        """Give up the listening sockets, which the drain has emptied.

        Were they kept while a long response goes out, the kernel would queue connections that
        nobody accepts; so they are refused, or another worker's.
        """
        for sock in self.sockets:
            sock.close()

    def wear_out(self) -> None:
        """Ask to be replaced: max_requests is reached, or something is stuck.

        The master sends TERM once a successor is ready.
        """
        if self.slot.state is State.READY:
            self.slot.state = State.WORN

    def obey(self) -> None:
        """Act on the signals that came."""
        for number in self.signals.take():
            if number == signal.SIGTERM:
                self.leave()
            elif number in (signal.SIGINT, signal.SIGQUIT):
                self.server.stop()
            elif number == signal.SIGUSR1:
                self.logs.reopen()
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

    def act_at_once(self, number: int, frame: FrameType | None) -> None:
        """In the signal handler, as an application that does not return never comes to `obey`."""
        if number == signal.SIGTERM:
            self.bound_the_drain()
        elif number == TIMEOUT:
            self.end_request(frame)

    def end_request(self, frame: FrameType | None) -> None:
        """Raise RequestTimeout in the application, where it is what runs and has for too long.

        Not where the loop, or code of ours that it called, is what the signal met.
        """
        called = loop.called(frame)
        if called is None or called.f_globals.get("__name__", "").startswith("fastwsgi."):
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
