# From a parsed head to the dict that PEP 3333 calls environ.

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from cpython.object cimport PyObject

from fastwsgi._exchange cimport EarlyHints, Exchange
from fastwsgi._parser cimport Field, RequestHead, Span

cdef enum:
    SLOTS = 256                       # a power of two
    SEEN_WORDS = 4                    # SLOTS bits
    PROBES = 4
    SLOT_NAME = 40                    # longer names are built anew each time
    TARGET_LIMIT = 256                # longer targets are not kept
    VALUE_LIMIT = 256                 # longer values are not kept
    ENTRIES = 96                      # an environ with more of them is not lent again


# A field name as some client spells it, the environ key it becomes and, for names in SHARED_VALUES, the last value.
cdef struct NameSlot:
    uint32_t hash
    uint16_t length                   # 0: free
    uint16_t index                    # of the key, for the bitmap of keys seen in one request
    bint keeps_value
    PyObject *key                     # owned
    PyObject *value                   # owned, or NULL
    char name[SLOT_NAME]


# Which keys one request has brought so far.
cdef struct Seen:
    uint64_t keys[SEEN_WORDS]         # a bit per NameSlot.index
    bint rare                         # a name without a slot was among them


# What an environ was given at one place. The value is NULL where it must not be kept between requests.
cdef struct Entry:
    PyObject *key                     # borrowed from template or slot
    PyObject *value                   # borrowed from template or slot


cdef class EnvironBuilder:
    cdef dict template
    cdef dict places                  # its keys -> their places in it
    cdef int fixed                    # how many these are
    cdef Entry entries[ENTRIES]       # what the environ built last was given, place by place
    cdef int count                    # 0: it cannot be lent again
    cdef PyObject *lent               # borrowed; the environ built last
    cdef uint64_t version             # when it was built
    cdef EarlyHints hints             # in `spare`
    cdef dict spare                   # an environ that has come back, holding `entries`; or None
    cdef uint64_t serial              # of the head it was built from
    cdef object remote_addr           # what the template has
    cdef object remote_port
    cdef char target[TARGET_LIMIT]
    cdef uint32_t target_length       # 0: nothing known
    cdef dict indexes                 # key -> NameSlot.index
    cdef NameSlot slots[SLOTS]

    # Make an environ for the head at `data`. `remote_port` is the client's, a str; None for clients without one. Two
    # calls with the same `serial` have the same head. `exchange` is given the environ and the EarlyHints in it.
    cdef int lend(
        self, Exchange exchange, const char *data, const RequestHead *head, uint64_t serial, object remote_port
    ) except -1
    # The request is over: `exchange` loses its environ. That is kept for the next one, if nobody else holds it and it
    # is as it was built.
    cdef int take_back(self, Exchange exchange) except -1

    cdef dict build(self, const char *data, const RequestHead *head, EarlyHints hints)
    cdef bint renew(self, const char *data, const RequestHead *head) except -1
    cdef int put_in_all(self, str key, object value) except -1
    cdef int take_remote(self, object remote_addr, object remote_port) except -1
    cdef int take_target(self, const char *data, const RequestHead *head) except -1
    cdef int add_field(self, dict environ, const char *data, const Field *field, Seen *seen) except -1
    cdef void record(self, const NameSlot *slot, object value) noexcept
    cdef int add_rare_field(self, dict environ, const char *data, const Field *field) except -1
    cdef NameSlot *find(self, const char *name, uint32_t length, uint32_t hash) except? NULL
    cdef NameSlot *fill(self, NameSlot *slot, const char *name, uint32_t length, uint32_t hash) except NULL
    cdef object slot_value(self, NameSlot *slot, const char *text, uint32_t length)
