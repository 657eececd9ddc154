"""The parts under the master, each by itself: signal queue, scoreboard, pidfile, sockets."""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError
from fastwsgi.process.pidfile import Pidfile
from fastwsgi.process.scoreboard import CAPACITY, NOTE_BYTES, Order, Scoreboard, State
from fastwsgi.process.signals import SignalQueue, handlers_kept, wait_readable
from fastwsgi.process.sockets import BindError, Sockets
from tests.support.loop import SteppedServer


@pytest.fixture
def queue() -> Iterator[SignalQueue]:
    numbers = [signal.SIGTERM, signal.SIGUSR1, signal.SIGTTIN]
    with handlers_kept(numbers):
        queue = SignalQueue(numbers)
        yield queue
        queue.close()


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_signals_are_queued_and_what_ends_goes_first(queue: SignalQueue) -> None:
    for number in (signal.SIGUSR1, signal.SIGTTIN, signal.SIGTERM, signal.SIGUSR1):
        signal.raise_signal(number)
    assert readable(queue.fd)
    assert queue.take() == [signal.SIGTERM, signal.SIGUSR1, signal.SIGTTIN, signal.SIGUSR1]
    assert not readable(queue.fd)
    assert queue.take() == []


def test_more_signals_than_the_pipe_holds_are_all_there(queue: SignalQueue) -> None:
    # Two bytes for each: more than the 64 KiB that a pipe takes.
    for _ in range(40_000):
        signal.raise_signal(signal.SIGTTIN)
    signal.raise_signal(signal.SIGTERM)
    taken = queue.take()
    assert (taken[0], len(taken)) == (signal.SIGTERM, 40_001)


def test_a_queue_wakes_even_where_the_application_took_the_wake_up_descriptor(
    queue: SignalQueue,
) -> None:
    signal.set_wakeup_fd(-1)
    signal.raise_signal(signal.SIGUSR1)
    assert readable(queue.fd)


def test_blocked_signals_come_afterwards(queue: SignalQueue) -> None:
    with queue.blocked():
        signal.raise_signal(signal.SIGUSR1)  # of this thread, as the test's runner may have others
        assert queue.take() == []
    assert queue.take() == [signal.SIGUSR1]


def test_on_arrival_is_called_in_the_handler() -> None:
    seen: list[int] = []
    with handlers_kept([signal.SIGUSR1]):
        queue = SignalQueue([signal.SIGUSR1], lambda number, frame: seen.append(number))
        signal.raise_signal(signal.SIGUSR1)
        queue.close()
    assert seen == [signal.SIGUSR1]


def test_what_comes_too_late_ends_nobody() -> None:
    with handlers_kept([signal.SIGUSR1]):
        SignalQueue([signal.SIGUSR1]).close()
        signal.raise_signal(signal.SIGUSR1)


def test_the_handlers_before_are_put_back() -> None:
    def handler(*_: object) -> None: ...

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with handlers_kept([signal.SIGUSR1]):
            SignalQueue([signal.SIGUSR1]).close()
        assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_wait_does_not_end_before_its_time() -> None:
    start = time.monotonic()
    wait_readable([], 0.0105)
    assert time.monotonic() - start >= 0.0105


def test_a_slot_is_shared_with_a_forked_process() -> None:
    board = Scoreboard()
    slot = board.take()
    assert slot is not None
    start = slot.heartbeat
    assert (slot.state, slot.requests, slot.connections, slot.note) == (State.BOOTING, 0, 0, "")
    pid = os.fork()
    if pid == 0:
        slot.beat(2**40, 7)
        slot.leave_note("größer")
        slot.state = State.READY
        os._exit(0)
    os.waitpid(pid, 0)
    assert (slot.state, slot.requests, slot.connections) == (State.READY, 2**40, 7)
    assert slot.note == "größer"
    assert start <= slot.heartbeat <= time.monotonic()
    assert readable(board.fd)
    board.hush()
    assert not readable(board.fd)
    board.close()


def test_a_slot_begins_anew_for_the_next_worker() -> None:
    board = Scoreboard()
    slot = board.take()
    assert slot is not None
    slot.beat(5, 5)
    slot.leave_note("x")
    slot.state = State.WORN
    slot.order = Order.RETIRE
    board.give_back(slot)
    again = board.take()
    assert again is not None
    assert again.index == slot.index
    assert (again.state, again.requests, again.connections, again.note) == (State.BOOTING, 0, 0, "")
    assert again.order is Order.NONE
    board.close()


def test_what_was_counted_outlives_the_worker() -> None:
    board = Scoreboard()
    first, second = board.take(), board.take()
    assert first is not None
    assert second is not None
    first.counters[0], second.counters[0] = 5, 7
    first.busy[0], second.busy[0] = 1, 2
    first.beat(1, 3)
    second.beat(1, 4)
    second.state = State.READY
    board.tell(wanted=2, started=9)
    both = board.tally()
    assert both.counters[:2] == [12, 0]
    assert both.workers == {"booting": 1, "ready": 1, "worn": 0, "leaving": 0}
    assert (both.connections, both.busy, both.busy_workers) == (7, 3, 2)
    assert (both.wanted, both.started) == (2, 9)
    board.give_back(first)
    one = board.tally()
    assert one.counters == both.counters
    assert one.workers == {"booting": 0, "ready": 1, "worn": 0, "leaving": 0}
    assert (one.connections, one.busy, one.busy_workers) == (4, 2, 1)
    successor = board.take()
    assert successor is not None
    successor.counters[0] += 1
    assert board.tally().counters[0] == 13
    board.close()


def test_an_address_for_metrics_is_one_for_all_workers_and_without_tls(tmp_path: Path) -> None:
    (tmp_path / "x.pem").touch()
    settings = Settings(
        [
            (
                "x",
                {
                    "reuse_port": True,
                    "metrics_bind": ["127.0.0.2:0"],
                    "certfile": str(tmp_path / "x.pem"),
                },
            )
        ]
    )
    sockets = Sockets.open(["127.0.0.1:0", "127.0.0.2:0"], settings)
    shared = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for sock in sockets]
    names = [str(address).partition(":")[0] for address in sockets.addresses]
    sockets.close_except(None)
    assert (shared, names) == ([1, 0], ["https", "http"])


def test_a_long_note_keeps_both_ends() -> None:
    board = Scoreboard()
    first, second = board.take(), board.take()
    assert first is not None
    assert second is not None
    second.leave_note("neighbour")
    first.leave_note("begin" + "é" * NOTE_BYTES + "end")
    assert first.note.startswith("begin")
    assert first.note.endswith("end")
    assert len(first.note.encode()) <= NOTE_BYTES + 8
    assert second.note == "neighbour"
    board.close()


def test_the_board_is_bounded() -> None:
    board = Scoreboard()
    assert all(board.take() is not None for _ in range(CAPACITY))
    assert board.take() is None
    board.close()


def test_a_pidfile_is_whole_ours_and_removed(tmp_path: Path) -> None:
    pidfile = Pidfile(str(tmp_path / "x.pid"))
    pidfile.create()
    assert os.listdir(tmp_path) == ["x.pid"]
    assert (tmp_path / "x.pid").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "x.pid").stat().st_mode & 0o777 == 0o644
    pidfile.create()  # our own is no other's: a container's process 1 finds that of its last life
    pidfile.remove()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "none", "-5", "0", "999999999", "9" * 30])
def test_a_stale_pidfile_is_replaced(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.pid").write_text(text)
    pidfile = Pidfile(str(tmp_path / "x.pid"))
    pidfile.create()
    assert pidfile.owner() == os.getpid()


def test_a_live_pidfile_is_refused_and_left(tmp_path: Path) -> None:
    (tmp_path / "x.pid").write_text(str(os.getppid()))
    with pytest.raises(ConfigError, match=f"Already running on PID {os.getppid()}"):
        Pidfile(str(tmp_path / "x.pid")).create()
    assert (tmp_path / "x.pid").read_text() == str(os.getppid())


def test_a_pidfile_of_somebody_else_is_not_removed(tmp_path: Path) -> None:
    pidfile = Pidfile(str(tmp_path / "x.pid"))
    pidfile.create()
    (tmp_path / "x.pid").write_text("1")
    pidfile.remove()
    assert (tmp_path / "x.pid").read_text() == "1"


def settings(*bind: str, **values: object) -> Settings:
    return Settings([("test", {"bind": list(bind), **values})])


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def open_sockets(wanted: Settings, present: Sockets | None = None) -> Sockets:
    return Sockets.open(wanted.bind, wanted, present)


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def test_a_reload_keeps_what_it_still_names(opened: contextlib.ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    one = open_sockets(settings("127.0.0.1:0", f"unix:{path}"))
    opened.callback(one.close_except, None)
    two = open_sockets(settings("127.0.0.1:0"), one)
    opened.callback(two.close_except, None)
    assert two.of_seat(0) == one.of_seat(0)[:1]
    kept, gone = one.of_seat(0)
    one.close_except(two)
    assert (kept.fileno() >= 0, gone.fileno()) == (True, -1)
    assert not path.exists()


def test_nothing_is_open_after_one_of_several_failed(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BindError, match="no interface of this machine has it"):
        open_sockets(settings(f"unix:{path}", "192.0.2.1:1"))
    assert len(os.listdir("/proc/self/fd")) == before
    assert not path.exists()


def test_an_address_named_twice_is_bound_once(opened: contextlib.ExitStack) -> None:
    sockets = open_sockets(settings("127.0.0.1:0", "127.0.0.1:0"))
    opened.callback(sockets.close_except, None)
    assert len(sockets.of_seat(0)) == 1


def test_seats_have_sockets_of_their_own_on_one_port(opened: contextlib.ExitStack) -> None:
    sockets = open_sockets(settings("127.0.0.1:0", reuse_port=True))
    opened.callback(sockets.close_except, None)
    seats = [sockets.of_seat(seat)[0] for seat in (0, 2, 1)]
    assert len({sock.fileno() for sock in seats}) == 3
    assert len({port_of(sock) for sock in seats}) == 1
    sockets.keep_seats(2)
    assert [sock.fileno() >= 0 for sock in seats] == [True, False, True]
    sockets.close_except_of(1)
    assert [sock.fileno() >= 0 for sock in seats] == [False, False, True]


def test_without_reuse_port_all_seats_share(opened: contextlib.ExitStack) -> None:
    sockets = open_sockets(settings("127.0.0.1:0"))
    opened.callback(sockets.close_except, None)
    sockets.close_except_of(5)
    sockets.keep_seats(0)
    assert sockets.of_seat(0) == sockets.of_seat(5)
    assert sockets.of_seat(0)[0].fileno() >= 0


def fds_of(sockets: Sockets) -> list[int]:
    """Copies, as another process would have them."""
    return [os.dup(fd) for fd in sockets.filenos()]


def test_inherited_sockets_are_known_by_their_names(
    opened: contextlib.ExitStack, tmp_path: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    bind = [f"unix:{tmp_path}/x", "127.0.0.1:0", "[::1]:0", "unix:@fastwsgi-test", "localhost:0"]
    wanted = settings(*bind[:4], reuse_port=True)
    one = open_sockets(wanted)
    one.of_seat(2)
    two = Sockets.inherit(fds_of(one), list(reversed(bind)), wanted)
    # All but one are there, each under the first address that it fits.
    assert [address.text for address in two.addresses] == [
        "localhost:0",
        f"unix:@{'fastwsgi-test'}",
        "[::1]:0",
        f"unix:{tmp_path}/x",
    ]
    ports = [port_of(one.of_seat(seat)[1]) for seat in range(3)]
    assert [port_of(two.of_seat(seat)[0]) for seat in range(3)] == ports
    one.close_except(None, unlink=False)
    three = Sockets.inherit(fds_of(two), bind[:1], wanted)
    two.close_except(None, unlink=False)
    assert len(three.filenos()) == 1  # the others are closed
    assert (tmp_path / "x").exists()
    three.close_except(None)
    assert not (tmp_path / "x").exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_inherited_may_be_wanted_no_more_or_be_none() -> None:
    with pytest.raises(BindError, match="cannot listen on fd://987654: bad file descriptor"):
        Sockets.inherit([987654], ["127.0.0.1:0"], settings("127.0.0.1:0"))
    with socket.socket() as other, pytest.raises(BindError, match="is not a listening socket"):
        Sockets.inherit([fd := os.dup(other.fileno())], ["127.0.0.1:0"], settings("127.0.0.1:0"))
    os.close(fd)
    with socket.create_server(("127.0.0.1", 0)) as other:
        fd = os.dup(other.fileno())
        with pytest.raises(BindError, match=r"cannot listen on nowhere\.invalid:80"):
            Sockets.inherit([fd], ["nowhere.invalid:80"], settings("127.0.0.1:0"))


@pytest.mark.parametrize(("announced", "leaving"), [(True, True), (False, False)])
def test_a_server_says_that_it_leaves_only_where_all_of_it_does(
    announced: bool, leaving: bool, tmp_path: Path
) -> None:
    def app(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with SteppedServer(app, tmp_path) as server:
        if announced:
            server.server.announce()
            with server.connection() as client:  # it listens on
                answer = client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert answer.get("connection") == "close"
        server.server.drain()
        server.server.run()
        assert (server.server._http.draining, server.server._http.leaving) == (True, leaving)
