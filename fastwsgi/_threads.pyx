"""The application on a pool of threads (gunicorn's gthread), the reactor on its own.

How it works: `dispatch` puts the exchange on a queue. A thread takes it, calls the application, sends what the socket
takes at once and hands the exchange back. A thread that finds the queue empty falls asleep on a lock of its own; the
one that fell asleep last is roused first. Only one is on its way at any time: it rouses the next when it finds more
than it can take. So a burst of short requests costs one switch of threads and not one for each of them, while requests
that block spread over all the threads.

Laws: the GIL guards everything here, and whatever runs between two lines of a method runs no Python code and does not
release it. The queue is first in, first out, and bounded. A request that overruns `request_timeout` is taken from its
thread and answered; the thread cannot be stopped, so it goes on with what no one waits for, and counts as stuck until
it returns.
"""

cimport cython
from libc.stdint cimport int64_t

from fastwsgi._clock cimport Clock
from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._exchange cimport ELSEWHERE, Exchange, OVER

import threading

from fastwsgi.errors import BUSY

# PEP 3333 leaves names with a server's own prefix to it.
cdef str QUEUE_SECONDS = "fastwsgi.queue_seconds"


@cython.final
cdef class Seat(Runner):
    """One thread of the pool."""


@cython.final
cdef class Threads(Elsewhere):
    """Runs the application in `threads` threads.

    `max_queue` bounds how many requests may wait for one, and `queue_timeout` how many seconds; what is beyond gets a
    503. 0 means no bound. A thread cannot be ended: `on_stuck(threads)` is told how many still run what was cut off.
    The other arguments are those of `Elsewhere`.
    """

    def __init__(
        self, app, on_error, Clock clock not None, double request_timeout, on_overdue, *, int threads, int max_queue,
        double queue_timeout, on_stuck,
    ):
        super().__init__(app, on_error, clock, request_timeout, on_overdue)
        self.max_queue = max_queue
        self.queue_timeout = <int64_t>(queue_timeout * 1000)
        self.on_stuck = on_stuck
        self.seats = []
        for number in range(1, threads + 1):
            seat = Seat()
            self.sit_down(seat, f"fastwsgi-{number}")

    def sit_down(self, Seat seat, name):
        """Start the thread of a seat."""
        seat.lock = threading.Lock()
        seat.lock.acquire()
        seat.who = threading.Thread(target=self.work, args=(seat,), name=name, daemon=True)
        self.seats.append(seat)
        seat.who.start()

    def close(self):
        """Let the threads end as soon as they have nothing to do."""
        self.closed = True
        while self.idle is not None:
            self.rouse()

    cdef int dispatch(self, Exchange exchange) except -1:
        if self.max_queue and self.length >= self.max_queue + self.idle_count:
            exchange.fail(BUSY)
            return OVER
        self.put(exchange)
        return ELSEWHERE

    # -- the queue -----------------------------------------------------------------------------------------------------

    cdef int put(self, Exchange exchange) except -1:
        exchange.task = self
        exchange.queued = self.clock.now()
        if self.last is None:
            self.first = exchange
        else:
            self.last.next = exchange
        self.last = exchange
        self.length += 1
        return self.rouse() if self.idle is not None and not self.rousing else 0

    cdef Exchange take_first(self):
        cdef Exchange exchange = self.first
        if exchange is not None:
            self.first, exchange.next = exchange.next, None
            if self.first is None:
                self.last = None
            self.length -= 1
        return exchange

    cdef int rouse(self) except -1:
        cdef Seat seat = self.idle
        self.idle, seat.next = seat.next, None
        self.idle_count -= 1
        self.rousing = True
        seat.lock.release()
        return 0

    # -- a thread ------------------------------------------------------------------------------------------------------

    def work(self, Seat seat):
        """What a thread does all its life."""
        cdef Exchange exchange
        while not self.closed:
            exchange = self.take_first()
            if exchange is None:
                seat.next, self.idle = self.idle, seat
                self.idle_count += 1
                seat.lock.acquire()
                self.rousing = False
            else:
                if self.first is not None and self.idle is not None and not self.rousing:
                    self.rouse()
                self.run(seat, exchange)

    cdef int serve(self, Runner runner, Exchange exchange) except -1:
        if exchange.task is None:  # it was cancelled while it waited
            return 0
        exchange.waited = runner.since - exchange.queued
        if self.queue_timeout and exchange.waited > self.queue_timeout:
            return exchange.fail(BUSY)
        if exchange.waited:
            exchange.environ[QUEUE_SECONDS] = exchange.waited / 1000.0
        self.answer(exchange, True)
        (<Seat>runner).stuck = False
        return 0

    # -- the bounds ----------------------------------------------------------------------------------------------------

    def sweep(self):
        """End what has waited or run for too long."""
        cdef int64_t now = self.clock.now()
        cdef Seat seat
        if self.queue_timeout:
            self.refuse_stale(now)
        if self.request_timeout:
            for seat in self.seats:
                if self.cut_overdue(seat, now):
                    seat.stuck = True
                    self.on_stuck(self.count_stuck())

    cdef int refuse_stale(self, int64_t now) except -1:
        cdef Exchange exchange
        while self.first is not None and now - self.first.queued > self.queue_timeout:
            exchange = self.take_first()
            if exchange.task is not None:
                exchange.waited = now - exchange.queued
                exchange.fail(BUSY)
                exchange.hand_back()
        return 0

    cdef int count_stuck(self) noexcept:
        cdef Seat seat
        cdef int stuck = 0
        for seat in self.seats:
            stuck += seat.stuck
        return stuck
