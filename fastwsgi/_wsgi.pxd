# One application call after PEP 3333, on any protocol's Exchange.

from fastwsgi._exchange cimport Dispatcher, Exchange


# The response of one exchange as the application builds it. Its method `call` is what the application knows as
# start_response, its method `write` what that returns.
cdef class StartResponse:
    cdef Exchange exchange            # None once the response is over
    cdef object status                # None until start_response was called
    cdef object headers
    cdef object iterable              # None once it was closed
    cdef object iterator
    cdef object call_method
    cdef object write_method

    # Take the application's iterable. True when the response is over, False when it waits for the client.
    cdef bint respond(self, object iterable) except -1
    cdef bint respond_file(self, FileWrapper wrapper) except -1
    # Go on where `respond` stopped. Same result.
    cdef bint pump(self) except -1
    cdef int begin(self, Py_ssize_t length) except -1
    # Release everything; the iterable's close() is called once and never again. Its error is raised.
    cdef int close(self) except -1


# wsgi.file_wrapper
cdef class FileWrapper:
    cdef object filelike
    cdef object block_size

    # What can be sent by sendfile: (descriptor, offset, length), or None.
    cdef tuple region(self)


# Runs the application on the reactor's own thread.
cdef class Inline(Dispatcher):
    cdef object app
    cdef object on_error              # (environ, exception or str)
    cdef StartResponse spare          # of the last exchange, used again where nobody kept it

    cdef StartResponse take(self, Exchange exchange)
    cdef int conclude(self, Exchange exchange, StartResponse start) except -1
    cdef int blame(self, Exchange exchange, StartResponse start, error) except -1
