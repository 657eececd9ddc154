"""One application call after PEP 3333: start_response, write, the iterable, its close, wsgi.file_wrapper.

How it works: a `Caller` calls the application with the environ and a start_response, then hands the iterable to
`respond`. A list or tuple of one item, the usual case, is answered without an iterator. Everything else is pulled block
by block; when the client does not keep up, `pump` stops and goes on when the protocol says that the output has drained.

Laws: the head is serialised when the first body byte, or the end, is known (PEP 3333, "The start_response() Callable").
`close()` of the iterable is called exactly once, whatever happens. The application's mistakes are logged and become a
500, or, where the head is out, a response that visibly broke off.
"""

cimport cython
from cpython.object cimport PyObject

from fastwsgi._exchange cimport Dispatcher, Exchange, GONE, OpenFile, OVER, SUSPENDED, WAIT
from fastwsgi._guard cimport (
    FREE_THREADED, Guard, GuardRef, guard_enter, guard_in, guard_leave, guard_out, guard_out_with,
)

import io
import os
import stat

from fastwsgi.errors import (
    APPLICATION_FAILED,
    TOO_SLOW,
    ApplicationError,
    ClientGone,
    CutOffError,
    RequestBodyError,
    RequestTimeout,
)

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
        cdef Guard guard
        guard_enter(&guard, self.keeper.owner)
        try:
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
        finally:
            guard_leave(&guard)

    def write(self, data):
        """Send body bytes before the iterable's (PEP 3333, "The write() Callable"). Waits for a slow client."""
        cdef Guard guard
        if not isinstance(data, bytes):
            raise ApplicationError(f"write takes bytes, not {type(data).__name__}")
        block = bytes(data)
        guard_enter(&guard, self.keeper.owner)
        try:
            self.send(block)
        finally:
            guard_leave(&guard)

    cdef int send(self, bytes block) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None:
            raise ApplicationError("write was called after the response was over")
        if not block:
            return 0
        exchange.in_app = False
        try:
            if not exchange.begun():
                self.begin(-1)
            if exchange.write(block):
                self.wait()
        finally:
            exchange.in_app = True
        return 0

    cdef int come_in(self) except -1:
        if self.exchange is None:
            raise CutOffError
        self.exchange.in_app = False
        return 0

    # For the client to take bytes; meanwhile the response may be cut off.
    cdef int wait(self) except -1:
        cdef Exchange exchange = self.exchange
        exchange.in_app = True
        exchange.wait()
        return self.come_in()

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
        self.exchange.in_app = True
        if type(iterable) is FileWrapper and not self.exchange.begun():
            guard_out(self.guard)
            region = (<FileWrapper>iterable).region()
            guard_in(self.guard)
            self.come_in()
            if region is not None:
                return self.respond_file(<FileWrapper>iterable, region)
        try:
            self.iterator = iter(<object>guard_out_with(self.guard, <PyObject *>iterable))
            guard_in(self.guard)
        except TypeError as error:
            what = type(iterable).__name__
            raise ApplicationError(f"the application returned {what}, which is no iterable") from error
        self.come_in()
        return self.pump()

    # The application's file may be closed before its last byte is sent, so that is sent from one of our own.
    cdef bint respond_file(self, FileWrapper wrapper, tuple region) except -1:
        cdef OpenFile file = OpenFile.__new__(OpenFile)
        file.fd = os.dup(region[0])
        self.come_in()
        self.begin(region[2])
        self.exchange.sendfile(file, region[1], region[2])
        self.exchange.finish(True)
        return True

    cdef bint pump(self) except -1:
        cdef int flow
        while True:
            self.exchange.in_app = True
            block = next(<object>guard_out_with(self.guard, <PyObject *>self.iterator), END)
            guard_in(self.guard)
            if block is END:
                break
            if not isinstance(block, bytes):
                raise ApplicationError(f"the body must come as bytes, not {type(block).__name__}")
            if type(block) is not bytes:
                block = bytes(block)
            self.come_in()
            if not block:
                continue
            if not self.exchange.begun():
                self.begin(-1)
            if not self.exchange.write(<bytes>block):
                break
            if self.waits:
                self.wait()
                continue
            flow = self.exchange.flush()
            if flow == WAIT:
                return False
            if flow == GONE:
                raise ClientGone
        closes = hasattr(self.iterable, "close")
        self.come_in()
        if not self.exchange.begun():
            self.begin(0)
        self.exchange.finish(closes)
        return True

    cdef int close(self) except -1:
        iterable = self.iterable
        self.exchange = None
        self.status = self.headers = self.iterable = self.iterator = None
        if iterable is not None:
            close = getattr(iterable, "close", None)
            if close is not None:
                guard_out(self.guard)
                close()
                guard_in(self.guard)
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


cdef bint is_mistake(Exchange exchange, object error):
    return not isinstance(error, (ClientGone, RequestBodyError)) and not ends_other_protocol(exchange, error)


# What libraries of WebSockets raise under gunicorn when the conversation is over.
cdef bint ends_other_protocol(Exchange exchange, object error):
    return isinstance(error, StopIteration) and exchange.lent is not None


cdef object answer_to(object error):
    if isinstance(error, RequestBodyError):
        return error.refusal
    return TOO_SLOW if isinstance(error, RequestTimeout) else APPLICATION_FAILED


cdef class Caller(Dispatcher):
    """Calls `app` for exchanges; subclasses say where.

    `on_error(environ, error)` is told what the application did wrong: an exception, or a sentence. Where `on_end` is
    set, `on_end(exchange, environ)` is called for every call of the application, when all of it is over.
    """

    def __init__(self, app, on_error):
        self.app = app
        self.on_error = on_error

    cdef StartResponse take(self, Exchange exchange):
        cdef StartResponse start = self.spare  # without the GIL always None
        if start is not None:
            self.spare = start.next
            start.next = None
        if (
            start is None or Py_REFCNT(<PyObject *>start.call_method) > 1
            or Py_REFCNT(<PyObject *>start.write_method) > 1
        ):
            start = StartResponse.__new__(StartResponse)
            start.call_method = start.call
            start.write_method = start.write
        if FREE_THREADED:
            start.keeper = exchange
        start.exchange = exchange
        return start

    cdef int answer(self, Exchange exchange, bint waits, GuardRef guard) except -1:
        cdef StartResponse start = self.take(exchange)
        start.waits = waits
        start.guard = guard
        if self.on_end is not None:
            start.environ = exchange.environ
        exchange.task = start
        exchange.in_app = True
        try:
            iterable = self.app(exchange.environ, <object>guard_out_with(guard, <PyObject *>start.call_method))
            guard_in(guard)
            if start.exchange is None:
                start.iterable = iterable
                raise CutOffError
            exchange.in_app = False
            if not start.respond(iterable):
                return SUSPENDED
        except BaseException as error:
            guard_in(guard)
            return self.blame(exchange, start, error)
        return self.conclude(exchange, start)

    cdef int go_on(self, Exchange exchange) except -1:
        cdef StartResponse start = <StartResponse>exchange.task
        try:
            if not start.pump():
                return SUSPENDED
        except BaseException as error:
            guard_in(start.guard)
            return self.blame(exchange, start, error)
        return self.conclude(exchange, start)

    cdef int cancel(self, Exchange exchange) except -1:
        cdef StartResponse start = <StartResponse>exchange.task
        exchange.task = None
        return self.conclude(exchange, start)

    # The response is over: log what the protocol had to correct, close the iterable, keep the object for the next one.
    cdef int conclude(self, Exchange exchange, StartResponse start) except -1:
        cdef dict environ = exchange.environ
        if environ is None:  # it was cut off
            environ = {}
        if exchange.mistake is not None:
            self.on_error(environ, exchange.mistake)
        if start.iterable is not None:
            exchange.in_app = True
        try:
            start.close()
        except BaseException as error:
            guard_in(start.guard)
            self.on_error(environ, error)
        if start.environ is not None:
            environ, start.environ = start.environ, None
            exchange.in_app = True
            try:
                self.on_end(exchange, environ)
            except BaseException as error:
                self.on_error(environ, error)
        exchange.in_app = False
        if FREE_THREADED:
            start.call_method = start.write_method = None  # which refer to it
        else:
            start.next, self.spare = self.spare, start
        return OVER

    cdef int blame(self, Exchange exchange, StartResponse start, error) except -1:
        if start.exchange is not None:  # else it was cut off, and what the application does is of no interest any more
            exchange.in_app = False
            if is_mistake(exchange, error):
                self.on_error(exchange.environ, error)
        if start.exchange is None:
            return self.conclude(exchange, start)
        if exchange.begun() or ends_other_protocol(exchange, error):
            exchange.abort()
        else:
            exchange.fail(answer_to(error))
        return self.conclude(exchange, start)


@cython.final
cdef class Inline(Caller):
    """Runs the application on the reactor's own thread, one request at a time."""

    cdef int dispatch(self, Exchange exchange) except -1:
        return self.answer(exchange, False, exchange.guard)

    cdef int resume(self, Exchange exchange) except -1:
        return self.go_on(exchange)
