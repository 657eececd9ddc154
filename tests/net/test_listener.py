"""Accepting: batches, the full worker, the exhausted process, failed connections, draining."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pathlib
import queue
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fastwsgi._clock import Clock
from fastwsgi.net import listener as listener_module
from fastwsgi.net.listener import SHARED_BATCH, Listener, State, bind
from fastwsgi.net.reactor import Reactor

BUSY = 12  # accepted at once in a crowd


class Door:
    """A listener under test with what came through it, and clients to knock."""

    def __init__(self, reactor: Reactor, *, shared: bool = False) -> None:
        self.reactor = reactor
        self.sock = bind("127.0.0.1:0", backlog=256)
        self.fds: list[int] = []
        self.addresses: list[tuple[str, int]] = []
        self.clients: list[socket.socket] = []
        self.then: Callable[[], None] = lambda: None
        self.listener = Listener(self.sock, reactor, self.take, shared=shared, backlog=256)

    def take(self, fd: int, address: tuple[str, int]) -> None:
        self.fds.append(fd)
        self.addresses.append(address)
        self.then()

    def knock(self, times: int = 1) -> list[socket.socket]:
        """Connect so many clients; they stand in the kernel's queue when this returns."""
        new = [socket.create_connection(self.sock.getsockname(), 5) for _ in range(times)]
        self.clients += new
        return new

    def close(self) -> None:
        self.listener.close()
        self.sock.close()
        for client in self.clients:
            client.close()
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def door(reactor: Reactor) -> Iterator[Door]:
    made = Door(reactor)
    yield made
    made.close()


@pytest.fixture
def shared_door(reactor: Reactor) -> Iterator[Door]:
    made = Door(reactor, shared=True)
    yield made
    made.close()


class Nobody:
    """Is always ready, and does nothing."""

    def on_event(self, events: int) -> None:
        pass


@pytest.fixture
def crowd(reactor: Reactor) -> Iterator[None]:
    """Descriptors that are ready in each turn, so that batches may be large."""
    fds = [os.eventfd(1) for _ in range(2 * BUSY - 1)]
    for fd in fds:
        reactor.add(fd, Nobody(), select.EPOLLIN)
    yield
    for fd in fds:
        reactor.remove(fd)
        os.close(fd)


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Let every new descriptor fail with EMFILE; those that a close frees may be had again."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, before[1]))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            os.open(os.devnull, os.O_RDONLY)
        assert caught.value.errno == errno.EMFILE
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def ended(client: socket.socket) -> bool:
    """Whether the server closed this connection, cleanly or with a reset."""
    client.settimeout(5)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def untouched(client: socket.socket) -> bool:
    """Whether nothing happened to this connection yet."""
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    return False


def fail_with(*errors: int) -> Callable[[], None]:
    """An accept that fails with each error in turn, then finds the queue empty."""
    left = list(errors)

    def accept() -> None:
        if left:
            number = left.pop(0)
            raise OSError(number, os.strerror(number))

    return accept


def test_a_connection_reaches_the_factory(door: Door) -> None:
    (client,) = door.knock()
    door.reactor.turn(0)
    assert door.addresses == [client.getsockname()]
    (fd,) = door.fds
    assert not os.get_inheritable(fd)
    os.write(fd, b"hello")
    assert client.recv(5) == b"hello"


def test_one_connection_is_accepted_where_nothing_else_is_ready(door: Door) -> None:
    door.knock(3)
    assert [(door.reactor.turn(0), len(door.fds)) for _ in range(4)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (0, 3),
    ]


def test_no_accept_finds_the_queue_empty_where_nothing_else_is_ready(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel makes a file before it looks whether anybody waits."""
    accept = door.listener._accept_one
    calls = []

    def counted() -> tuple[int, object] | None:
        calls.append(1)
        return accept()

    monkeypatch.setattr(door.listener, "_accept_one", counted)
    door.knock(3)
    while door.reactor.turn(0):
        pass
    assert len(calls) == 3


@pytest.mark.parametrize(("shared", "batch"), [(False, BUSY), (True, SHARED_BATCH)])
@pytest.mark.usefixtures("crowd")
def test_batches_are_half_of_what_is_ready(reactor: Reactor, shared: bool, batch: int) -> None:
    door = Door(reactor, shared=shared)
    try:
        door.knock(batch + 3)
        reactor.turn(0)
        assert len(door.fds) == batch
        reactor.turn(0)
        assert len(door.fds) == batch + 3
    finally:
        door.close()


@pytest.mark.usefixtures("crowd")
def test_a_pause_holds_within_a_batch_and_resume_ends_it(door: Door) -> None:
    door.knock(5)
    door.then = lambda: door.listener.pause() if len(door.fds) == 2 else None
    door.reactor.turn(0)
    assert (len(door.fds), door.listener.state) == (2, State.FULL)
    door.reactor.turn(0)
    assert len(door.fds) == 2
    door.listener.pause()
    door.then = lambda: None
    door.listener.resume()
    door.listener.resume()
    door.reactor.turn(0)
    assert (len(door.fds), door.listener.state) == (5, State.ACCEPTING)


def test_a_pause_outlasts_the_sweep(door: Door, clock: Clock) -> None:
    door.listener.pause()
    door.knock()
    clock.advance(5)
    assert door.reactor.turn(0) == 0
    assert door.reactor.turn(0) == 0
    assert door.fds == []


def test_out_of_descriptors_one_client_gets_an_end_and_the_rest_wait(
    door: Door, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clients = door.knock(3)
    with no_descriptors_left():
        door.reactor.turn(0)
        assert door.listener.state is State.STARVED
        assert door.reactor.turn(0) == 0
        assert door.fds == []
    assert ended(clients[0])
    assert untouched(clients[1])
    assert untouched(clients[2])
    clock.advance(1)
    for _ in range(3):  # the sweep, then one each
        door.reactor.turn(0)
    assert len(door.fds) == 2
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("gunicorn.error", logging.ERROR)
    assert "Too many open files" in record.getMessage()
    assert "127.0.0.1" in record.getMessage()


@pytest.mark.usefixtures("crowd")
def test_a_connection_that_ends_lets_the_next_one_in_at_once(door: Door) -> None:
    door.knock()
    door.reactor.turn(0)
    turned_away, _, second = door.knock(3)
    with no_descriptors_left():
        door.reactor.turn(0)
        for _ in range(2):
            assert door.listener.state is State.STARVED
            os.close(door.fds.pop())
            door.listener.resume()
            door.reactor.turn(0)
            assert len(door.fds) == 1
    # One a second is turned away, not one for each that ended.
    assert ended(turned_away)
    assert untouched(second)


def test_the_spare_descriptor_serves_again_and_again(door: Door, clock: Clock) -> None:
    for _ in range(3):
        (client,) = door.knock()
        with no_descriptors_left():
            door.reactor.turn(0)
            # It is held again at once, or somebody else would take it before it is needed.
            with pytest.raises(OSError, match="Too many open files"):
                os.open(os.devnull, os.O_RDONLY)
        assert ended(client)
        clock.advance(1)
        door.reactor.turn(0)
    assert door.fds == []


def test_a_spare_descriptor_that_was_lost_is_replaced_by_the_sweep(
    door: Door, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = door.listener._accept_one
    stolen: list[int] = []

    def meanwhile_taken() -> None:
        """The first accept fails; before the second another thread opens a file."""
        if not stolen:
            stolen.append(-1)
            raise OSError(errno.EMFILE, "Too many open files")
        stolen[0] = os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(door.listener, "_accept_one", meanwhile_taken)
    (client,) = door.knock()
    with no_descriptors_left():
        door.reactor.turn(0)
    monkeypatch.setattr(door.listener, "_accept_one", accept)
    os.close(stolen[0])
    clock.advance(1)
    # The sweep comes after the events of its turn: it restores the spare, and accepting.
    assert door.reactor.turn(0) == 0
    with no_descriptors_left():
        door.reactor.turn(0)
    assert ended(client)


def test_a_full_worker_stays_so_when_descriptors_are_back(door: Door, clock: Clock) -> None:
    door.knock(2)
    with no_descriptors_left():
        door.reactor.turn(0)
    door.listener.pause()
    clock.advance(1)
    assert [door.reactor.turn(0), door.reactor.turn(0)] == [0, 0]
    door.listener.resume()
    door.reactor.turn(0)
    assert len(door.fds) == 1


def test_one_line_an_interval_says_so(
    door: Door,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door.listener, "_accept_one", fail_with(*[errno.ENOBUFS] * 40))
    door.knock()
    lines = []
    for _ in range(25):
        door.reactor.turn(0)
        assert door.listener.state is State.STARVED
        clock.advance(1)
        door.reactor.turn(0)
        lines.append(len(caplog.records))
    assert lines == [1] * 10 + [2] * 10 + [3] * 5


@pytest.mark.parametrize("error", ["ENOMEM", "ENOBUFS", "EMFILE", "ENFILE", "EINVAL", "EBADF"])
def test_an_error_that_stays_does_not_spin(
    door: Door,
    clock: Clock,
    error: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    accept = door.listener._accept_one
    monkeypatch.setattr(door.listener, "_accept_one", fail_with(*[getattr(errno, error)] * 9))
    door.knock()
    assert [door.reactor.turn(0), door.reactor.turn(0)] == [1, 0]
    assert os.strerror(getattr(errno, error)) in caplog.text
    monkeypatch.setattr(door.listener, "_accept_one", accept)
    clock.advance(1)
    door.reactor.turn(0)
    door.reactor.turn(0)
    assert len(door.fds) == 1


@pytest.mark.parametrize("error", sorted(listener_module.PASSED_OVER), ids=errno.errorcode.get)
@pytest.mark.usefixtures("crowd")
def test_a_connection_that_failed_in_the_queue_is_passed_over(
    door: Door, error: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept = door.listener._accept_one
    failed = iter([error, error])

    def flaky() -> tuple[int, object] | None:
        for number in failed:
            raise OSError(number, os.strerror(number))
        return accept()

    monkeypatch.setattr(door.listener, "_accept_one", flaky)
    door.knock()
    door.reactor.turn(0)
    assert len(door.fds) == 1
    assert caplog.records == []


@pytest.mark.usefixtures("crowd")
def test_failed_connections_count_towards_the_batch(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def never() -> tuple[int, object]:
        calls.append(1)
        raise ConnectionAbortedError(errno.ECONNABORTED, "gone")

    monkeypatch.setattr(door.listener, "_accept_one", never)
    door.knock()
    door.reactor.turn(0)
    assert len(calls) == BUSY


@pytest.mark.usefixtures("crowd")
def test_a_failing_factory_closes_its_connection_only(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    clients = door.knock(3)

    def fail_once() -> None:
        if len(door.fds) == 2:
            door.then = lambda: None
            del door.fds[1]
            raise ValueError("no room")

    door.then = fail_once
    door.reactor.turn(0)
    assert ended(clients[1])
    assert untouched(clients[0])
    assert untouched(clients[2])
    assert len(door.fds) == 2
    (record,) = caplog.records
    assert record.name == "gunicorn.error"
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError


def test_a_failing_factory_leaves_nothing_in_the_reactor(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[int] = []

    def register_then_fail() -> None:
        taken.append(door.fds.pop())
        door.reactor.add(taken[0], door.listener, select.EPOLLIN)
        raise ValueError

    door.then = register_then_fail
    (client,) = door.knock()
    door.reactor.turn(0)
    assert ended(client)
    assert door.reactor.turn(0) == 0
    door.reactor.remove(taken[0])


def test_drain_takes_what_is_queued_and_nothing_later(door: Door) -> None:
    door.knock(37)
    door.listener.drain()
    assert len(door.fds) == 37
    assert door.listener.state is State.STOPPED
    (late,) = door.knock()
    assert door.reactor.turn(0) == 0
    assert untouched(late)
    door.listener.drain()
    door.listener.resume()
    assert door.reactor.turn(0) == 0
    assert len(door.fds) == 37


def test_a_drain_of_a_full_worker_goes_on_when_it_resumes(door: Door) -> None:
    door.listener.pause()
    door.knock(5)
    door.listener.drain()
    assert door.fds == []
    door.then = lambda: door.listener.pause() if len(door.fds) == 3 else None
    door.listener.resume()
    assert (len(door.fds), door.listener.state) == (3, State.FULL)
    door.listener.resume()
    assert (len(door.fds), door.listener.state) == (5, State.STOPPED)


def test_a_drain_survives_the_want_of_descriptors(door: Door, clock: Clock) -> None:
    door.knock(3)
    with no_descriptors_left():
        door.listener.drain()
    assert (door.fds, door.listener.state) == ([], State.STARVED)
    clock.advance(1)
    door.reactor.turn(0)
    assert (len(door.fds), door.listener.state) == (2, State.STOPPED)


def test_a_drain_is_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that connects for every one accepted does not keep the worker from leaving."""

    def another() -> None:
        door.knock()

    door.then = another
    monkeypatch.setattr(door.listener, "_backlog", 20)
    door.knock()
    door.listener.drain()
    assert len(door.fds) == 20
    assert door.listener.state is State.STOPPED


def test_close_stops_at_once_and_keeps_the_socket(door: Door) -> None:
    spare = door.listener._spare
    os.fstat(spare)
    door.listener.close()
    door.listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(spare)
    door.knock()
    assert door.reactor.turn(0) == 0
    assert door.sock.fileno() >= 0


def test_a_shared_socket_is_looked_at_every_second(shared_door: Door, clock: Clock) -> None:
    """The kernel told another worker of a connection, and that one did not take it."""
    epoll, fd = shared_door.reactor._epoll, shared_door.sock.fileno()
    epoll.unregister(fd)
    shared_door.knock()
    assert shared_door.reactor.turn(0) == 0
    assert shared_door.fds == []
    clock.advance(1)
    assert shared_door.reactor.turn(0) == 0
    assert len(shared_door.fds) == 1
    epoll.register(fd, 0)


class Ear:
    """Stands for the listener of one worker and notes that it was told of a connection."""

    def __init__(self, name: str, heard: queue.SimpleQueue[str]) -> None:
        self.name = name
        self.heard = heard

    def on_event(self, events: int) -> None:
        self.heard.put(self.name)


def test_a_connection_on_a_shared_socket_wakes_one_worker(shared_door: Door, clock: Clock) -> None:
    """Two workers wait in epoll; one of them hears of the connection, the other sleeps on."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    reactors = {"first": Reactor(clock), "second": Reactor(clock)}
    watched = shared_door.listener._events
    shared_door.listener.pause()
    threads = {name: threading.Thread(target=reactors[name].turn) for name in reactors}
    try:
        for name, reactor in reactors.items():
            reactor.add(shared_door.sock.fileno(), Ear(name, heard), watched)
            threads[name].start()
            await_blocked(threads[name])
        shared_door.knock()
        told = heard.get(timeout=5)
        (other,) = reactors.keys() - {told}
        reactors[other].wake()
        for thread in threads.values():
            thread.join()
        assert heard.empty()
    finally:
        for name, reactor in reactors.items():
            reactor.wake()
            threads[name].join()
            reactor.close()


def await_blocked(thread: threading.Thread) -> None:
    """Return when the kernel says that the thread waits in epoll."""
    end = time.monotonic() + 5
    where = ""
    while time.monotonic() < end:
        where = pathlib.Path(f"/proc/self/task/{thread.native_id}/wchan").read_text()
        if "ep" in where and "poll" in where:
            return
        os.sched_yield()
    pytest.skip(f"the kernel does not tell where a thread waits, only {where!r}")
