"""The application on a pool of threads (gunicorn's gthread), the reactor on its own.

How it works: `dispatch` puts the exchange on a queue. A thread takes it, calls the application, sends what the socket
takes at once and hands the exchange back. A thread that finds the queue empty falls asleep on a lock of its own; the
one that fell asleep last is roused first, when the reactor is through with all that is ready, because before that it
would only wait for the GIL. And only one is on its way at any time: it rouses the next when it finds more than it can
take. So requests that block spread over all the threads, and a burst of short ones costs few switches of
threads. It costs the fewest where nobody rouses the next; so that ends when PATIENCE requests in a row have been short,
until one is not. The next request, or the next second, still rouses one then.

Laws: the GIL guards everything here, and whatever runs between two lines of a method runs no Python code and does not
release it. The queue is first in, first out, and bounded. A request that overruns `request_timeout` is taken from its
thread and answered; the thread cannot be stopped, so it goes on with what no one waits for, and counts as stuck until
it returns. Another takes its seat, so that what waits is served; there are never more than `threads` of those.
"""

cimport cython
from libc.stdint cimport int64_t

from fastwsgi._clock cimport Clock, precise
from fastwsgi._exchange cimport ELSEWHERE, Exchange, OVER
from fastwsgi._wsgi cimport Caller, StartResponse

import threading

from fastwsgi.errors import APPLICATION_FAILED, BUSY, TOO_SLOW

cdef enum:
    PATIENCE = 1000                   # requests
    SHORT = 1000000                   # nanoseconds

# PEP 3333 leaves names with a server's own prefix to it.
cdef str QUEUE_SECONDS = "fastwsgi.queue_seconds"


@cython.final
cdef class Seat:
    """One thread of the pool."""


@cython.final
cdef class Threads(Caller):
    """Runs the application in `threads` threads.

    `max_queue` bounds how many requests may wait for one, and `queue_timeout` how many seconds; what is beyond gets a
    503. `request_timeout` is how many seconds the application may take; then the client gets a 504 and
    `on_overdue(environ, thread, seconds, stuck)` is told, the last being the number of threads that are stuck. 0 means
    no bound. `app` and `on_error` are those of `Caller`.
    """

    def __cinit__(self):
        self.is_elsewhere = True

    def __init__(
        self, app, on_error, *, Clock clock not None, int threads, int max_queue, double queue_timeout,
        double request_timeout, on_overdue,
    ):
        super().__init__(app, on_error)
        self.clock = clock
        self.max_queue = max_queue
        self.queue_timeout = <int64_t>(queue_timeout * 1000)
        self.request_timeout = <int64_t>(request_timeout * 1000)
        self.on_overdue = on_overdue
        self.threads = threads
        self.eagerness = PATIENCE
        self.seats = []
        for number in range(1, threads + 1):
            seat = Seat()
            self.sit_down(seat, f"fastwsgi-{number}")

    def sit_down(self, Seat seat, name):
        """Start the thread of a seat."""
        seat.lock = threading.Lock()
        seat.lock.acquire()
        seat.thread = threading.Thread(target=self.work, args=(seat,), name=name, daemon=True)
        self.seats.append(seat)
        seat.thread.start()

    @property
    def at_rest(self):
        """Whether nothing goes on but for what waits for its client, and for its thread."""
        cdef Seat seat
        cdef int waiting = 0
        for seat in self.seats:
            waiting += seat.exchange is not None and seat.exchange.waiting
        return self.idle_count + waiting == len(self.seats) and (self.length == 0 or self.idle_count == 0)

    def close(self):
        """Let the threads end as soon as they have nothing to do."""
        self.closed = True
        while self.idle is not None:
            self.rouse_idle()

    cdef int dispatch(self, Exchange exchange) except -1:
        exchange.waited = 0
        if self.max_queue and self.length >= self.max_queue + self.idle_count + self.rousing:
            exchange.fail(BUSY)
            return OVER
        self.put(exchange)
        return ELSEWHERE

    cdef int cancel(self, Exchange exchange) except -1:
        task = exchange.task
        exchange.task = None  # where it waits for a thread, none will take it
        if isinstance(task, StartResponse):
            (<StartResponse>task).exchange = None
        return 0

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
        return 0

    cdef Exchange take_first(self):
        cdef Exchange exchange = self.first
        if exchange is not None:
            self.first, exchange.next = exchange.next, None
            if self.first is None:
                self.last = None
            self.length -= 1
        return exchange

    def rouse(self):
        """Have a thread take what waits, where one is free and none is on its way. Called before the reactor waits."""
        if self.first is not None and self.idle is not None and not self.rousing:
            self.rouse_idle()

    cdef int rouse_idle(self) except -1:
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
                if self.eagerness:
                    self.rouse()
                self.serve_safely(seat, exchange)
                if seat.stuck:  # the client has long had its answer
                    seat.stuck = False
                    if seat.replaced:
                        self.seats.remove(seat)
                        return

    # What fails here is not the application's: `noexcept` hands it to sys.unraisablehook, and the thread goes on.
    cdef void serve_safely(self, Seat seat, Exchange exchange) noexcept:
        try:
            self.serve(seat, exchange)
        except BaseException:
            seat.exchange = None
            exchange.cut(APPLICATION_FAILED)
            raise

    cdef int serve(self, Seat seat, Exchange exchange) except -1:
        cdef int64_t now = self.clock.now(), start = precise()
        if exchange.task is None:  # it was cancelled while it waited
            return 0
        exchange.waited = now - exchange.queued
        if self.queue_timeout and exchange.waited > self.queue_timeout:
            exchange.fail(BUSY)
            return exchange.hand_back()
        if exchange.waited:
            exchange.environ[QUEUE_SECONDS] = exchange.waited / 1000.0
        exchange.in_app = False  # an application that shared its write() may have left it set
        seat.exchange, seat.since = exchange, now
        self.answer(exchange, True)
        if precise() - start > SHORT:
            self.eagerness = PATIENCE
        elif self.eagerness:
            self.eagerness -= 1
        if seat.exchange is None:
            return 0
        seat.exchange = None
        return exchange.hand_back()

    # -- the bounds ----------------------------------------------------------------------------------------------------

    def sweep(self):
        """End what has waited or run for too long. To be called once a second by the reactor."""
        cdef int64_t now = self.clock.now()
        cdef Seat seat
        if self.queue_timeout:
            self.refuse_stale(now)
        if self.request_timeout:
            for seat in list(self.seats):
                if seat.exchange is not None and now - seat.since >= self.request_timeout:
                    self.cut_overdue(seat, now)

    cdef int refuse_stale(self, int64_t now) except -1:
        cdef Exchange exchange
        while self.first is not None and now - self.first.queued > self.queue_timeout:
            exchange = self.take_first()
            if exchange.task is not None:
                exchange.waited = now - exchange.queued
                exchange.fail(BUSY)
                exchange.hand_back()
        return 0

    cdef int cut_overdue(self, Seat seat, int64_t now) except -1:
        cdef Exchange exchange = seat.exchange
        cdef Seat other
        cdef int stuck = 0
        if not exchange.in_app:  # our own code runs, and soon it will not
            return 0
        environ = exchange.environ
        seat.exchange = None
        seat.stuck = True
        if exchange.task is not None:
            (<StartResponse>exchange.task).exchange = None
        exchange.cut(TOO_SLOW)
        for other in self.seats:
            stuck += other.stuck
        if stuck <= self.threads:
            seat.replaced = True
            self.sit_down(Seat(), seat.thread.name)
        self.on_overdue(environ, seat.thread, (now - seat.since) / 1000.0, stuck)
        return 0
