"""What a reactor waits by: epoll_wait, and the clock that says when a sweep is due.

The loop stands in Python (`net/reactor.py`); here is what else a turn of it does. The time is read before a wait and
behind the batch, and stays an integer. What is ready is the poller itself, as an iterator of (descriptor, mask), so
that a wait makes no object. A further wait drops what has not been taken.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR
from libc.math cimport ceil

import os

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/epoll.h>

    /* As epoll_wait, but with what went wrong as a negative number: errno may change as soon as the GIL is taken. */
    static inline int fastwsgi_epoll_wait(int fd, struct epoll_event *events, int most, int milliseconds)
    {
        int found = epoll_wait(fd, events, most, milliseconds);
        return found < 0 ? -errno : found;
    }
    """
    int epoll_wait "fastwsgi_epoll_wait"(int fd, epoll_event *events, int most, int milliseconds) noexcept nogil

BATCH = MOST_EVENTS


@cython.final
cdef class Poller:
    """Waits for the descriptors that are registered with the epoll object of descriptor `fd`, which must stay open.

    A sweep is due `period` seconds of `clock` after the last.
    """

    def __init__(self, int fd, Clock clock not None, double period):
        self.fd = fd
        self.clock = clock
        self.period = <int64_t>(period * 1000)
        self.swept = clock.now()
        self.due = self.swept + self.period

    @property
    def moment(self):
        """What was ready then, in seconds of the clock, had been handled when the last sweep became due."""
        return self.swept / 1000.0

    def wait(self, timeout):
        """Return itself: an iterator of what is ready, (descriptor, EPOLL* mask); `len` is how many, at most BATCH.

        Waits for the first of it no longer than `timeout` seconds, where that is not None, and no longer than until
        the next sweep is due. Handlers of signals run meanwhile; raises what they raise, and OSError.
        """
        cdef int64_t milliseconds = self.patience_ms(timeout)
        cdef int64_t deadline = self.began + milliseconds
        cdef int found = -1
        cdef sem_t *bell = self.bell
        self.bell = NULL
        self.found = self.taken = 0
        while True:
            with nogil:
                if bell != NULL:
                    sem_post(bell)
                    bell = NULL
                found = epoll_wait(self.fd, self.ready, MOST_EVENTS, <int>milliseconds)
            if found >= 0:
                break
            if found != -EINTR:
                raise OSError(-found, os.strerror(-found))
            PyErr_CheckSignals()
            milliseconds = max(deadline - self.clock.now(), 0)
        self.found = found
        return self

    def __len__(self):
        return self.found

    def __iter__(self):
        return self

    def __next__(self):
        cdef epoll_event *event = &self.ready[self.taken]
        if self.taken == self.found:
            raise StopIteration
        self.taken += 1
        return event.data.fd, event.events

    def patience(self, timeout):
        """Return how long `wait` would wait at most, in seconds."""
        return self.patience_ms(timeout) / 1000.0

    cdef int64_t patience_ms(self, object timeout) except -1:
        cdef int64_t left
        self.began = self.clock.now()
        left = self.due - self.began
        if timeout is not None:
            left = min(left, <int64_t>ceil(min(<double>timeout, 1e9) * 1000))
        return max(left, 0)

    def is_due(self):
        """Whether anything is, now that what was ready has been handled: `asked`, or a sweep."""
        return self.asked or self.is_sweep_due()

    cpdef bint is_sweep_due(self):
        """Whether a sweep is due, now that what was ready has been handled."""
        cdef int64_t now = self.clock.now()
        if now < self.due:
            return False
        self.swept = self.began if self.found else now
        return True

    def begin_period(self):
        """Let the next sweep be due a period from now."""
        self.due = self.clock.now() + self.period
