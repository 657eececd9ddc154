# A thread that sends what a generator has made while it makes the next piece.
#
# PEP 3333 wants each piece on its way before the next is asked for, or "a different thread to continue transmission
# while the application produces the next block" ("Buffering and Streaming"). This is that thread. It knows nothing of
# Python: no GIL, no objects, no signals. What it has not come to when the next piece, or the end, is there goes along
# with that.

from fastwsgi._guard cimport Latch


cdef struct Pieces:
    char *data
    size_t length
    size_t capacity


cdef enum Stage:
    HERE = 0                          # the thread knows nothing of it
    QUEUED                            # it will be sent
    SENDING
    STALLED                           # the socket takes no more for now; the thread waits for it
    SENT
    BROKEN                            # the client is gone


# What is with the thread of one response. All but `stage` is touched under the lock of the thread that has it.
cdef struct Relay:
    Stage stage
    int fd
    void *thread                      # that of the Sender that has it
    Relay *before                     # neighbours in the ring of those that are QUEUED, or STALLED
    Relay *behind
    Pieces flying                     # the thread's own, while SENDING
    size_t sent                       # of `flying`
    Pieces waiting                    # what came behind


# Forget what it has; for one that is HERE.
cdef int empty(Relay *relay) noexcept
# Take it back, where it is not HERE, and free its memory.
cdef void release_relay(Relay *relay) noexcept


# The sending thread of a worker.
cdef class Sender:
    cdef void *thread                 # and what is shared with it; NULL: it was not needed yet
    cdef Latch latch                  # of its start

    # Have `size` bytes, at least one, sent to the socket `fd`. Returns False, with nothing done, where somebody else
    # has to: there can be no thread, the socket takes no more, or the thread is behind.
    cdef bint send(self, Relay *relay, int fd, const char *data, size_t size) noexcept
    # Take back a relay that is not HERE. What of `flying` and then `waiting` was not sent is the caller's to send, who
    # empties both. Waits for a send that is under way.
    cdef void recall(self, Relay *relay) noexcept
    # End the thread.
    cdef int close(self) noexcept
