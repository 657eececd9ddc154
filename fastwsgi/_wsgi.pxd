# One application call after PEP 3333, on any protocol's Exchange.

from fastwsgi._exchange cimport Dispatcher, Exchange
from fastwsgi._guard cimport GuardRef


# The response of one exchange as the application builds it. Its method `call` is what the application knows as
# start_response, its method `write` what that returns.
cdef class StartResponse:
    cdef Exchange exchange            # None once the response is over, or was cut off
    cdef bint waits                   # a slow client suspends the caller, not the response
    cdef object status                # None until start_response was called
    cdef object headers
    cdef object iterable              # None once it was closed
    cdef object iterator
    cdef dict environ                 # for `Caller.on_end`; None where nobody wants it
    cdef StartResponse next           # of those to be used again
    cdef Exchange keeper              # without the GIL: whose guard it stands under, for good
    cdef GuardRef guard               # of the thread that calls the application
    cdef object call_method
    cdef object write_method

    # The application's code has returned. Raises CutOffError where the response is not its own any more.
    cdef int come_in(self) except -1
    cdef int send(self, bytes block) except -1
    # Take the application's iterable. True when the response is over, False when it waits for the client.
    cdef bint respond(self, object iterable) except -1
    cdef bint respond_file(self, FileWrapper wrapper, tuple region) except -1
    # Go on where `respond` stopped. Same result.
    cdef bint pump(self) except -1
    cdef int begin(self, Py_ssize_t length) except -1
    cdef int wait(self) except -1
    # Release everything; the iterable's close() is called once and never again. Its error is raised.
    cdef int close(self) except -1


# wsgi.file_wrapper
cdef class FileWrapper:
    cdef object filelike
    cdef object block_size

    # What can be sent by sendfile: (descriptor, offset, length), or None.
    cdef tuple region(self)


# Calls the application. `answer` and `go_on` return a Progress and, where it is OVER, are through with the exchange.
cdef class Caller(Dispatcher):
    cdef object app
    cdef object on_error              # (environ, exception or str)
    cdef public object on_end         # (exchange, environ), or None
    cdef StartResponse spare          # the first of those to be used again

    # Call the application for `exchange`. `waits`: a client that is slow suspends the caller. `guard` is this thread's.
    cdef int answer(self, Exchange exchange, bint waits, GuardRef guard) except -1
    cdef int go_on(self, Exchange exchange) except -1
    cdef StartResponse take(self, Exchange exchange)
    cdef int conclude(self, Exchange exchange, StartResponse start) except -1
    cdef int blame(self, Exchange exchange, StartResponse start, error) except -1


# Runs the application on the reactor's own thread.
cdef class Inline(Caller):
    pass
