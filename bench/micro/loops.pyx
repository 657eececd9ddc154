# cython: language_level=3, boundscheck=False
"""The compiled parts by themselves, as often as is wanted: what pytest-benchmark times.

They have no Python surface of their own, so this module calls them through theirs in C.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free

from fastwsgi._environ cimport EnvironBuilder
from fastwsgi._exchange cimport Exchange
from fastwsgi._parser cimport DONE, Field, Limits, RequestHead, parse_head, reset_head

cdef enum:
    FIELDS = 100


cdef class Nobody(Exchange):
    """An exchange that is given an environ and nothing else."""

    def __cinit__(self):
        self.remote_addr, self.remote_port = "127.0.0.1", "1"


def parse(bytes data, int times):
    """Parse the head so many times. Raises ValueError where it is refused or not complete."""
    run(data, times, None)


def lend(EnvironBuilder builder not None, bytes data, int times):
    """Parse the head once, then make environ of it and take it back so many times."""
    run(data, times, builder)


cdef run(bytes data, int times, EnvironBuilder builder):
    cdef Limits limits = Limits(8190, 8190, FIELDS, 65536, 0)
    cdef Nobody exchange = Nobody()
    cdef RequestHead head
    cdef int turn
    head.fields = <Field *>calloc(FIELDS, sizeof(Field))
    if head.fields is NULL:
        raise MemoryError
    try:
        for turn in range(times if builder is None else 1):
            reset_head(&head)
            if parse_head(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &limits, &head) != DONE:
                raise ValueError("the head is refused or not complete")
        if builder is not None:
            for turn in range(times):
                builder.lend(exchange, PyBytes_AS_STRING(data), &head, turn + 1)
                builder.take_back(exchange)
    finally:
        free(head.fields)
