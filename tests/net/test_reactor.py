"""The reactor: who gets which event, when sweeps run, how it is woken, and what an error costs."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from fastwsgi._clock import Clock
from fastwsgi._epoll import Poller
from fastwsgi.net.reactor import BATCH, BATCHES_BEFORE_SWEEP, Reactor


class Recorder:
    """Reads what is there and remembers it; then does what the test asks for."""

    def __init__(self, sock: socket.socket, then: Callable[[], None] = lambda: None) -> None:
        self.sock = sock
        self.then = then
        self.seen: list[bytes] = []
        self.masks: list[int] = []

    def on_event(self, events: int) -> None:
        self.masks.append(events)
        self.seen.append(self.sock.recv(100, socket.MSG_DONTWAIT))
        self.then()


class Always:
    """A handler of a socket that can always be written to."""

    def __init__(self, events: list[int]) -> None:
        self.events = events

    def on_event(self, events: int) -> None:
        self.events.append(events)


Pair = tuple[socket.socket, socket.socket]
MakePair = Callable[[], Pair]


@pytest.fixture
def pair() -> Iterator[MakePair]:
    made: list[socket.socket] = []

    def make() -> Pair:
        ours, theirs = socket.socketpair()
        made.extend((ours, theirs))
        return ours, theirs

    yield make
    for sock in made:
        sock.close()


def raise_value_error() -> None:
    raise ValueError("broken handler")


def test_an_event_reaches_its_handler_with_its_mask(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    handler = Recorder(ours)
    reactor.add(ours.fileno(), handler, select.EPOLLIN)
    assert reactor.turn(0) == 0
    theirs.send(b"hello")
    assert reactor.turn(0) == 1
    assert handler.seen == [b"hello"]
    assert handler.masks == [select.EPOLLIN]


def test_events_are_level_triggered(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    handler = Recorder(ours)
    reactor.add(ours.fileno(), handler, select.EPOLLIN)
    theirs.send(b"x" * 150)
    assert [reactor.turn(0), reactor.turn(0), reactor.turn(0)] == [1, 1, 0]
    assert [len(piece) for piece in handler.seen] == [100, 50]


def test_high_descriptors_are_indexed(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    high = os.dup2(ours.fileno(), 900, inheritable=False)
    try:
        handler = Recorder(ours)
        reactor.add(high, handler, select.EPOLLIN)
        theirs.send(b"up here")
        reactor.turn(0)
        assert handler.seen == [b"up here"]
        reactor.remove(high)
    finally:
        os.close(high)


def test_modify_changes_the_events_watched(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    handler = Recorder(ours)
    reactor.add(ours.fileno(), handler, select.EPOLLIN)
    theirs.send(b"x")
    reactor.modify(ours.fileno(), select.EPOLLOUT)
    reactor.turn(0)
    assert handler.masks == [select.EPOLLOUT]


def test_a_descriptor_cannot_be_added_twice(reactor: Reactor, pair: MakePair) -> None:
    ours, _ = pair()
    reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)
    with pytest.raises(FileExistsError):
        reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)


def test_removing_what_is_not_there_does_nothing(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    handler = Recorder(ours)
    for fd in (-1, ours.fileno(), 100_000):
        reactor.remove(fd)
    reactor.add(ours.fileno(), handler, select.EPOLLIN)
    reactor.remove(ours.fileno())
    reactor.remove(ours.fileno())
    theirs.send(b"x")
    assert reactor.turn(0) == 0
    assert handler.seen == []


def test_an_event_of_a_handler_removed_in_the_same_batch_is_dropped(
    reactor: Reactor, pair: MakePair
) -> None:
    (first, to_first), (second, to_second) = pair(), pair()
    handlers = [Recorder(first), Recorder(second)]
    handlers[0].then = lambda: reactor.remove(second.fileno())
    handlers[1].then = lambda: reactor.remove(first.fileno())
    for handler in handlers:
        reactor.add(handler.sock.fileno(), handler, select.EPOLLIN)
    to_first.send(b"x")
    to_second.send(b"x")
    assert reactor.turn(0) == 2
    assert sorted(len(handler.seen) for handler in handlers) == [0, 1]


def test_a_reused_number_does_not_get_the_old_events(reactor: Reactor, pair: MakePair) -> None:
    """One handler of the batch closes another's socket, and a new one arrives under its number."""
    (first, to_first), (second, to_second), (fresh, to_fresh) = pair(), pair(), pair()
    newcomer = Recorder(fresh)

    def replace(old: socket.socket) -> Callable[[], None]:
        def act() -> None:
            reactor.remove(old.fileno())
            fresh_fd = os.dup2(fresh.fileno(), old.fileno(), inheritable=False)
            reactor.add(fresh_fd, newcomer, select.EPOLLIN)

        return act

    old = [Recorder(first), Recorder(second)]
    old[0].then = replace(second)
    old[1].then = replace(first)
    for handler in old:
        reactor.add(handler.sock.fileno(), handler, select.EPOLLIN)
    to_first.send(b"x")
    to_second.send(b"x")
    assert reactor.turn(0) == 2
    assert newcomer.masks == []
    to_fresh.send(b"for the newcomer")
    for handler in old:
        handler.then = lambda: None
    reactor.turn(0)
    assert newcomer.seen == [b"for the newcomer"]


def test_a_late_newcomer_may_be_removed_again(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    handler, newcomer = Recorder(ours), Recorder(ours)
    reactor.add(ours.fileno(), handler, select.EPOLLIN)
    reactor.remove(ours.fileno())
    reactor.add(ours.fileno(), newcomer, select.EPOLLIN)
    reactor.remove(ours.fileno())
    theirs.send(b"x")
    assert reactor.turn(0) == 0
    reactor.add(ours.fileno(), newcomer, select.EPOLLIN)
    assert reactor.turn(0) == 1
    assert (handler.seen, newcomer.seen) == ([], [b"x"])


def test_a_late_newcomer_that_left_is_forgotten(reactor: Reactor, pair: MakePair) -> None:
    ours, _ = pair()
    reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)
    reactor.remove(ours.fileno())
    reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)
    reactor.remove(ours.fileno())
    reactor.turn(0)
    reactor.remove(ours.fileno())


def test_a_newcomer_that_took_its_place_is_removed_like_any_other(
    reactor: Reactor, pair: MakePair
) -> None:
    (ours, theirs), (other, to_other) = pair(), pair()
    newcomer = Recorder(ours)
    leaver = Recorder(other, lambda: reactor.remove(ours.fileno()))
    newcomer.then = lambda: reactor.remove(other.fileno())
    for handler in (Recorder(ours), newcomer):
        reactor.remove(ours.fileno())
        reactor.add(ours.fileno(), handler, select.EPOLLIN)
    reactor.add(other.fileno(), leaver, select.EPOLLIN)
    reactor.turn(0)
    theirs.send(b"x")
    to_other.send(b"x")
    assert reactor.turn(0) == 2
    assert len(newcomer.seen) + len(leaver.seen) == 1
    for sock in (ours, other):
        reactor.remove(sock.fileno())
        reactor.remove(sock.fileno())


def test_a_handler_that_raises_costs_nobody_else_an_event(
    reactor: Reactor, pair: MakePair, errors: list[tuple[object, Exception]]
) -> None:
    pairs = [pair() for _ in range(5)]
    handlers = [Recorder(ours) for ours, _ in pairs]
    broken = handlers[1], handlers[3]
    for handler in broken:
        handler.then = raise_value_error
    for handler in handlers:
        reactor.add(handler.sock.fileno(), handler, select.EPOLLIN)
    for _, theirs in pairs:
        theirs.send(b"x")
    assert reactor.turn(0) == 5
    assert [handler.seen for handler in handlers] == [[b"x"]] * 5
    assert {source for source, _ in errors} == set(broken)
    assert all(isinstance(error, ValueError) for _, error in errors)


def test_a_handler_that_raises_is_removed(
    reactor: Reactor, pair: MakePair, errors: list[tuple[object, Exception]]
) -> None:
    ours, theirs = pair()
    reactor.add(ours.fileno(), Recorder(ours, raise_value_error), select.EPOLLIN)
    theirs.send(b"x" * 300)
    assert [reactor.turn(0), reactor.turn(0)] == [1, 0]
    assert len(errors) == 1


def test_a_handler_that_left_before_it_raised_does_not_take_its_successor_along(
    reactor: Reactor, pair: MakePair, errors: list[tuple[object, Exception]]
) -> None:
    ours, theirs = pair()
    successor = Recorder(ours)

    def hand_over() -> None:
        reactor.remove(ours.fileno())
        reactor.add(ours.fileno(), successor, select.EPOLLIN)
        raise ValueError

    reactor.add(ours.fileno(), Recorder(ours, hand_over), select.EPOLLIN)
    theirs.send(b"x")
    reactor.turn(0)
    theirs.send(b"y")
    reactor.turn(0)
    assert successor.seen == [b"y"]
    assert len(errors) == 1


def test_errors_are_logged_by_default(
    pair: MakePair, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    reactor = Reactor(clock)
    try:
        ours, theirs = pair()
        reactor.add(ours.fileno(), Recorder(ours, raise_value_error), select.EPOLLIN)
        theirs.send(b"x")
        reactor.turn(0)
    finally:
        reactor.close()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("gunicorn.error", "ERROR")
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError


def test_an_exit_is_not_held_back(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()

    def leave() -> None:
        raise SystemExit(3)

    reactor.add(ours.fileno(), Recorder(ours, leave), select.EPOLLIN)
    theirs.send(b"x")
    with pytest.raises(SystemExit):
        reactor.turn(0)


def test_sweeps_run_once_a_second_of_the_clock(reactor: Reactor, clock: Clock) -> None:
    calls: list[float] = []
    reactor.every_second(lambda: calls.append(clock.monotonic()))
    for step in (0.0, 0.5, 0.49, 0.02, 0.5, 0.6, 30.0, 0.0):
        clock.advance(step)
        reactor.turn(0)
    assert calls == pytest.approx([1001.01, 1002.11, 1032.11])


def test_a_failing_sweep_does_not_keep_the_others_from_running(
    reactor: Reactor, clock: Clock, errors: list[tuple[object, Exception]]
) -> None:
    calls: list[str] = []
    reactor.every_second(lambda: calls.append("first"))
    reactor.every_second(raise_value_error)
    reactor.every_second(lambda: calls.append("last"))
    clock.advance(1)
    reactor.turn(0)
    assert calls == ["first", "last"]
    assert [source for source, _ in errors] == [raise_value_error]


def test_events_go_before_sweeps(reactor: Reactor, clock: Clock, pair: MakePair) -> None:
    ours, theirs = pair()
    order: list[str] = []
    reactor.every_second(lambda: order.append("sweep"))
    reactor.add(ours.fileno(), Recorder(ours, lambda: order.append("event")), select.EPOLLIN)
    theirs.send(b"x")
    clock.advance(60)
    reactor.turn(0)
    assert order == ["event", "sweep"]


def test_all_that_is_ready_goes_before_sweeps(
    reactor: Reactor, clock: Clock, pair: MakePair
) -> None:
    """More handlers than a batch takes: none is swept as late whose bytes wait in the kernel."""
    order: list[str] = []
    reactor.every_second(lambda: order.append("sweep"))
    for _ in range(2 * BATCH + 1):
        ours, theirs = pair()
        reactor.add(ours.fileno(), Recorder(ours, lambda: order.append("event")), select.EPOLLIN)
        theirs.send(b"x")
    clock.advance(60)
    assert [reactor.turn(0) for _ in range(3)] == [BATCH, BATCH, 1]
    assert order == ["event"] * (2 * BATCH + 1) + ["sweep"]


def test_full_batches_do_not_keep_a_sweep_waiting_for_good(
    reactor: Reactor, clock: Clock, pair: MakePair
) -> None:
    sweeps: list[int] = []
    events: list[int] = []
    reactor.every_second(lambda: sweeps.append(len(events)))
    for _ in range(BATCH):
        ours, _ = pair()
        reactor.add(ours.fileno(), Always(events), select.EPOLLOUT)
    once = BATCHES_BEFORE_SWEEP + 1
    for _ in range(2):
        clock.advance(1)
        for _ in range(once):
            reactor.turn(0)
    assert sweeps == [BATCH * once, BATCH * once * 2]


def test_no_wait_is_longer_than_until_the_next_sweep(clock: Clock) -> None:
    poller = Poller(-1, clock, 1.0)
    assert poller.patience(0) == 0
    clock.advance(0.25)
    assert [poller.patience(bound) for bound in (0, None, 60, 0.5)] == [0, 0.75, 0.75, 0.5]
    clock.advance(1)
    assert poller.patience(None) == 0


def test_a_bound_is_rounded_up(clock: Clock) -> None:
    """Else a caller who waits for a millisecond's fraction would spin."""
    assert Poller(-1, clock, 1.0).patience(0.0001) == 0.001


def test_an_epoll_that_is_closed_is_said(clock: Clock) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Poller(-1, clock, 1.0).wait(0)


def test_a_wait_goes_on_after_a_signal(reactor: Reactor, pair: MakePair) -> None:
    """The clock stands still, so the turn would end without an event only by mistake."""
    ours, theirs = pair()
    reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)
    handled: list[int] = []

    def on_signal(number: int, frame: object) -> None:
        handled.append(number)
        if len(handled) == 2:
            theirs.send(b"x")

    before = signal.signal(signal.SIGALRM, on_signal)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        assert reactor.turn() == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(handled) >= 2


def test_a_wake_up_from_another_thread_ends_the_wait(reactor: Reactor) -> None:
    thread = threading.Thread(target=reactor.wake)
    thread.start()
    try:
        # The clock stands still, so the wait would last its second were it not ended.
        assert reactor.turn() == 1
    finally:
        thread.join()
    assert reactor.turn(0) == 0


def test_a_wake_up_may_come_amid_the_end(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.eventfd_write

    def close_first(fd: int, value: int) -> None:
        reactor.close()
        write(fd, value)

    monkeypatch.setattr(os, "eventfd_write", close_first)
    reactor.wake()
    assert reactor._wake_up.fd == -1


def test_many_wake_ups_count_as_one(reactor: Reactor) -> None:
    for _ in range(1000):
        reactor.wake()
    assert [reactor.turn(0), reactor.turn(0)] == [1, 0]


def test_stop_from_another_thread_ends_run(reactor: Reactor, pair: MakePair) -> None:
    ours, theirs = pair()
    running = threading.Event()
    reactor.add(ours.fileno(), Recorder(ours, running.set), select.EPOLLIN)
    theirs.send(b"x")

    def stop_when_it_runs() -> None:
        running.wait()
        reactor.stop()

    thread = threading.Thread(target=stop_when_it_runs)
    thread.start()
    reactor.run()
    thread.join()


def test_stop_from_a_signal_handler_ends_run(reactor: Reactor) -> None:
    def on_signal(number: int, frame: object) -> None:
        reactor.stop()

    before = signal.signal(signal.SIGUSR2, on_signal)
    main = threading.main_thread().ident
    assert main is not None
    thread = threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGUSR2))
    try:
        thread.start()
        reactor.run()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR2, before)


def test_stop_before_run_makes_it_return_and_holds_for_that_run_only(
    reactor: Reactor, pair: MakePair
) -> None:
    reactor.stop()
    reactor.run()
    ours, theirs = pair()
    handler = Recorder(ours, reactor.stop)
    reactor.add(ours.fileno(), handler, select.EPOLLIN)
    theirs.send(b"x")
    reactor.run()
    assert handler.seen == [b"x"]


def test_a_stop_lets_the_batch_end(reactor: Reactor, pair: MakePair) -> None:
    pairs = [pair() for _ in range(4)]
    handlers = [Recorder(ours, reactor.stop) for ours, _ in pairs]
    for handler in handlers:
        reactor.add(handler.sock.fileno(), handler, select.EPOLLIN)
    for _, theirs in pairs:
        theirs.send(b"x")
    reactor.run()
    assert [handler.seen for handler in handlers] == [[b"x"]] * 4


def test_close_releases_its_descriptors_and_leaves_the_others(pair: MakePair, clock: Clock) -> None:
    before = set(os.listdir("/proc/self/fd"))
    reactor = Reactor(clock)
    ours, theirs = pair()
    reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)
    reactor.close()
    reactor.close()
    left = set(os.listdir("/proc/self/fd")) - before
    assert left == {str(ours.fileno()), str(theirs.fileno())}


def test_late_callers_do_no_harm_after_close(pair: MakePair, clock: Clock) -> None:
    """A signal handler may still hold the reactor, and a connection leave after it."""
    reactor = Reactor(clock)
    ours, _ = pair()
    reactor.add(ours.fileno(), Recorder(ours), select.EPOLLIN)
    reactor.close()
    reactor.wake()
    reactor.stop()
    reactor.remove(ours.fileno())


def test_its_descriptors_are_not_inherited(reactor: Reactor) -> None:
    assert not os.get_inheritable(reactor._epoll.fileno())
    assert not os.get_inheritable(reactor._wake_up.fd)


def test_a_descriptor_that_cannot_be_watched_is_refused(reactor: Reactor, pair: MakePair) -> None:
    handler = Recorder(pair()[0])
    with open("/proc/self/status", "rb") as plain, pytest.raises(PermissionError):
        reactor.add(plain.fileno(), handler, select.EPOLLIN)
