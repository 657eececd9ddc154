# TLS of one connection: what comes in is decrypted, what goes out is encrypted. It has no socket and waits for nothing.

from cpython.pythread cimport PyThread_type_lock


cdef enum:
    RECORD = 16384                    # the most that one record holds (RFC 8446 5.1)


cdef class Transport:
    cdef object endpoint              # what `net.tls.Endpoint` does for it
    cdef object session               # ssl.SSLObject
    cdef object incoming              # ssl.MemoryBIO: received, not decrypted yet
    cdef object outgoing              # ssl.MemoryBIO: encrypted, not sent yet
    cdef PyThread_type_lock lock      # no two threads may be in OpenSSL with one session
    cdef bint ended                   # the client sent close_notify
    cdef bint said_end                # `end` was called
    cdef bint described               # `describe` was called

    # Every other call is made between these two.
    cdef int acquire(self) except -1
    cdef int release(self) except -1
    # Decrypt all that `received`, and what came before it, is good for. b"" where none of that was for the application.
    # Raises OSError (ssl.SSLError) for what is no TLS, or not the client's.
    cdef bytes open(self, bytes received)
    cdef int read_into(self, list parts) except -1
    # Encrypt `piece`, at most RECORD bytes or a view of them; `take` has the outcome. Raises OSError.
    cdef int seal(self, object piece) except -1
    # What is to be sent: of `seal`, or of the protocol's own; b"" for nothing.
    cdef bytes take(self)
    # Say that nothing will follow; once. `take` has it.
    cdef int end(self) except -1
    # What of the session belongs into the environs, with the items of `extra` (a dict or None).
    cdef dict describe(self, dict extra)
    # Tell the log why it failed.
    cdef int report(self, object remote_addr, object error) except -1
