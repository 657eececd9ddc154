"""The abstract surfaces `Exchange` (subclassed by protocols) and `Dispatcher` (subclassed by handlers)."""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastwsgi._clock cimport precise
from fastwsgi._guard cimport Guard, guard_enter, guard_leave, owner_of

cdef extern from "<unistd.h>" nogil:
    int close_fd "close"(int fd)


cdef class Exchange:
    """One request and its response. Python sees what an access log needs."""

    @property
    def environ(self):
        """The environ that the application was given; empty for a request that was refused."""
        return {} if self.environ is None else self.environ

    @property
    def duration(self):
        """Seconds since the request was dispatched; 0.0 for a request that was refused."""
        return (precise() - self.started) / 1e9 if self.started else 0.0

    cdef int begin(self, object status, object headers, int64_t length) except -1:
        raise NotImplementedError

    cdef bint write(self, bytes data) except -1:
        raise NotImplementedError

    cdef int sendfile(self, OpenFile file, int64_t offset, int64_t length) except -1:
        raise NotImplementedError

    cdef int flush(self) except -1:
        raise NotImplementedError

    cdef int wait(self) except -1:
        raise NotImplementedError

    cdef int finish(self, bint send_now) except -1:
        raise NotImplementedError

    cdef int fail(self, object refusal) except -1:
        raise NotImplementedError

    cdef int abort(self) except -1:
        raise NotImplementedError

    cdef int hand_back(self) except -1:
        raise NotImplementedError

    cdef int cut(self, object refusal) except -1:
        raise NotImplementedError

    cdef int hint(self, object headers) except -1:
        raise NotImplementedError

    cdef int receive(self) except -1:
        raise NotImplementedError

    cdef bint begun(self) noexcept:
        return False


@cython.final
cdef class OpenFile:
    """A file descriptor that is closed, at the latest, with the last reference to it."""

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        self.close()

    cdef int close(self) noexcept:
        if self.fd >= 0:
            close_fd(self.fd)
            self.fd = -1
        return 0


cdef class EarlyHints:
    """wsgi.early_hints: sends 103 Early Hints (RFC 8297), as gunicorn has it.

    Called with a list of (name, value) headers, any number of times before the response begins; later, and for
    clients that speak HTTP/1.0, it does nothing. Raises ApplicationError for headers that must not reach the wire.
    """

    def __call__(self, headers):
        cdef Exchange exchange
        cdef Guard guard
        guard_enter(&guard, owner_of(<PyObject *>self))
        exchange = self.exchange
        guard_leave(&guard)
        if exchange is None:
            return
        headers = [field for field in headers]  # whatever it says of its length
        guard_enter(&guard, exchange.owner)
        try:
            if self.exchange is exchange:  # else it was cut off meanwhile
                self.send(exchange, headers)
        finally:
            guard_leave(&guard)

    cdef int send(self, Exchange exchange, list headers) except -1:
        exchange.in_app = False
        try:
            exchange.hint(headers)
        finally:
            exchange.in_app = True
        return 0


cdef class Dispatcher:
    """Decides where an exchange runs."""

    cdef int dispatch(self, Exchange exchange) except -1:
        raise NotImplementedError

    cdef int resume(self, Exchange exchange) except -1:
        raise NotImplementedError

    cdef int cancel(self, Exchange exchange) except -1:
        raise NotImplementedError


cdef void put_last(Queue *queue, void *exchange) noexcept nogil:
    (<Exchange>exchange).next = NULL
    if queue.last == NULL:
        queue.first = exchange
    else:
        (<Exchange>queue.last).next = exchange
    queue.last = exchange
    queue.length += 1


cdef void *take_first(Queue *queue) noexcept nogil:
    cdef void *exchange = queue.first
    if exchange != NULL:
        queue.first = (<Exchange>exchange).next
        if queue.first == NULL:
            queue.last = NULL
        queue.length -= 1
    return exchange


cdef void *take_all(Queue *queue) noexcept nogil:
    cdef void *first = queue.first
    queue.first = queue.last = NULL
    queue.length = 0
    return first
