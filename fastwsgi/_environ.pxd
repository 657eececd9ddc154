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
    ENTRIES = 20                      # an environ of more fields is not lent again
    SPARES = 64                       # environs that wait to be lent again


# A field name as some client spells it, the environ key it becomes and, for names in SHARED_VALUES, the last value.
cdef struct NameSlot:
    uint32_t hash
    uint16_t length                   # 0: free
    uint16_t index                    # of the key, for the bitmap of keys seen in one request
    uint16_t role                     # place in `EnvironBuilder.tellers`, from 1; 0: none
    bint keeps_value
    PyObject *key                     # owned
    PyObject *value                   # owned, or NULL
    char name[SLOT_NAME]


# What one request has brought so far.
cdef struct Seen:
    uint64_t keys[SEEN_WORDS]         # a bit per NameSlot.index
    bint rare                         # a name without a slot was among them
    bint trusted                      # it came from a proxy that may say where it is from
    uint32_t told                     # fields by which a proxy says so: a bit per place, the last for all behind it
    const Field *script_name          # what a proxy says, or NULL
    int verdict                       # DONE, or why it is to be refused


# What an environ was given for one field. The value is NULL where it must not be kept between requests.
cdef struct Entry:
    NameSlot *slot
    PyObject *value                   # borrowed; the environ holds it while that waits


# What an environ, or the template, has beside the fields; borrowed, as it holds them.
cdef struct Held:
    PyObject *method
    PyObject *input
    PyObject *remote_addr
    PyObject *remote_port
    PyObject *target
    PyObject *scheme


# What is known of one environ; in it, as wsgi.early_hints.
cdef class Loan(EarlyHints):
    cdef dict environ                 # while it waits; else None
    cdef Loan next                    # of those that wait
    cdef uint64_t version             # when it was lent
    cdef uint64_t serial              # of the head it was made for
    cdef bint whole                   # all fields of that are in it
    cdef Held held
    cdef int count                    # of entries; -1: it cannot be lent again
    cdef uint32_t told                # as `Seen.told`
    cdef Entry entries[ENTRIES]       # its fields in their order


cdef class EnvironBuilder:
    cdef dict template
    cdef Held held                    # by the template
    # What is believed of a trusted proxy:
    cdef list tellers                 # of the fields that tell of scheme and client: the value that means https; None
    cdef dict roles                   # the names of these fields, in upper case: places in `tellers`, from 1
    cdef frozenset forwarded          # names with underscores that it may send, in upper case; "*": any
    cdef str header_map               # gunicorn's setting: "drop", "refuse" or "dangerous"
    cdef object find_client           # (address, values): (address, port or None), or None; or None
    cdef bytes script_name            # of the template
    cdef bint mounted                 # that is not empty
    cdef str plain_scheme             # of the template
    cdef Loan spare                   # the first environ that waits
    cdef int spares
    cdef object no_input              # of the template: what a request without a body has as wsgi.input
    # Of the last request:
    cdef str method
    cdef object remote_addr
    cdef object remote_port
    cdef str raw_uri
    cdef str path_info
    cdef str query_string
    cdef bint outside                 # its path does not lie under `script_name`
    cdef str scheme                   # what a proxy said; or None
    cdef tuple client                 # what `find_client` said; or None
    cdef char target[TARGET_LIMIT]
    cdef uint32_t target_length       # 0: nothing known
    cdef dict indexes                 # key -> NameSlot.index
    cdef NameSlot slots[SLOTS]

    # Make an environ for the head at `data`. Two calls with the same `serial` have the same head; `head.alike` compares
    # it with the head of the serial before. `exchange` is given the environ and the EarlyHints in it. Returns DONE, or
    # why the request is to be refused; then it has no environ.
    cdef int lend(self, Exchange exchange, const char *data, const RequestHead *head, uint64_t serial) except -1
    # Make `body` the wsgi.input of an environ that was lent and that nobody has seen yet.
    cdef int give_input(self, Exchange exchange, object body) except -1
    # The request is over: `exchange` loses its environ. That is kept for the next one, if nobody else holds it and it
    # is as it was built.
    cdef int take_back(self, Exchange exchange) except -1

    cdef int build(self, Exchange exchange, const char *data, const RequestHead *head, Loan loan) except -1
    cdef bint renew(self, Loan loan, const char *data, const RequestHead *head, uint64_t serial) except -1
    cdef int refresh(self, dict environ, Held *held) except -1
    cdef int take_target(self, const char *data, const RequestHead *head) except -1
    cdef int add_field(
        self, dict environ, Loan loan, const char *data, const Field *field, uint32_t place, Seen *seen
    ) except -1
    cdef int add_rare_field(self, dict environ, Loan loan, const char *data, const Field *field) except -1
    cdef int add_odd_field(
        self, dict environ, Loan loan, const char *data, const Field *field, uint32_t place, Seen *seen
    ) except -1
    cdef int role_of(self, const char *data, const Field *field) except -1
    cdef int listen(self, Exchange exchange, const char *data, const RequestHead *head, uint32_t told) except -1
    cdef bint renew_scheme(self, Exchange exchange, const char *data, const RequestHead *head, Loan loan) except -1
    cdef int mount(self, dict environ, const char *data, const RequestHead *head, const Field *field) except -1
    cdef NameSlot *find(self, const char *name, uint32_t length, uint32_t hash) except? NULL
    cdef NameSlot *fill(self, NameSlot *slot, const char *name, uint32_t length, uint32_t hash) except NULL
    cdef object slot_value(self, NameSlot *slot, const char *text, uint32_t length)
