"""The abstract surfaces `Exchange` (subclassed by protocols) and `Dispatcher` (subclassed by handlers)."""

cimport cython
from libc.stdint cimport int64_t

from fastwsgi._clock cimport precise


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

    cdef int sendfile(self, object file, int fd, int64_t offset, int64_t length) except -1:
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
cdef class EarlyHints:
    """wsgi.early_hints: sends 103 Early Hints (RFC 8297), as gunicorn has it.

    Called with a list of (name, value) headers, any number of times before the response begins; later, and for
    clients that speak HTTP/1.0, it does nothing. Raises ApplicationError for headers that must not reach the wire.
    """

    def __call__(self, headers):
        cdef Exchange exchange = self.exchange
        if exchange is None:
            return
        headers = list(headers)
        if self.exchange is not exchange:  # it was cut off meanwhile
            return
        exchange.in_app = False
        try:
            exchange.hint(headers)
        finally:
            exchange.in_app = True


cdef class Dispatcher:
    """Decides where an exchange runs."""

    cdef int dispatch(self, Exchange exchange) except -1:
        raise NotImplementedError

    cdef int resume(self, Exchange exchange) except -1:
        raise NotImplementedError

    cdef int cancel(self, Exchange exchange) except -1:
        raise NotImplementedError
