"""The worker's clock. Coarse (a tick of the kernel, 1 to 10 ms), read through the vDSO without a system call."""

cimport cython
from libc.stdint cimport int64_t
from posix.time cimport clock_gettime, timespec, CLOCK_MONOTONIC

cdef extern from "<time.h>" nogil:
    const int CLOCK_MONOTONIC_COARSE
    const int CLOCK_REALTIME_COARSE


cdef inline int64_t read_clock(int which, int64_t per_second) noexcept nogil:
    cdef timespec moment
    clock_gettime(which, &moment)
    return moment.tv_sec * per_second + moment.tv_nsec * per_second // 1000000000


cdef int64_t precise() noexcept nogil:
    cdef timespec moment
    clock_gettime(CLOCK_MONOTONIC, &moment)
    return moment.tv_sec * <int64_t>1000000000 + moment.tv_nsec


@cython.final
cdef class Clock:
    """A monotonic clock that a test can push forward; where it gives a `start`, in seconds, only the test moves it."""

    def __init__(self, start=None):
        if start is not None:
            self.stands = True
            self.advance(start)

    cdef int64_t now(self) noexcept nogil:
        return self.offset if self.stands else read_clock(CLOCK_MONOTONIC_COARSE, 1000) + self.offset

    cdef int64_t wall(self) noexcept nogil:
        return read_clock(CLOCK_REALTIME_COARSE, 1)

    def monotonic(self):
        """Seconds on a clock that never goes back."""
        return self.now() / 1000.0

    def advance(self, double seconds):
        """Pretend that so many seconds have passed. For tests of deadlines."""
        self.offset += <int64_t>(seconds * 1000)
