"""The application on a pool of threads (gunicorn's gthread), the reactor on its own.

How it works: `dispatch` puts the exchange on a queue. A thread takes it, calls the application, sends what the socket
takes at once and hands the exchange back. A thread that finds the queue empty waits for a bell of its own; the one that
fell asleep last is roused first, when the reactor is through with all that is ready and has let the GIL go, because
before that it would only wait for the GIL. And only one is on its way at any time: it rouses the next when it finds
more than it can take. So requests that block spread over all the threads, and a burst of short ones costs few switches
of threads. It costs the fewest where nobody rouses the next; so that ends when PATIENCE requests in a row have been
short, until one is not. The next request, or the next second, still rouses one then.

Laws: what waits and who rests stands behind the queue's latch, where no Python code runs; what becomes of an exchange,
inside the guard of that. The queue is first in, first out, and bounded. A request that overruns `request_timeout` is
taken from its thread and answered; the thread cannot be stopped, so it goes on with what no one waits for, and counts
as stuck until it returns. Another takes its seat, so that what waits is served; there are never more than `threads` of
those.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint32_t

from fastwsgi._clock cimport Clock, precise
from fastwsgi._epoll cimport Poller, sem_init, sem_post, sem_wait
from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._exchange cimport ELSEWHERE, Exchange, OVER, put_last, take_first
from fastwsgi._guard cimport (
    Guard, guard_enter, guard_leave, guard_ref, latch_drop, latch_init, latch_take, owner_of,
)

import threading

from fastwsgi.errors import BUSY

cdef extern from "Python.h":
    void hold "Py_INCREF"(PyObject *thing) noexcept nogil

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
        sem_init(&self.bell, 0, 0)


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
        latch_init(&self.queue.latch)
        self.seats = []
        for number in range(1, threads + 1):
            seat = Seat()
            self.sit_down(seat, f"fastwsgi-{number}")

    def sit_down(self, Seat seat, name):
        """Start the thread of a seat."""
        seat.who = threading.Thread(target=self.work, args=(seat,), name=name, daemon=True)
        self.seats.append(seat)
        seat.who.start()

    def __dealloc__(self):
        cdef void *left = take_first(&self.queue)
        while left != NULL:
            Py_DECREF(<Exchange>left)
            left = take_first(&self.queue)

    @property
    def at_rest(self):
        """Whether nothing goes on but for what waits for its client, and for its thread."""
        cdef Exchange exchange
        cdef Seat seat
        cdef int waiting = 0
        for seat in list(self.seats):
            exchange = self.exchange_of(seat)
            waiting += exchange is not None and <void *>seat.exchange == <void *>exchange and exchange.waiting
        latch_take(&self.queue.latch)
        rests = self.idle_count + waiting == len(self.seats) and (self.queue.length == 0 or self.idle_count == 0)
        latch_drop(&self.queue.latch)
        return rests

    def close(self):
        """Let the threads end as soon as they have nothing to do."""
        cdef void *idle
        cdef Seat seat
        latch_take(&self.queue.latch)
        self.closed = True
        idle, self.idle, self.idle_count = self.idle, NULL, 0
        latch_drop(&self.queue.latch)
        while idle != NULL:
            seat = <Seat>idle
            idle = seat.next
            sem_post(&seat.bell)

    cdef int dispatch(self, Exchange exchange) except -1:
        cdef bint full
        exchange.waited = 0
        exchange.queued = <uint32_t>self.clock.now()
        exchange.task = self
        Py_INCREF(exchange)
        latch_take(&self.queue.latch)
        full = self.max_queue != 0 and self.queue.length >= self.max_queue + self.idle_count + self.rousing
        if not full:
            put_last(&self.queue, <void *>exchange)
        latch_drop(&self.queue.latch)
        if not full:
            return ELSEWHERE
        Py_DECREF(exchange)
        exchange.task = None
        exchange.fail(BUSY)
        return OVER

    def rouse(self, Poller poller not None):
        """Have a thread take what waits as soon as the wait of `poller` has let the GIL go.

        Where one is free and none is on its way. To be called by a reactor before it waits.
        """
        cdef void *idle
        if self.queue.length == 0:
            return
        latch_take(&self.queue.latch)
        idle = self.pick_idle()
        latch_drop(&self.queue.latch)
        if idle != NULL:
            poller.bell = &(<Seat>idle).bell

    cdef void *pick_idle(self) noexcept nogil:
        cdef void *idle = self.idle
        if idle == NULL or self.queue.length == 0 or self.rousing:
            return NULL
        self.idle = (<Seat>idle).next
        self.idle_count -= 1
        self.rousing = True
        return idle

    # -- a thread ------------------------------------------------------------------------------------------------------

    def work(self, Seat seat):
        """What a thread does all its life."""
        self.work_inside(seat)
        if seat.taken != NULL:
            Py_DECREF(<Exchange>seat.taken)

    cdef int work_inside(self, Seat seat) except -1:
        cdef bint woken = False
        while self.take_next(seat, woken):
            woken = seat.taken == NULL
            if woken:
                with nogil:
                    while sem_wait(&seat.bell) != 0:  # a signal that met this thread is another's business
                        pass
                continue
            self.run(seat, <Exchange>seat.taken)
            if seat.stuck and not self.come_back(seat):
                return 0
        return 0

    cdef bint take_next(self, Seat seat, bint woken) except -1:
        cdef void *former = seat.taken
        cdef void *idle = NULL
        cdef bint closed
        latch_take(&self.queue.latch)
        if woken:
            self.rousing = False
        closed = self.closed
        seat.taken = NULL if closed else take_first(&self.queue)
        if seat.taken != NULL:
            if self.eagerness:
                idle = self.pick_idle()
        elif not closed:
            seat.next, self.idle = self.idle, <void *>seat
            self.idle_count += 1
        latch_drop(&self.queue.latch)
        if former != NULL:
            Py_DECREF(<Exchange>former)
        if idle != NULL:
            sem_post(&(<Seat>idle).bell)
        return not closed

    # From what was cut off, whose client has long had its answer. Returns whether there is still a place.
    cdef bint come_back(self, Seat seat) except -1:
        cdef Guard guard
        guard_enter(&guard, owner_of(<PyObject *>self))
        seat.stuck = False
        if seat.replaced:
            self.seats.remove(seat)
        guard_leave(&guard)
        return not seat.replaced

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
        """End what has waited or run for too long. To be called once a second by a reactor."""
        cdef int64_t now = self.clock.now()
        cdef Seat seat
        if self.queue_timeout:
            self.refuse_stale(now)
        if self.request_timeout:
            for seat in list(self.seats):
                if self.cut_seat(seat, now):
                    self.replace(seat)

    # What a seat has taken; by another thread than its own.
    cdef Exchange exchange_of(self, Seat seat):
        cdef void *taken
        cdef Exchange exchange = None
        latch_take(&self.queue.latch)
        taken = seat.taken
        if taken != NULL:
            hold(<PyObject *>taken)
        latch_drop(&self.queue.latch)
        if taken != NULL:
            exchange = <Exchange>taken
            Py_DECREF(exchange)
        return exchange

    cdef int refuse_stale(self, int64_t now) except -1:
        cdef void *first
        while True:
            latch_take(&self.queue.latch)
            first = self.queue.first
            if first != NULL and waited_until(<Exchange>first, now) > self.queue_timeout:
                take_first(&self.queue)
            else:
                first = NULL
            latch_drop(&self.queue.latch)
            if first == NULL:
                return 0
            self.refuse(<Exchange>first, now)
            Py_DECREF(<Exchange>first)

    cdef int refuse(self, Exchange exchange, int64_t now) except -1:
        cdef Guard guard
        guard_enter(&guard, exchange.owner)
        try:
            if exchange.task is not None:
                exchange.waited = waited_until(exchange, now)
                exchange.fail(BUSY)
                exchange.hand_back()
        finally:
            guard_leave(&guard)
        return 0

    cdef bint cut_seat(self, Seat seat, int64_t now) except -1:
        cdef Exchange exchange = self.exchange_of(seat)
        cdef Guard guard
        if exchange is None:
            return False
        guard_enter(&guard, exchange.owner)
        try:
            return self.cut_overdue(seat, exchange, now)
        finally:
            guard_leave(&guard)

    cdef int replace(self, Seat seat) except -1:
        cdef Seat other
        cdef int stuck = 0
        cdef Guard guard
        guard_enter(&guard, owner_of(<PyObject *>self))
        try:
            for other in self.seats:
                stuck += other.stuck
            if seat.stuck and stuck <= self.threads:  # it may have returned while its stack was logged
                seat.replaced = True
                self.sit_down(Seat(), seat.who.name)
        finally:
            guard_leave(&guard)
        self.on_stuck(stuck)
        return 0
