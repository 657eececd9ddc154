# The application on a pool of threads (gunicorn's gthread).

from libc.stdint cimport int64_t

from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._epoll cimport sem_t
from fastwsgi._exchange cimport Exchange, Queue


# One thread of the pool.
cdef class Seat(Runner):
    cdef sem_t bell                   # rung for the thread that has nothing to do
    cdef void *next                   # Seat: of those that have nothing to do
    cdef void *taken                  # Exchange: what it took last, with the queue's reference; NULL: it has nothing
    cdef bint replaced                # by another seat: to be left when it is through


cdef class Threads(Elsewhere):
    cdef list seats
    cdef int eagerness                # short requests in a row until none rouses the next
    # Behind the latch of the queue, as what the seats have taken:
    cdef Queue queue                  # of what waits for a thread
    cdef void *idle                   # Seat: the one that fell asleep last
    cdef int idle_count
    cdef bint rousing                 # one was roused and has not come yet
    cdef bint closed
    # Settings; times in milliseconds, 0: none.
    cdef int threads
    cdef int max_queue                # 0: none
    cdef int64_t queue_timeout
    cdef object on_stuck              # (threads)

    cdef void *pick_idle(self) noexcept nogil
    cdef int work_inside(self, Seat seat) except -1
    # Give a seat the first of what waits. Returns whether there is more to come.
    cdef bint take_next(self, Seat seat, bint woken) except -1
    cdef bint come_back(self, Seat seat) except -1
    cdef Exchange exchange_of(self, Seat seat)
    cdef int refuse_stale(self, int64_t now) except -1
    cdef int refuse(self, Exchange exchange, int64_t now) except -1
    cdef bint cut_seat(self, Seat seat, int64_t now) except -1
    cdef int replace(self, Seat seat) except -1
