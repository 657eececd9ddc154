# The application on a pool of threads (gunicorn's gthread).

from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport int64_t

from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._exchange cimport Exchange


# One thread of the pool.
cdef class Seat(Runner):
    cdef PyThread_type_lock lock      # held while the thread has nothing to do
    cdef Seat next                    # of those that have nothing to do
    cdef bint replaced                # by another seat: to be left when it is through


cdef class Threads(Elsewhere):
    cdef list seats
    cdef Seat idle                    # the one that fell asleep last
    cdef int idle_count
    cdef bint rousing                 # one was roused and has not come yet
    cdef int eagerness                # short requests in a row until none rouses the next
    cdef bint closed
    cdef Exchange first               # of those that wait for a thread
    cdef Exchange last
    cdef int length
    # Settings; times in milliseconds, 0: none.
    cdef int threads
    cdef int max_queue                # 0: none
    cdef int64_t queue_timeout
    cdef object on_stuck              # (threads)

    cdef int put(self, Exchange exchange) except -1
    cdef Exchange take_first(self)
    # Whether a thread is to be roused, and the lock by which one is.
    cdef bint wants_another(self) noexcept
    cdef PyThread_type_lock take_idle(self) noexcept
    cdef int work_inside(self, Seat seat) except -1
    cdef int sweep_inside(self, int64_t now) except -1
    cdef int refuse_stale(self, int64_t now) except -1
    cdef int replace(self, Seat seat) except -1
