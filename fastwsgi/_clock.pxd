# Time, read where it is used: a coarse clock costs a few nanoseconds and is never stale after a slow application.

from libc.stdint cimport int64_t


cdef class Clock:
    # Milliseconds added by tests, so that a deadline passes without waiting for it.
    cdef int64_t offset
    cdef bint stands                  # the offset is all there is

    # Monotonic milliseconds; unaffected by changes of the wall clock.
    cdef int64_t now(self) noexcept nogil
    # Seconds since the epoch, for the Date field.
    cdef int64_t wall(self) noexcept nogil


# Monotonic nanoseconds at full resolution, for durations in the access log.
cdef int64_t precise() noexcept nogil
