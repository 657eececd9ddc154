"""The application in a greenlet of its own for each request (gunicorn's gevent), the reactor in the main one.

Nothing queues here: a request runs as soon as it is read, beside all others that wait for something. All is one thread,
and switches only where the application, or `Exchange.wait`, waits.
"""

cimport cython
from libc.stdint cimport int64_t

from fastwsgi._clock cimport Clock
from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._exchange cimport ELSEWHERE, Exchange


@cython.final
cdef class Greenlets(Elsewhere):
    """Runs the application in greenlets that `spawn(callable, *args)` makes and starts later.

    A request that overruns `request_timeout` is answered, then `end(greenlet)` is to raise something in its greenlet.
    The other arguments are those of `Elsewhere`.
    """

    def __init__(self, app, on_error, Clock clock not None, double request_timeout, on_overdue, *, spawn, end):
        super().__init__(app, on_error, clock, request_timeout, on_overdue)
        self.spawn = spawn
        self.end = end
        self.running = set()

    cdef int dispatch(self, Exchange exchange) except -1:
        cdef Runner runner = Runner.__new__(Runner)
        exchange.task = self
        greenlet = self.spawn(self.start, runner, exchange)
        if self.request_timeout:
            runner.who = greenlet
            self.running.add(runner)
        return ELSEWHERE

    def start(self, Runner runner, Exchange exchange):
        """What a greenlet does in its life."""
        self.run(runner, exchange)
        self.running.discard(runner)

    def sweep(self):
        """End what has run for too long."""
        cdef int64_t now = self.clock.now()
        cdef Runner runner
        for runner in list(self.running):
            if self.cut_overdue(runner, now):
                self.end(runner.who)
