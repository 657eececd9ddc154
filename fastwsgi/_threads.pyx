"""The application on a pool of threads (gunicorn's gthread), the reactor on its own.

How it works: `dispatch` puts the exchange on a queue. A thread takes it, calls the application, sends what the socket
takes at once and hands the exchange back. A thread that finds the queue empty falls asleep on a lock of its own; the
one that fell asleep last is roused first, when the reactor is through with all that is ready and has let the GIL go,
because before that it would only wait for the GIL. And only one is on its way at any time: it rouses the next when it
finds more than it can take. So requests that block spread over all the threads, and a burst of short ones costs few
switches of threads. It costs the fewest where nobody rouses the next; so that ends when PATIENCE requests in a row have
been short, until one is not. The next request, or the next second, still rouses one then.

Laws: the GIL guards everything here, and whatever runs between two lines of a method runs no Python code and does not
release it. The queue is first in, first out, and bounded. A request that overruns `request_timeout` is taken from its
thread and answered; the thread cannot be stopped, so it goes on with what no one waits for, and counts as stuck until
it returns. Another takes its seat, so that what waits is served; there are never more than `threads` of those.
"""

cimport cython
from cpython.pythread cimport (
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
    PyThread_type_lock,
    WAIT_LOCK,
)
from libc.stdint cimport int64_t, uint32_t

from fastwsgi._clock cimport Clock, precise
from fastwsgi._epoll cimport Poller
from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._exchange cimport ELSEWHERE, Exchange, OVER
from fastwsgi._guard cimport Guard, guard_enter, guard_leave, guard_ref

import threading

from fastwsgi.errors import BUSY

cdef enum:
    PATIENCE = 1000                   # requests
    SHORT = 1000000                   # nanoseconds

# PEP 3333 leaves names with a server's own prefix to it.
cdef str QUEUE_SECONDS = "fastwsgi.queue_seconds"


cdef inline uint32_t waited_until(Exchange exchange, int64_t now) noexcept:
    return <uint32_t>now - exchange.queued


@cython.final
cdef class Seat(Runner):
    """One thread of the pool."""

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError
        PyThread_acquire_lock(self.lock, WAIT_LOCK)

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)


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
        self.threads = threads
        self.eagerness = PATIENCE
        self.seats = []
        for number in range(1, threads + 1):
            seat = Seat()
            self.sit_down(seat, f"fastwsgi-{number}")

    def sit_down(self, Seat seat, name):
        """Start the thread of a seat."""
        seat.who = threading.Thread(target=self.work, args=(seat,), name=name, daemon=True)
        self.seats.append(seat)
        seat.who.start()

    @property
    def at_rest(self):
        """Whether nothing goes on but for what waits for its client, and for its thread."""
        cdef Seat seat
        cdef int waiting = 0
        cdef Guard guard
        guard_enter(&guard, self.owner)
        for seat in self.seats:
            waiting += seat.exchange is not None and seat.exchange.waiting
        rests = self.idle_count + waiting == len(self.seats) and (self.length == 0 or self.idle_count == 0)
        guard_leave(&guard)
        return rests

    def close(self):
        """Let the threads end as soon as they have nothing to do."""
        cdef Guard guard
        guard_enter(&guard, self.owner)
        self.closed = True
        while self.idle is not None:
            PyThread_release_lock(self.take_idle())
        guard_leave(&guard)

    cdef int dispatch(self, Exchange exchange) except -1:
        exchange.waited = 0
        if self.max_queue and self.length >= self.max_queue + self.idle_count + self.rousing:
            exchange.fail(BUSY)
            return OVER
        self.put(exchange)
        return ELSEWHERE

    # -- the queue -----------------------------------------------------------------------------------------------------

    cdef int put(self, Exchange exchange) except -1:
        exchange.task = self
        exchange.queued = <uint32_t>self.clock.now()
        if self.last is None:
            self.first = exchange
        else:
            self.last.next = exchange
        self.last = exchange
        self.length += 1
        return 0

    cdef Exchange take_first(self):
        cdef Exchange exchange = self.first
        if exchange is not None:
            self.first, exchange.next = exchange.next, None
            if self.first is None:
                self.last = None
            self.length -= 1
        return exchange

    def rouse(self, Poller poller not None):
        """Have a thread take what waits as soon as the wait of `poller` has let the GIL go.

        Where one is free and none is on its way. To be called by the reactor before it waits.
        """
        cdef Guard guard
        guard_enter(&guard, self.owner)
        if self.wants_another():
            poller.held = self.take_idle()
        guard_leave(&guard)

    cdef bint wants_another(self) noexcept:
        return self.first is not None and self.idle is not None and not self.rousing

    cdef PyThread_type_lock take_idle(self) noexcept:
        cdef Seat seat = self.idle
        self.idle, seat.next = seat.next, None
        self.idle_count -= 1
        self.rousing = True
        return seat.lock

    # -- a thread ------------------------------------------------------------------------------------------------------

    def work(self, Seat seat):
        """What a thread does all its life."""
        guard_enter(&seat.guard, self.owner)
        self.work_inside(seat)
        guard_leave(&seat.guard)

    cdef int work_inside(self, Seat seat) except -1:
        cdef Exchange exchange
        while not self.closed:
            exchange = self.take_first()
            if exchange is None:
                seat.next, self.idle = self.idle, seat
                self.idle_count += 1
                with nogil:
                    PyThread_acquire_lock(seat.lock, WAIT_LOCK)
                self.rousing = False
            else:
                if self.eagerness and self.wants_another():
                    PyThread_release_lock(self.take_idle())
                self.run(seat, exchange)
                if seat.stuck:  # the client has long had its answer
                    seat.stuck = False
                    if seat.replaced:
                        self.seats.remove(seat)
                        return 0
        return 0

    cdef int serve(self, Runner runner, Exchange exchange) except -1:
        cdef int64_t start = precise()
        if exchange.task is None:  # it was cancelled while it waited
            return 0
        exchange.waited = waited_until(exchange, runner.since)
        if self.queue_timeout and exchange.waited > self.queue_timeout:
            return exchange.fail(BUSY)
        if exchange.waited:
            exchange.environ[QUEUE_SECONDS] = exchange.waited / 1000.0
        self.answer(exchange, True, guard_ref(&runner.guard))
        if precise() - start > SHORT:
            self.eagerness = PATIENCE
        elif self.eagerness:
            self.eagerness -= 1
        return 0

    # -- the bounds ----------------------------------------------------------------------------------------------------

    def sweep(self):
        """End what has waited or run for too long. To be called once a second by the reactor."""
        cdef Guard guard
        guard_enter(&guard, self.owner)
        try:
            self.sweep_inside(self.clock.now())
        finally:
            guard_leave(&guard)

    cdef int sweep_inside(self, int64_t now) except -1:
        cdef Seat seat
        if self.queue_timeout:
            self.refuse_stale(now)
        if self.request_timeout:
            for seat in list(self.seats):
                if self.cut_overdue(seat, now):
                    self.replace(seat)
        return 0

    cdef int refuse_stale(self, int64_t now) except -1:
        cdef Exchange exchange
        while self.first is not None and waited_until(self.first, now) > self.queue_timeout:
            exchange = self.take_first()
            if exchange.task is not None:
                exchange.waited = waited_until(exchange, now)
                exchange.fail(BUSY)
                exchange.hand_back()
        return 0

    cdef int replace(self, Seat seat) except -1:
        cdef Seat other
        cdef int stuck = 0
        for other in self.seats:
            stuck += other.stuck
        if seat.stuck and stuck <= self.threads:  # it may have returned while its stack was logged
            seat.replaced = True
            self.sit_down(Seat(), seat.who.name)
        self.on_stuck(stuck)
        return 0
