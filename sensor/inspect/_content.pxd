"""What flows carry, as their first bytes tell: the C interface, for the flow table."""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from sensor.decode._frame cimport Packet
from sensor.inspect._app cimport App

cdef enum:
    HEAD_BYTES = 4096           # of a direction at most: a ClientHello with a post-quantum key and a ticket has 2.5 KB
    MOST_PAIRS = 28             # facts of a flow: with those that are numbers here no record has more than 32
    PAIRS_BYTES = 1536          # of them, encoded
    HOST_BYTES = 255

cdef enum Phase:
    # What becomes of a direction's bytes.
    LOOKING = 0                 # what they are is not known
    COLLECTING                  # it is, but the hello, banner or head is not whole
    WAITING                     # of a client that asked for a tunnel: kept until its proxy has answered
    SKIPPING                    # of a proxy that refused one: passed over until the client asks again
    DONE

cdef enum Tunnel:
    NOT_ASKED = 0
    CONNECT
    WEBSOCKET
    UPGRADE                     # to anything else

cdef enum:
    # Start.marks
    BEGUN = 1                   # next_sequence is set
    LATE = 2                    # its first bytes were not seen
    CUT = 4                     # bytes are missing behind those in the head

cdef struct Start:
    # The start of one direction.
    uint8_t* head               # bytes that are still needed, NULL when none are
    uint32_t next_sequence      # of the first byte that has not come
    uint16_t room               # of the head
    uint16_t filled
    uint16_t ahead_from         # bytes in the head behind a gap; none when ahead_to is 0
    uint16_t ahead_to
    uint8_t phase
    uint8_t marks
    uint8_t app[2]              # of the connection itself, and inside its tunnel
    uint8_t role[2]

cdef struct Content:
    Start start[2]              # the client's, the server's
    uint8_t* pairs              # facts as msgpack, names and values in turn
    uint8_t* host               # as text
    uint16_t pairs_bytes
    uint8_t host_bytes
    uint8_t pair_count
    uint8_t asked               # see Tunnel
    uint8_t stands              # the tunnel does
    uint8_t tries               # of the client to have one
    uint8_t other_name          # the server named inside is another than the tunnel's
    uint16_t status             # of HTTP, 0 when none is known
    uint16_t port               # that a tunnel leads to


@cython.final
cdef class Inspector:
    cdef readonly uint64_t memory_bytes, used_bytes
    cdef readonly uint64_t told, given_up, failed
    cdef object facts_of

    cdef Content* begin(self) noexcept nogil
    cdef bint segment(self, Content* content, uint8_t side, uint32_t first, bint late, Packet* packet) noexcept nogil
    cdef void conclude(self, Content* content) noexcept nogil
    cdef void discard(self, Content* content) noexcept nogil
    cdef bint fill(self, Content* content, uint8_t side, const uint8_t* data, uint32_t length,
                   bint complete) noexcept nogil
    cdef void fill_ahead(self, Content* content, uint8_t side, uint32_t ahead, const uint8_t* data,
                         uint32_t length) noexcept nogil
    cdef bint make_room(self, Start* start, uint32_t wanted) noexcept nogil
    cdef void drop_head(self, Start* start) noexcept nogil
    cdef void finish(self, Start* start) noexcept nogil
    cdef void advance(self, Content* content, uint8_t side, const uint8_t* data, uint32_t length,
                      bint complete) noexcept nogil
    cdef void look_again(self, Content* content, uint8_t side, bint complete) noexcept nogil
    cdef uint32_t consider(self, Content* content, uint8_t side, const uint8_t* data, uint32_t length,
                           bint complete) noexcept nogil
    cdef void consider_inside(self, Content* content, uint8_t side, const uint8_t* data, uint32_t length,
                              bint complete) noexcept nogil
    cdef uint32_t inflate(self, uint8_t* data, uint32_t length) noexcept with gil
    cdef bint find_shell(self, Start* start, const uint8_t* data, uint32_t length) noexcept nogil
    cdef bint ask_for_shell(self, Start* start, const uint8_t* data, uint32_t length) noexcept with gil
    cdef uint32_t after_http(self, Content* content, uint8_t side, uint32_t head_bytes) noexcept nogil
    cdef void tell(self, Content* content, uint8_t side, App app, const uint8_t* data, uint32_t length) noexcept nogil
    cdef void take_facts(self, Content* content, uint8_t side, App app, const uint8_t* data,
                         uint32_t length) noexcept with gil
    cdef bint add_pairs(self, Content* content, bytes pairs, uint32_t count)
    cdef bint add_host(self, Content* content, bytes host)
