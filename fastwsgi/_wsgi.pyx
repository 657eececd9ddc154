"""One application call after PEP 3333: start_response, write, the iterable, its close, wsgi.file_wrapper.

How it works: `Inline` calls the application with the environ and a start_response, then hands the iterable to
`respond`. A list or tuple of one item, the usual case, is answered without an iterator. Everything else is pulled block
by block; when the client does not keep up, `pump` stops and goes on when the protocol says that the output has drained.

Laws: the head is serialised when the first body byte, or the end, is known (PEP 3333, "The start_response() Callable").
`close()` of the iterable is called exactly once, whatever happens. The application's mistakes are logged and become a
500, or, where the head is out, a response that visibly broke off.
"""

cimport cython
from cpython.object cimport PyObject

from fastwsgi._exchange cimport Dispatcher, Exchange, GONE, WAIT

import io
import os
import stat

from fastwsgi.errors import ApplicationError, ClientGone, RequestTimeout

cdef object END = object()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *thing)


@cython.final
cdef class StartResponse:
    """The response of one exchange as the application builds it."""

    def call(self, status, headers, exc_info=None):
        """start_response: keep status and headers until the body begins, return `write` (PEP 3333).

        Raises ApplicationError for a second call without `exc_info` and after the response is over; with `exc_info`
        after the head was sent, raises that.
        """
        if self.exchange is None:
            raise ApplicationError("start_response was called after the response was over")
        if exc_info is not None:
            try:
                _, error, trace = exc_info
                if self.exchange.begun():
                    raise error.with_traceback(trace)
            finally:
                exc_info = error = trace = None  # breaks the circle of traceback and frame
        elif self.status is not None:
            raise ApplicationError("start_response was called twice, the second time without exc_info")
        if status is None:
            raise ApplicationError("the status must be str, not NoneType")
        self.status = status
        self.headers = headers
        return self.write_method

    def write(self, data):
        """Send body bytes before the iterable's (PEP 3333, "The write() Callable"). Waits for a slow client."""
        if self.exchange is None:
            raise ApplicationError("write was called after the response was over")
        if not isinstance(data, bytes):
            raise ApplicationError(f"write takes bytes, not {type(data).__name__}")
        if not data:
            return
        if not self.exchange.begun():
            self.begin(-1)
        if self.exchange.write(bytes(data)):
            self.exchange.wait()

    cdef int begin(self, Py_ssize_t length) except -1:
        if self.status is None:
            raise ApplicationError("the application did not call start_response")
        return self.exchange.begin(self.status, self.headers, length)

    cdef bint respond(self, object iterable) except -1:
        cdef object block = None
        if type(iterable) is list:
            if len(<list>iterable) == 1:
                block = (<list>iterable)[0]
        elif type(iterable) is tuple:
            if len(<tuple>iterable) == 1:
                block = (<tuple>iterable)[0]
        if type(block) is bytes and not self.exchange.begun():
            self.begin(len(<bytes>block))
            self.exchange.write(<bytes>block)
            self.exchange.finish(False)
            return True
        self.iterable = iterable
        if type(iterable) is FileWrapper and not self.exchange.begun():
            return self.respond_file(<FileWrapper>iterable)
        try:
            self.iterator = iter(iterable)
        except TypeError as error:
            what = type(iterable).__name__
            raise ApplicationError(f"the application returned {what}, which is no iterable") from error
        return self.pump()

    cdef bint respond_file(self, FileWrapper wrapper) except -1:
        cdef tuple region = wrapper.region()
        if region is None:
            self.iterator = iter(wrapper)
            return self.pump()
        self.iterator = iter(())
        self.begin(region[2])
        self.exchange.sendfile(wrapper.filelike, region[0], region[1], region[2])
        return False if self.exchange.flush() == WAIT else self.pump()

    cdef bint pump(self) except -1:
        cdef int flow
        while True:
            block = next(self.iterator, END)
            if block is END:
                break
            if not isinstance(block, bytes):
                raise ApplicationError(f"the body must come as bytes, not {type(block).__name__}")
            if not block:
                continue
            if not self.exchange.begun():
                self.begin(-1)
            if not self.exchange.write(bytes(block)):
                break
            flow = self.exchange.flush()
            if flow == WAIT:
                return False
            if flow == GONE:
                raise ClientGone
        if not self.exchange.begun():
            self.begin(0)
        self.exchange.finish(hasattr(self.iterable, "close"))
        return True

    cdef int close(self) except -1:
        iterable = self.iterable
        self.exchange = None
        self.status = self.headers = self.environ = self.iterable = self.iterator = None
        if iterable is not None:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()
        return 0


@cython.final
cdef class FileWrapper:
    """wsgi.file_wrapper: an open file as an iterable of blocks (PEP 3333, "Optional Platform-Specific File Handling").

    Returned by the application as it is, a regular file is sent by sendfile from its present position; everything else
    with a read() method is read in blocks of `block_size` bytes.
    """

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self):
        return self

    def __next__(self):
        block = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def close(self):
        """Close the file, where it can be closed."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    cdef tuple region(self):
        if not reads_its_descriptor(self.filelike):
            return None
        try:
            fd = self.filelike.fileno()
            found = os.fstat(fd)
            offset = self.filelike.tell()
        except (AttributeError, OSError, ValueError):  # a file in memory, a pipe, a closed file
            return None
        # Files of the kernel's own, as in /proc, have content and no size.
        if not stat.S_ISREG(found.st_mode) or found.st_size <= offset:
            return None
        return fd, offset, found.st_size - offset


# Whether read() gives the bytes of the descriptor as they are: a text file decodes them, a GzipFile unpacks them, a
# class of the application's own may do anything. What is no io object, such as a framework's wrapper of an upload, is
# taken at its word.
cdef bint reads_its_descriptor(object filelike) except -1:
    if type(filelike) is io.BufferedReader or type(filelike) is io.BufferedRandom:
        return type(filelike.raw) is io.FileIO
    return type(filelike) is io.FileIO or not isinstance(filelike, io.IOBase)


@cython.final
cdef class Inline(Dispatcher):
    """Runs `app` on the reactor's own thread, one request at a time.

    `on_error(environ, error)` is told what the application did wrong: an exception, or a sentence.
    """

    def __init__(self, app, on_error):
        self.app = app
        self.on_error = on_error

    cdef StartResponse take(self, Exchange exchange):
        cdef StartResponse start = self.spare
        if (
            start is None or Py_REFCNT(<PyObject *>start.call_method) > 1
            or Py_REFCNT(<PyObject *>start.write_method) > 1
        ):
            start = StartResponse.__new__(StartResponse)
            start.call_method = start.call
            start.write_method = start.write
        else:
            self.spare = None
        start.exchange = exchange
        start.environ = exchange.environ
        return start

    cdef int dispatch(self, Exchange exchange) except -1:
        cdef StartResponse start = self.take(exchange)
        try:
            if not start.respond(self.app(start.environ, start.call_method)):
                exchange.task = start
                return 0
        except BaseException as error:
            return self.blame(exchange, start, error)
        return self.conclude(exchange, start)

    cdef int resume(self, Exchange exchange) except -1:
        cdef StartResponse start = <StartResponse>exchange.task
        try:
            if not start.pump():
                return 0
        except BaseException as error:
            return self.blame(exchange, start, error)
        return self.conclude(exchange, start)

    cdef int cancel(self, Exchange exchange) except -1:
        cdef StartResponse start = <StartResponse>exchange.task
        exchange.task = None
        return self.conclude(exchange, start)

    # The response is over: log what the protocol had to correct, close the iterable, keep the object for the next one.
    cdef int conclude(self, Exchange exchange, StartResponse start) except -1:
        cdef dict environ = start.environ
        if exchange.mistake is not None:
            self.on_error(environ, exchange.mistake)
        try:
            start.close()
        except BaseException as error:
            self.on_error(environ, error)
        self.spare = start
        return 0

    cdef int blame(self, Exchange exchange, StartResponse start, error) except -1:
        if not isinstance(error, ClientGone):
            self.on_error(start.environ, error)
        if exchange.begun():
            exchange.abort()
        else:
            exchange.fail(error.status if isinstance(error, RequestTimeout) else 500)
        return self.conclude(exchange, start)
