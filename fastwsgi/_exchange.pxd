# The two surfaces between protocols and handlers. A protocol subclasses Exchange, a handler Dispatcher; neither knows
# the other. Calls through them are C-level virtual calls.

from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastwsgi._guard cimport GuardRef, Latch, Owner

# A truth in a byte, as there may be tens of thousands of connections.
ctypedef uint8_t Flag


# What `flush` says of the way to the client.
cdef enum Flow:
    GO_ON = 1                         # send more if there is more
    WAIT = 2                          # stop producing; `Dispatcher.resume` says when to go on
    GONE = 3                          # nobody reads any more; clean up


# How far a Dispatcher came with an exchange.
cdef enum Progress:
    OVER = 1                          # the response is complete, or as complete as it will be
    SUSPENDED = 2                     # it waits for the client; `Dispatcher.resume` goes on with it
    ELSEWHERE = 3                     # another thread or greenlet has it until it calls `Exchange.hand_back`


# One request and its response, on whatever protocol.
#
# A handler calls `begin` once, then `write` and `sendfile` as often as it likes, then `finish`; or `fail` instead of
# `begin`; or `abort` at any time. After `finish`, `fail` or `abort` it touches the exchange no more, but to say
# `hand_back` where it ran elsewhere. Who runs elsewhere holds the GIL in every call, and nobody else calls meanwhile.
cdef class Exchange:
    cdef dict environ                 # PEP 3333; belongs to the application once it was dispatched
    cdef EarlyHints hints             # of `environ`
    cdef object task                  # what the handler keeps while it is not through with the exchange, else None
    cdef Flag in_app                  # the application's own code runs, so that what is elsewhere may be cut off
    cdef Flag waiting                 # for the client, in `wait`
    cdef Flag trusted                 # its peer may say where a request comes from
    cdef Owner owner                  # of its guard; of none where its dispatcher needs none
    cdef GuardRef guard               # of the reactor's thread
    cdef int busy                     # calls of ours amid which the GIL is released: it is not cut off meanwhile
    cdef object lent                  # gunicorn.socket of a request that asks for another protocol; else None
    cdef void *next                   # Exchange, in a Queue
    cdef uint32_t queued              # milliseconds of the clock, which go round: when it began to wait for a thread
    cdef readonly uint32_t waited     # milliseconds it waited for one
    cdef str mistake                  # what the protocol had to correct in the response, to be logged; or None
    cdef readonly object remote_addr  # str; "" for a client without an address
    # Of who connected, or of a PROXY header; not `remote_addr` where a header field named the client.
    cdef object peer_addr
    cdef object remote_port           # str; None for a client without an address
    cdef dict extra                   # what every environ of this connection has besides; or None
    # For the access log; filled only where one is wanted.
    cdef readonly object status       # str, as the application gave it
    cdef readonly object headers      # list of (name, value)
    cdef readonly int64_t body_bytes  # of the response, without framing
    cdef int64_t started              # nanoseconds

    # Serialise the head. `length` is the body's length in bytes where the handler knows it, else -1; a Content-Length
    # among `headers` goes before it. Raises ApplicationError, with nothing written, for what must not reach the wire.
    cdef int begin(self, object status, object headers, int64_t length) except -1
    # Take body bytes; framing is the protocol's. Returns False where no more will be taken: the response
    # has no body, or bytes beyond its Content-Length were cut off.
    cdef bint write(self, bytes data) except -1
    # Take `length` bytes of a regular file from `offset`. `file` is closed when they are sent, or will never be.
    cdef int sendfile(self, OpenFile file, int64_t offset, int64_t length) except -1
    # Send what was taken. Returns a Flow.
    cdef int flush(self) except -1
    # Send, and wait until the kernel has taken all; for producers that cannot be suspended.
    # Raises ClientGone.
    cdef int wait(self) except -1
    # Say that the body is over. `send_now`: something slow follows, so send before it. A body shorter than its
    # Content-Length ends the connection.
    cdef int finish(self, bint send_now) except -1
    # Answer with an error of the server's own (an `errors.Refusal`); only before `begin` succeeded.
    cdef int fail(self, object refusal) except -1
    # End without a clean end, so that nobody takes the response for complete.
    cdef int abort(self) except -1
    # The handler, which ran elsewhere, is through.
    cdef int hand_back(self) except -1
    # From the reactor's thread, and only where `in_app`: end what runs elsewhere, with an error of the server's own
    # where nothing was sent. The handler sees to it that who runs it does not touch it any more.
    cdef int cut(self, object refusal) except -1
    # Send an interim 103 with these headers (RFC 8297), where the client understands one and no head was serialised.
    # Raises ApplicationError for what must not reach the wire.
    cdef int hint(self, object headers) except -1
    # Take more of a request body that is read while it arrives: at least a byte, or its end. Waits for the client.
    # Raises RequestBodyError.
    cdef int receive(self) except -1
    # Whether a head was serialised.
    cdef bint begun(self) noexcept


# An open file of the server's own; closed with its last reference at the latest, which without the GIL may go long
# after it was dropped.
cdef class OpenFile:
    cdef int fd

    cdef int close(self) noexcept


# wsgi.early_hints: stays with its environ, which may be lent to one exchange after the other.
cdef class EarlyHints:
    cdef Exchange exchange            # None where the environ is not lent; set inside its own guard, too

    cdef int send(self, Exchange exchange, list headers) except -1


# Decides where an exchange runs.
cdef class Dispatcher:
    cdef bint is_one_thread           # so that its exchanges need no guard
    cdef bint is_elsewhere            # it does not run exchanges on the reactor's own thread
    # Answer `exchange`, now or later. Never raises for the application's mistakes. Returns a Progress.
    cdef int dispatch(self, Exchange exchange) except -1
    # The client has taken what was pending: go on with an exchange that was SUSPENDED. Returns a Progress.
    cdef int resume(self, Exchange exchange) except -1
    # The client is gone or too slow: release what `exchange.task` holds. What runs elsewhere is cut off.
    cdef int cancel(self, Exchange exchange) except -1


# Exchanges that one thread leaves for another, first in, first out; each is in one queue at a time.
cdef struct Queue:
    void *first                       # Exchange, a reference of the queue's own
    void *last
    int length
    Latch latch


# All to be called behind the latch. What was taken, or NULL; the reference is the caller's.
cdef void put_last(Queue *queue, void *exchange) noexcept nogil
cdef void *take_first(Queue *queue) noexcept nogil
# The first of all there were, which have their `next`; and the references.
cdef void *take_all(Queue *queue) noexcept nogil
