"""What threads and greenlets have in common: one that runs the application, away from the reactor, and its bound.

Law: what is cut off belongs to the reactor at once. Whoever runs it finds that out by its `Runner`, whose exchange is
gone, and touches the exchange no more.
"""

cimport cython
from libc.stdint cimport int64_t

from fastwsgi._clock cimport Clock
from fastwsgi._epoll cimport Poller
from fastwsgi._exchange cimport Exchange
from fastwsgi._guard cimport guard_enter, guard_leave, guard_ref
from fastwsgi._wsgi cimport Caller, StartResponse

from fastwsgi.errors import APPLICATION_FAILED, TOO_SLOW


@cython.freelist(64)
cdef class Runner:
    """A thread or greenlet that runs an exchange."""


cdef class Elsewhere(Caller):
    """Runs the application elsewhere than on the reactor's own thread or greenlet; subclasses say where.

    `request_timeout` is how many seconds the application may take (0: no bound); then the client gets a 504 and
    `on_overdue(environ, who, seconds)` is told. `app` and `on_error` are those of `Caller`.
    """

    def __cinit__(self):
        self.is_elsewhere = True

    def __init__(self, app, on_error, Clock clock not None, double request_timeout, on_overdue):
        super().__init__(app, on_error)
        self.clock = clock
        self.request_timeout = <int64_t>(request_timeout * 1000)
        self.on_overdue = on_overdue

    def sweep(self):
        """End what takes too long. To be called once a second by the reactor."""
        raise NotImplementedError

    def close(self):
        """Nothing will be dispatched any more."""

    def rouse(self, Poller poller):
        """Have what was dispatched begin. To be called by the reactor before it waits by `poller`."""

    @property
    def at_rest(self):
        """Whether nothing goes on but for what waits for its client."""
        return True

    cdef int cancel(self, Exchange exchange) except -1:
        task = exchange.task
        exchange.task = None  # where it has not begun yet, it never will
        if isinstance(task, StartResponse):
            (<StartResponse>task).exchange = None
        return 0

    # What fails here is not the application's: `noexcept` hands it to sys.unraisablehook.
    cdef void run(self, Runner runner, Exchange exchange) noexcept:
        guard_enter(&runner.guard, exchange.owner)
        exchange.in_app = False  # an application that shared its write() may have left it set
        runner.exchange, runner.since = exchange, self.clock.now()
        try:
            self.serve(runner, exchange)
            if runner.exchange is not None:
                runner.exchange = None
                exchange.hand_back()
        except BaseException:
            runner.exchange = None
            exchange.cut(APPLICATION_FAILED)
            raise
        finally:
            guard_leave(&runner.guard)

    cdef int serve(self, Runner runner, Exchange exchange) except -1:
        return 0 if exchange.task is None else self.answer(exchange, True, guard_ref(&runner.guard))

    cdef bint cut_overdue(self, Runner runner, Exchange exchange, int64_t now) except -1:
        if (
            exchange is None or <void *>runner.exchange != <void *>exchange
            or now - runner.since < self.request_timeout or not exchange.in_app or exchange.busy
        ):
            return False
        environ = exchange.environ
        runner.exchange = None
        runner.stuck = True
        if exchange.task is not None:
            (<StartResponse>exchange.task).exchange = None
        exchange.cut(TOO_SLOW)
        self.on_overdue(environ, runner.who, (now - runner.since) / 1000.0)
        return True
