"""The master: it forks workers, watches them, and replaces them; it never sees a request.

`Arbiter.run` is a loop that sleeps until a signal, a ring of the scoreboard's bell, or the next
deadline, and then compares what is with what should be: `reap_workers` buries the dead,
`murder_workers` ends the stuck, `manage_workers` forks what is missing and retires what is surplus.
These look at the state and not at what happened, so it does not matter in which order events came,
or how many came at once.

Laws:

1. A worker leaves when its successor is ready, never before. This one rule is the reload, the
   replacement after max_requests, and their orderly failure.
2. A reload that fails changes nothing: the generation that serves goes on with its own settings,
   sockets, files and application until all of the next one are ready. One that hangs gives way to
   the next HUP.
3. Only a start fails as a whole: until some worker has been ready, one that cannot boot ends the
   master with its exit code. Later, what a worker does ends that worker alone, and boots that keep
   failing are tried at growing intervals.
4. Every wait has an end: a worker that is told to leave has a deadline, and the master's sleep ends
   with the earliest.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from fastwsgi import __version__
from fastwsgi.config.settings import Settings
from fastwsgi.config.sources import Sources
from fastwsgi.errors import AppLoadError, BootError, ConfigError
from fastwsgi.observe.logs import STANDARD
from fastwsgi.originals import original
from fastwsgi.process import hooks, upgrade
from fastwsgi.process.application import Load
from fastwsgi.process.child import Child
from fastwsgi.process.daemon import Launch
from fastwsgi.process.faces import ServerFace
from fastwsgi.process.gauges import Gauges
from fastwsgi.process.generation import Generation
from fastwsgi.process.logger import close_logger, give_files, make_logger, renew_logger
from fastwsgi.process.pidfile import Pidfile
from fastwsgi.process.scoreboard import Order, Scoreboard, Slot, State
from fastwsgi.process.signals import ENDING, TIMEOUT, SignalQueue, wait_readable
from fastwsgi.process.sockets import BindError, Sockets
from fastwsgi.process.surroundings import (
    enter_folder,
    prepare,
    require_execution,
    set_variables,
    take_back_variables,
)
from fastwsgi.process.systemd import Notifier
from fastwsgi.process.title import set_title
from fastwsgi.process.worker import Worker
from fastwsgi.wiring import secure

fork: Final = original("os", "fork")
waitpid: Final = original("os", "waitpid")

SIGNALS: Final = (
    *ENDING,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCHLD,
)

BIND_TRIES: Final = 5
BIND_PAUSE: Final = 1.0

# Seconds.
ANSWER_SECONDS: Final = 0.5  # from TIMEOUT, which ends a request, to KILL
OVERSLEPT_SECONDS: Final = 1.0
QUICK_SECONDS: Final = 1.0  # from QUIT to KILL

RELOAD_SECONDS: Final = 2.0  # of a reload, before another HUP takes its place

FIRST_BOOT_PAUSE: Final = 0.5
LONGEST_BOOT_PAUSE: Final = 30.0


class Arbiter(ServerFace):
    """The master process of one server. `load` gives the application of some settings.

    `bind_pause` is how long to wait, in seconds, before an address in use is tried again. `run`
    returns when the server was told to stop and has; it raises ConfigError when the server cannot
    start.
    """

    def __init__(
        self, sources: Sources, settings: Settings, load: Load, *, bind_pause: float = BIND_PAUSE
    ) -> None:
        self.sources = sources
        self.settings = settings
        self.load = load
        self.bind_pause = bind_pause
        self.generation = Generation(settings, Sockets(()), load, None)
        self.children: dict[int, Child] = {}
        self.scoreboard = Scoreboard()
        self.gauges = Gauges()
        self.previous: Generation | None = None  # serves on while the next one boots
        self.worker_age = 0  # counts the workers
        self.stopping = False
        self.drain_at = math.inf  # until then a server that was told to stop goes on listening
        self.started = False  # as far as on_starting
        self.booted = False  # some worker has been ready
        self.reload_wanted = False
        self.pidfile: Pidfile | None = None
        self.launch: Launch | None = None  # into the background, until that is done
        self.boot_pause = 0.0
        self.boot_after = 0.0  # no worker is forked before this time
        self.awake_since = 0.0
        self.last_failure = ""

    def run(self) -> None:
        """Serve until told to stop. Raises ConfigError where the start fails.

        With `daemon` set this returns in another process; the one that called it ends.
        """
        self.succession = upgrade.Succession(os.environ)
        if self.settings.daemon and not self.succession.parent:
            self.launch = Launch()
        self.pid = os.getpid()
        try:
            self.serve()
        except ConfigError as error:
            if self.launch is not None:
                self.launch.fail(error.exit_code)
            raise

    def serve(self) -> None:
        """Be the master, in the process that is to be it. Raises ConfigError where the start fails."""
        # Applications look for "gunicorn" there, to know that they are served and not run by hand.
        os.environ["SERVER_SOFTWARE"] = f"fastwsgi/{__version__} (gunicorn)"
        enter_folder(self.settings)
        self.log = make_logger(self.settings)
        give_files(self.log, self.settings)
        self.signals = SignalQueue(SIGNALS)
        self.notifier = Notifier(os.environ)
        self.lifeline, self.lifeline_end = os.pipe2(os.O_CLOEXEC)
        try:
            if self.start():
                self.work()
        except Exception as error:
            if self.settings.errorlog != STANDARD:
                self.log.critical("%s", error, exc_info=not isinstance(error, ConfigError))
            raise
        finally:
            self.finish()

    def start(self) -> bool:
        """Up to the first fork. False where a signal came first that ends the server."""
        settings = self.settings
        set_variables(settings)
        hooks.require(settings, "nworkers_changed", self, self.num_workers, None)
        self.log.info("Starting fastwsgi %s", __version__)
        self.say_warnings()
        if settings.daemon and "NOTIFY_SOCKET" in os.environ:
            self.log.warning("systemd does not follow a daemon by Type=notify; leave --daemon out")
        require_execution(settings)
        self.generation.endpoint = secure(settings)
        self.succession.watch_parent()
        self.pidfile = self.create_pidfile(settings)
        if settings.preload_app:
            self.generation.app.load = self.preload(settings)
        hooks.require(settings, "on_starting", self)
        self.started = True
        sockets = self.bind(settings)
        if sockets is None:
            return False
        self.generation.sockets = sockets
        self.log.info("Listening at: %s (%s)", sockets, self.pid)
        self.log.info("Using worker: %s", settings.effective_class)
        set_title("master", self.name)
        self.notifier.ready("Listening")
        hooks.require(settings, "when_ready", self)
        if self.launch is not None:
            self.launch.succeed(keep_streams=settings.enable_stdio_inheritance)
            self.launch = None
        return True

    def work(self) -> None:
        """The loop. Returns when the server has stopped."""
        while True:
            self.scoreboard.hush()
            self.reap_workers()
            if self.stopping and not self.children:
                return
            if self.succession.parent_left():
                self.be_promoted()
            self.murder_workers()
            now = time.monotonic()
            if now >= self.notifier.ping_at:
                self.notifier.ping()
            if now >= self.drain_at:
                self.drain()
            if not self.stopping:
                self.manage_workers()
                self.measure()
            for number in self.wait(min(self.deadlines())):
                self.handle(number)

    def wait(self, deadline: float) -> list[int]:
        """Sleep until something happens or the deadline; the signals that came."""
        left = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
        wait_readable((self.signals.fd, self.scoreboard.fd), left)
        now = time.monotonic()
        if now > deadline + OVERSLEPT_SECONDS:
            # The whole server was stopped, as a container is paused: no worker could be heard.
            self.awake_since = now
        return self.signals.take()

    def deadlines(self) -> Iterator[float]:
        """When there will be something to do although nothing happens."""
        for child in self.children.values():
            yield child.kill_at()
            yield child.silent_at(self.awake_since)
        if self.boot_after > time.monotonic():
            yield self.boot_after
        if self.reload_wanted and not self.stopping:
            yield self.reload_at
        if self.settings.enable_backlog_metric and not self.stopping:
            yield self.gauges.due
        yield self.drain_at
        yield self.notifier.ping_at

    def finish(self) -> None:
        """Release everything; after a failed start, with whatever there is by then."""
        for child in self.children.values():
            send(child.pid, signal.SIGKILL)
        while self.children:
            self.children.pop(waitpid(-1, 0)[0], None)
        self.close_sockets()
        if self.pidfile is not None:
            self.pidfile.remove()
        self.log.info("Shutting down: Master%s", self.succession.suffix)
        if self.started:
            hooks.call(self.settings, "on_exit", self)
        os.close(self.lifeline)
        os.close(self.lifeline_end)
        self.scoreboard.close()
        self.signals.close()
        close_logger(self.log)

    def close_sockets(self) -> None:
        """Stop listening; workers that drain still accept what is queued."""
        for generation in (self.generation, self.previous):
            if generation is not None:
                generation.sockets.close_except(None, unlink=self.succession.peer == 0)

    # Starting

    @property
    def name(self) -> str:
        """What ps and the log call the server."""
        settings = self.settings
        names = (settings.proc_name, settings.default_proc_name, settings.wsgi_app, "fastwsgi")
        return next(filter(None, names)) + self.succession.suffix

    def addresses(self, settings: Settings) -> Sequence[str]:
        """Where to listen: on the sockets that systemd opened, or else where `bind` says.

        Behind those where metrics are to be had, which may be one of systemd's.
        """
        for_metrics = settings.metrics_bind
        activated = [f"fd://{fd}" for fd in self.succession.activated]
        public = [text for text in activated or settings.bind if text not in for_metrics]
        return [*public, *for_metrics]

    def say_warnings(self) -> None:
        for warning in self.sources.warnings:
            self.log.warning("%s", warning)

    def preload(self, settings: Settings) -> Load:
        """Load the application now; what it takes in memory is then shared with all workers."""
        prepare(settings)
        if settings.reload:
            self.log.warning("The application is preloaded: reload does not bring its changes")
        app = self.load(settings)
        self.signals.take_back()
        # Objects the collector never looks at are pages that are never copied.
        gc.collect()
        gc.freeze()

        def load(settings: Settings) -> Callable[..., Any]:
            return app

        return load

    def bind(self, settings: Settings) -> Sockets | None:
        """The listening sockets, trying for a while where an address is in use.

        None where a signal comes first that ends the server.
        """
        addresses = self.addresses(settings)
        present = Sockets.inherit(self.succession.fds, addresses, settings)
        for attempt in range(1, BIND_TRIES + 1):
            try:
                return Sockets.open(addresses, settings, present)
            except BindError as error:
                if attempt == BIND_TRIES or not error.worth_waiting:
                    raise
                if attempt == 1:
                    self.log.warning("%s; trying again for some seconds", error)
            if any(number in ENDING for number in self.wait(time.monotonic() + self.bind_pause)):
                break
        return None

    # Signals

    def handle(self, number: int) -> None:
        """Act on a signal."""
        if number == signal.SIGCHLD:
            return  # the loop looks for the dead whenever it is awake
        self.log.info("Handling signal: %s", signal.Signals(number).name[3:].lower())
        if number in ENDING:
            self.stop(graceful=number == signal.SIGTERM)
        elif number == signal.SIGUSR1:
            self.log.reopen_files()
            give_files(self.log, self.settings)
            self.kill_workers(signal.SIGUSR1)
        elif self.stopping:
            pass
        elif number == signal.SIGUSR2:
            self.upgrade()
        elif number == signal.SIGWINCH:
            self.rest()
        elif number == signal.SIGHUP:
            self.reload_wanted = True
        elif number == signal.SIGTTIN:
            self.num_workers += 1
        elif number == signal.SIGTTOU and self.num_workers > 1:
            self.num_workers -= 1

    def stop(self, *, graceful: bool) -> None:
        """End all workers: gracefully, or at once, also while the former is under way."""
        begins, self.stopping = not self.stopping, True
        if begins:
            self.say_stopping()
        if not graceful:
            self.close_sockets()
            for child in self.children.values():
                self.dismiss(child, signal.SIGQUIT, QUICK_SECONDS)
        elif begins and self.settings.drain_delay and not self.succession.peer:
            self.drain_at = time.monotonic() + self.settings.drain_delay
            self.log.info("Listening for %s seconds more", self.settings.drain_delay)
            self.kill_workers(signal.SIGTERM)
        elif begins:
            self.drain()

    def drain(self) -> None:
        """Stop listening, then have the workers finish what they have.

        In this order: a worker empties the queues of the sockets, and after it nothing may come in.
        """
        self.drain_at = math.inf
        order = Order.RETIRE if self.succession.peer else Order.END
        self.close_sockets()
        for child in self.children.values():
            self.retire(child, order)

    def say_stopping(self) -> None:
        """Tell systemd that the service ends, or who the service is from now on."""
        if self.succession.successor:
            self.notifier.main_process(self.succession.successor)
        elif not self.succession.parent:
            self.notifier.stopping()

    def rest(self) -> None:
        """Retire all workers, until TTIN or HUP; on a terminal WINCH means nothing of the kind."""
        if self.settings.daemon:
            self.log.info("graceful stop of workers")
            self.num_workers = 0
        else:
            self.log.debug("SIGWINCH ignored. Not daemonized")

    # Upgrading

    def upgrade(self) -> None:
        """Start another master on the same sockets, unless there are two already."""
        if self.succession.peer:
            self.log.warning("USR2 ignored: there are two masters (pid: %s)", self.succession.peer)
            return
        flush_streams()
        try:
            with self.signals.blocked():
                pid = fork()
                if pid == 0:
                    self.exec_successor()
        except OSError as error:
            self.log.error("Not upgraded: %s", error.strerror)
            return
        self.succession.successor = pid
        self.log.info("Upgrading: the new master has the pid %s", pid)

    def exec_successor(self) -> NoReturn:
        """In the child, with the signals blocked: execute the command of this server anew."""
        try:
            self.signals.abandon()
            hooks.require(self.settings, "pre_exec", self)
            upgrade.forget_handlers(self.signals.numbers)
            fds = self.generation.sockets.filenos()
            environ = upgrade.heirs_environment(
                self.sources.environ, self.pid, fds, self.succession.activated
            )
            upgrade.execute(self.sources.folder, environ, fds)
        except BaseException as error:
            self.log.error("The new master cannot be started: %s", error)
        finally:
            os._exit(1)

    def lose_successor(self, status: int) -> None:
        """The new master is gone: it failed, or was told to leave. This one goes on."""
        self.log.warning(
            "The new master (pid: %s) %s", self.succession.successor, describe_end(status)
        )
        self.succession.successor = 0

    def be_promoted(self) -> None:
        """The old master is gone; this one takes its name, its pidfile and its place."""
        set_title("master", self.name)
        self.notifier.main_process(self.pid)
        if self.pidfile is not None and self.settings.pidfile is not None:
            try:
                self.pidfile.move(self.settings.pidfile)
            except OSError as error:
                self.log.error("The pidfile keeps its name: %s", error)
        self.log.info("Master has been promoted.")

    # Reloading

    @property
    def reload_at(self) -> float:
        """When another reload may begin: at once, or where one is under way, once it had its time.

        It may hang. And were each HUP of many to begin a generation, all of them would boot at once.
        """
        return 0.0 if self.previous is None else self.generation.begun + RELOAD_SECONDS

    def reload(self) -> None:
        """Read everything anew and begin a generation of it, or say why not and change nothing."""
        self.reload_wanted = False
        if self.previous is not None:
            self.abandon_reload(self.previous, "another HUP came before the new workers were ready")
        self.log.info("Hang up: Master%s", self.succession.suffix)
        self.notifier.reloading()
        try:
            self.begin_generation(self.read_settings())
            hooks.call(self.settings, "on_reload", self)
        except ConfigError as error:
            with contextlib.suppress(ConfigError):
                enter_folder(self.settings)
            self.report_no_reload(str(error))

    def report_no_reload(self, why: str) -> None:
        """Say why all stays as it was."""
        self.log.error("Not reloaded, going on as before: %s", why)
        self.notifier.ready("Not reloaded")

    def read_settings(self) -> Settings:
        """As at the start: what a configuration file computes of a variable does not grow with each reload."""
        take_back_variables(self.settings, self.sources.environ)
        try:
            return self.sources.read()
        finally:
            set_variables(self.settings)

    def begin_generation(self, settings: Settings) -> None:
        """Fork nothing yet: `manage_workers` does. Raises ConfigError, with nothing changed."""
        present = self.generation
        listening = str(present.sockets)
        enter_folder(settings)
        require_execution(settings)
        endpoint = secure(settings)
        self.log = renew_logger(self.log, settings, self.settings)
        give_files(self.log, settings)
        try:
            sockets = Sockets.open(self.addresses(settings), settings, present.sockets)
            try:
                self.replace_pidfile(settings)
            except ConfigError:
                sockets.close_except(present.sockets)
                raise
        except ConfigError:
            self.log = renew_logger(self.log, self.settings, settings)
            raise
        self.say_warnings()
        if present.app.load is not self.load:
            self.log.warning("The application is preloaded: its code stays as it was at the start")
        elif settings.preload_app:
            self.log.warning("preload_app is new: the workers load the application until a restart")
        self.previous = present
        self.generation = Generation(settings, sockets, present.app.load, endpoint)
        self.change_settings(settings, present.count)
        self.boot_after = self.boot_pause = 0.0
        if str(sockets) != listening:
            self.log.info("Listening at: %s (%s)", sockets, self.pid)

    def change_settings(self, settings: Settings, count: int) -> None:
        """The settings of the master are now these; there were `count` workers before."""
        take_back_variables(self.settings, self.sources.environ)
        set_variables(settings)
        self.settings = settings
        hooks.call(settings, "nworkers_changed", self, self.num_workers, count)

    def create_pidfile(self, settings: Settings) -> Pidfile | None:
        """Write the pidfile that `settings` name, if any. Raises ConfigError."""
        if settings.pidfile is None:
            return None
        pidfile = Pidfile(settings.pidfile + self.succession.suffix)
        pidfile.create()
        return pidfile

    def replace_pidfile(self, settings: Settings) -> None:
        """Move to the pidfile of `settings`. ConfigError, with nothing changed, if it cannot be."""
        if settings.pidfile == self.settings.pidfile:
            return
        pidfile = self.create_pidfile(settings)
        if self.pidfile is not None:
            self.pidfile.remove()
        self.pidfile = pidfile

    def complete_reload(self, previous: Generation) -> None:
        """The new generation is ready: the sockets that only the previous one had are closed."""
        self.previous = None
        previous.sockets.close_except(self.generation.sockets, unlink=self.succession.peer == 0)
        set_title("master", self.name)
        self.notifier.ready("Reloaded")
        self.log.info("Reloaded: %s new workers are ready", self.generation.count)

    def abandon_reload(self, previous: Generation, why: str) -> None:
        """The new generation does not boot: the previous one goes on, with what it had."""
        failed, self.generation, self.previous = self.generation, previous, None
        failed.sockets.close_except(previous.sockets)
        with contextlib.suppress(ConfigError):
            enter_folder(previous.settings)
            self.log = renew_logger(self.log, previous.settings, self.settings)
            self.replace_pidfile(previous.settings)
        self.change_settings(previous.settings, failed.count)
        for child in self.children.values():
            if child.generation is failed:
                self.retire(child)
        self.report_no_reload(why)

    # Workers

    def manage_workers(self) -> None:
        """Fork what is missing, retire what is surplus, and what has a successor that is ready."""
        if self.reload_wanted and time.monotonic() >= self.reload_at:
            self.reload()
        if self.previous is not None:
            self.spawn_workers(self.previous)
        self.spawn_workers(self.generation)
        staying = self.staff(self.generation)
        surplus = sorted(staying, key=lambda child: child.seat)[self.generation.count :]
        if surplus:
            # First, so that the worker's copy of its socket is the last, and closes the queue.
            self.generation.sockets.keep_seats(self.generation.count)
        for child in surplus:
            self.retire(child)
        if sum(child.is_ready for child in staying) >= self.generation.count:
            self.note_readiness(staying)

    def note_readiness(self, staying: list[Child]) -> None:
        """All that should be ready is: whoever is not of the staff has its successor."""
        if not self.booted:
            self.booted = True
            self.log.info("Ready: %s workers", len(staying))
        self.boot_pause = 0.0
        self.last_failure = ""
        for child in self.children.values():
            if child not in staying:
                self.retire(child)
        if self.previous is not None:
            self.complete_reload(self.previous)
        self.generation.sockets.keep_seats(self.generation.count)

    def staff(self, generation: Generation) -> list[Child]:
        return [
            child
            for child in self.children.values()
            if child.generation is generation and child.stays
        ]

    def measure(self) -> None:
        """Tell whoever sends metrics how many workers there are, and how many clients wait for them."""
        self.scoreboard.tell(wanted=self.generation.count, started=self.worker_age)
        self.gauges.tell_workers(self.log, len(self.staff(self.generation)))
        if self.settings.enable_backlog_metric:
            self.gauges.tell_backlog(self.log, self.generation.public_sockets)

    def spawn_workers(self, generation: Generation) -> None:
        """Fork what `generation` lacks, unless boots have failed and it is not yet time again."""
        taken = {child.seat for child in self.staff(generation)}
        for seat in range(generation.count):
            if time.monotonic() < self.boot_after or len(taken) >= generation.count:
                return
            if generation is not self.generation and generation is not self.previous:
                return  # it was given up, as one of its workers could not be forked
            if seat not in taken:
                self.spawn_worker(generation, seat)
                taken.add(seat)

    def spawn_worker(self, generation: Generation, seat: int) -> None:
        """Fork one worker; the child never returns from here."""
        slot = self.scoreboard.take()
        if slot is None:
            self.postpone_boots("there is no slot left for another worker")
            return
        try:
            worker = self.make_worker(generation, seat, slot)
            hooks.require(generation.settings, "pre_fork", self, worker)
            flush_streams()
            with self.signals.blocked():
                pid = fork()
                if pid == 0:
                    self.be_worker(generation, seat, worker)
        except OSError as error:
            self.scoreboard.give_back(slot)
            self.postpone_boots(f"a worker cannot be forked: {error.strerror}")
        except ConfigError as error:
            self.scoreboard.give_back(slot)
            self.fail_boot(generation, str(error))
        else:
            worker.pid = pid
            self.children[pid] = Child(pid, generation, seat, worker)

    def make_worker(self, generation: Generation, seat: int, slot: Slot) -> Worker:
        """The next worker, not yet forked: what a hook writes on it then, master and worker have."""
        self.worker_age += 1
        sockets = generation.sockets.of_seat(seat)
        return Worker(
            generation.settings,
            generation.app,
            sockets[: generation.public],
            slot,
            self.log,
            metrics_sockets=sockets[generation.public :],
            tally=self.scoreboard.tally,
            endpoint=generation.endpoint,
            lifeline=self.lifeline,
            master=self.pid,
            age=self.worker_age,
        )

    def be_worker(self, generation: Generation, seat: int, worker: Worker) -> NoReturn:
        """In the child, with the signals blocked."""
        code = BootError.exit_code
        try:
            self.signals.abandon()
            os.close(self.lifeline_end)
            generation.sockets.close_except_of(seat)
            for other in filter(None, (self.generation, self.previous)):
                # Where a reload is under way: what is closed after it must not live on in here.
                other.sockets.close_except(generation.sockets, unlink=False)
            set_title("worker", self.name)
            code = worker.run(self)
        except BaseException:
            self.log.exception("Worker failed (pid: %s)", os.getpid())
        finally:
            worker.exit(code)

    def postpone_boots(self, why: str) -> None:
        """After a failed boot: fork nothing for a while, longer each time."""
        now = time.monotonic()
        if now >= self.boot_after:
            self.boot_pause = min(max(2 * self.boot_pause, FIRST_BOOT_PAUSE), LONGEST_BOOT_PAUSE)
            self.boot_after = now + self.boot_pause
        if why != self.last_failure:
            self.log.error("%s", why)
            self.last_failure = why

    def reap_workers(self) -> None:
        """Bury all dead children. Whoever is not ours is one that PID 1 inherited."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.succession.successor:
                    self.lose_successor(status)
                child = self.children.pop(pid, None)
                if child is not None:
                    self.bury(child, status)

    def bury(self, child: Child, status: int) -> None:
        """Say how a worker ended, where it was not told to, and draw the conclusions."""
        code, how = os.waitstatus_to_exitcode(status), describe_end(status)
        state, note = child.slot.state, child.slot.note
        hooks.call(child.generation.settings, "child_exit", self, child.worker)
        self.scoreboard.give_back(child.slot)
        if code == -signal.SIGKILL and not child.killed:
            how += " Perhaps out of memory?"  # what the kernel does to whom it has no memory for
        if child.leaving:
            if child.is_interrupted:
                self.log.warning("Worker (pid:%s) %s", child.pid, how)
        elif state is State.BOOTING:
            why = note or f"worker (pid:{child.pid}) {how} before it was ready"
            self.fail_boot(child.generation, why, code)
        else:
            self.booted = True
            if code != 0 or state is not State.LEAVING:
                self.log.error("Worker (pid:%s) %s", child.pid, how)

    def fail_boot(self, generation: Generation, why: str, code: int = BootError.exit_code) -> None:
        """A worker cannot become ready. Raises ConfigError while the server starts."""
        if self.previous is not None and generation is self.generation:
            self.abandon_reload(self.previous, why)
        elif self.booted or any(other.has_booted for other in self.children.values()):
            self.postpone_boots(why)
        else:
            raise (AppLoadError if code == AppLoadError.exit_code else BootError)(why)

    def murder_workers(self) -> None:
        """End what keeps the workers that are stuck, and the workers that are to be gone by now.

        Whoever can end the request that keeps it serves on until it has a successor: it asks for one.
        """
        now = time.monotonic()
        for child in self.children.values():
            if now >= child.kill_at():
                child.killed = True
                if child.leaving and not child.is_interrupted:
                    self.log.warning("Worker (pid:%s) did not leave in time: killed", child.pid)
                send(child.pid, signal.SIGKILL)
            elif now >= child.silent_at(self.awake_since):
                self.log.critical("WORKER TIMEOUT (pid:%s)", child.pid)
                child.last_beat, child.speak_by = child.slot.heartbeat, now + ANSWER_SECONDS
                send(child.pid, TIMEOUT)
                send(child.pid, signal.SIGCONT)  # a process that somebody stopped answers nothing

    def retire(self, child: Child, order: Order = Order.RETIRE) -> None:
        """Tell a worker to finish what it does and leave; once."""
        if not child.leaving:
            child.slot.order = order
            self.dismiss(child, signal.SIGTERM, child.generation.settings.graceful_timeout)

    def dismiss(self, child: Child, number: int, seconds: float) -> None:
        """Send a signal that ends the worker, or else KILL does, `seconds` later."""
        child.leaving = True
        child.leave_by = min(child.leave_by, time.monotonic() + seconds)
        send(child.pid, number)

    def kill_workers(self, number: int) -> None:
        """Send a signal to all workers."""
        for pid in self.children:
            send(pid, number)


def flush_streams() -> None:
    """Before a fork: what is in their buffers would be written by the child as well."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def send(pid: int, number: int) -> None:
    """A signal to a child; one that is dead and not yet buried takes it without effect."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def describe_end(status: int) -> str:
    """How a process ended, of its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was sent {name}!"
