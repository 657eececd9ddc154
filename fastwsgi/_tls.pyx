"""TLS of one connection, between the bytes of the socket and those of HTTP.

How it works: an `ssl.SSLObject` reads from one memory BIO and writes into another, so OpenSSL sees no socket and never
waits. The handshake has no step of its own: OpenSSL goes on with it whenever there is something to decrypt, and what it
has to say stands in the outgoing BIO, as do a key update, a session ticket or an alert.

Laws: whatever was received is decrypted at once, as far as it goes, so nothing hides in the BIO that no event of the
socket would announce. A BIO never shrinks, so no more than a record or two passes through it at a time. OpenSSL's calls
release the GIL, and a session bears only one of them at a time: an application may read in one thread and write in
another, so each call is made under the lock of its connection. Nothing here imports ssl: a worker without TLS has this
module, too.
"""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.pythread cimport (
    NOWAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
    WAIT_LOCK,
)

cdef enum:
    WANT_READ = 2                     # ssl.SSL_ERROR_WANT_READ


@cython.final
cdef class Transport:
    """The TLS of one connection: `session` is an ssl.SSLObject on two ssl.MemoryBIO. `endpoint` is what made it."""

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __init__(self, endpoint, session, incoming, outgoing):
        self.endpoint = endpoint
        self.session = session
        self.incoming = incoming
        self.outgoing = outgoing

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef int acquire(self) except -1:
        cdef PyThread_type_lock lock = self.lock
        if not PyThread_acquire_lock(lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(lock, WAIT_LOCK)
        return 0

    cdef int release(self) except -1:
        PyThread_release_lock(self.lock)
        return 0

    cdef bytes open(self, bytes received):
        cdef list parts = []
        if PyBytes_GET_SIZE(received) <= RECORD:
            self.incoming.write(received)
            self.read_into(parts)
        else:
            whole = memoryview(received)
            for start in range(0, PyBytes_GET_SIZE(received), RECORD):
                self.incoming.write(whole[start:start + RECORD])
                self.read_into(parts)
        if len(parts) == 1:
            return parts[0]
        return b"".join(parts)

    # Decrypt the records that are complete.
    cdef int read_into(self, list parts) except -1:
        while self.incoming.pending and not self.ended:
            try:
                part = self.session.read(RECORD)
            except OSError as error:
                if error.errno != WANT_READ:
                    raise
                return 0
            if part:
                parts.append(part)
            else:
                self.ended = True
        return 0

    cdef int seal(self, object piece) except -1:
        self.session.write(piece)
        return 0

    cdef bytes take(self):
        return self.outgoing.read()

    cdef int end(self) except -1:
        if self.said_end:
            return 0
        self.said_end = True
        try:
            self.session.unwrap()
        except OSError:  # the client's own is not waited for; or the handshake is not over
            pass
        return 0

    cdef dict describe(self, dict extra):
        self.described = True
        return self.endpoint.describe(self.session, extra)

    cdef int report(self, object remote_addr, object error) except -1:
        self.endpoint.report(remote_addr, error)
        return 0
