# Dispatchers that run the application in a thread or a greenlet.

from libc.stdint cimport int64_t

from fastwsgi._clock cimport Clock
from fastwsgi._exchange cimport Exchange
from fastwsgi._guard cimport Guard
from fastwsgi._wsgi cimport Caller


# Who runs an exchange.
cdef class Runner:
    cdef object who                   # the thread or greenlet
    cdef Exchange exchange            # None: it has none, or that was cut off; changed inside the guard of that
    cdef int64_t since                # milliseconds: when it began with it
    cdef bint stuck                   # it still runs what was cut off
    cdef Guard guard


cdef class Elsewhere(Caller):
    cdef Clock clock
    cdef int64_t request_timeout      # milliseconds, 0: none
    cdef object on_overdue            # (environ, thread or greenlet, seconds)

    # Serve and hand back. For the thread or greenlet itself; raises nothing.
    cdef void run(self, Runner runner, Exchange exchange) noexcept
    cdef int serve(self, Runner runner, Exchange exchange) except -1
    # Inside the guard of `exchange`: cut it off where the runner has run it for too long, unless our own code runs,
    # which soon will not. Returns whether it did.
    cdef bint cut_overdue(self, Runner runner, Exchange exchange, int64_t now) except -1
