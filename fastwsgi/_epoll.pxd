# The wait of a reactor: one epoll_wait a turn, no longer than until the next sweep.

from libc.stdint cimport int64_t, uint32_t

from fastwsgi._clock cimport Clock

cdef enum:
    MOST_EVENTS = 64                  # taken from the kernel at once


cdef extern from "<sys/epoll.h>" nogil:
    union epoll_data:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data data


cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass
    int sem_init(sem_t *bell, int shared, unsigned int value)
    int sem_wait(sem_t *bell)
    int sem_post(sem_t *bell)


cdef class Poller:
    cdef readonly int fd              # of epoll, borrowed
    cdef Clock clock
    cdef int64_t began                # milliseconds of the clock when the last wait began
    cdef int64_t due                  # when the next sweep is
    cdef int64_t period               # from one to the next
    cdef int64_t swept                # all that was ready then has been handled
    cdef int found                    # entries of `ready` in use
    cdef public bint asked            # somebody has something for behind the batch
    cdef int taken                    # of them, by the iteration
    cdef sem_t *bell                  # rung when the next wait has let the GIL go; or NULL
    cdef epoll_event ready[MOST_EVENTS]

    cpdef bint is_sweep_due(self)
    # How long to wait at most, in milliseconds, for a caller who has `timeout` seconds, or None for no such bound.
    cdef int64_t patience_ms(self, object timeout) except -1
