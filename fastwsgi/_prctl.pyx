"""prctl(2), which Python has no call for; ctypes would cost every worker a megabyte and four milliseconds."""

from libc.errno cimport errno

cdef extern from "<sys/prctl.h>" nogil:
    const int PR_SET_PDEATHSIG
    int prctl(int option, ...)


def signal_when_parent_dies(int number):
    """Have the kernel send this process signal `number` when its parent dies. Raises OSError.

    Nothing is sent where the parent is dead already: compare `os.getppid` afterwards.
    """
    if prctl(PR_SET_PDEATHSIG, <unsigned long>number) != 0:
        raise OSError(errno, "prctl(PR_SET_PDEATHSIG)")
