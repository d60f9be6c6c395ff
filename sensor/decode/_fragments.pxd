"""IP fragments being put together, for other compiled modules."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from sensor.decode._frame cimport Packet, Piece, Reject

cdef struct Part:
    # Payload bytes [start, end) of a datagram; of them those that were captured follow in memory.
    Part* next
    uint32_t start
    uint32_t end
    uint32_t captured

cdef struct Datagram:
    uint64_t source[2]
    uint64_t destination[2]
    uint32_t id
    uint32_t hash
    uint16_t vlan
    uint8_t protocol
    uint8_t ip_version
    uint8_t depth               # tunnels around it
    uint8_t refused             # RFC 5722: what comes of it later is refused as well
    uint8_t ends                # whether the last fragment came, so that ``end`` is final
    Datagram* next_in_bucket
    Datagram* older
    Datagram* newer
    int64_t start_ns            # when its first fragment came
    uint8_t* header             # of the fragment with offset 0
    uint32_t header_bytes
    uint32_t next_header_at
    uint8_t first_protocol      # that fragment's, of the payload
    uint32_t end                # highest payload byte seen, and one
    uint32_t have               # payload bytes that the parts cover
    uint32_t packets            # fragments counted
    uint32_t part_count
    uint32_t held_bytes
    Part* first                 # ascending, without overlap
    Part* last

cdef class Reassembler:
    # bounds
    cdef readonly uint32_t max_datagrams
    cdef readonly uint64_t max_bytes
    cdef int64_t timeout_ns
    # counters
    cdef readonly uint64_t fragments        # counted with others as one packet, or still waiting for them
    cdef readonly uint32_t datagrams        # waiting
    cdef readonly uint64_t held_bytes       # memory they take
    cdef bint vlan_in_key
    cdef uint64_t seed[4]
    cdef Datagram** buckets
    cdef uint32_t bucket_mask
    cdef Datagram* oldest
    cdef Datagram* newest
    cdef uint8_t* whole                     # the datagram put together last

    cdef Reject add(self, int64_t time_ns, Packet* packet, Piece* piece, uint64_t* rejected) noexcept nogil
    cdef void expire(self, int64_t now_ns, uint64_t* rejected) noexcept nogil
    cdef void give_up_all(self, uint64_t* rejected) noexcept nogil
    cdef Reject take(self, int64_t time_ns, Packet* packet, Piece* piece, uint64_t* rejected,
                     uint32_t* captured, uint32_t* length) noexcept nogil
    cdef uint32_t hash(self, Packet* packet, Piece* piece) noexcept nogil
    cdef Datagram* find(self, Packet* packet, Piece* piece, uint32_t hash_) noexcept nogil
    cdef Datagram* begin(self, int64_t time_ns, Packet* packet, Piece* piece, uint32_t hash_,
                         uint64_t* rejected) noexcept nogil
    cdef Reject insert(self, Datagram* datagram, Piece* piece, uint64_t* rejected) noexcept nogil
    cdef Reject insert_part(self, Datagram* datagram, Part** link, Piece* piece, uint32_t start, uint32_t end,
                            uint64_t* rejected) noexcept nogil
    cdef bint keep_header(self, Datagram* datagram, Piece* piece, uint64_t* rejected) noexcept nogil
    cdef void* allocate(self, uint32_t size, Datagram* datagram, uint64_t* rejected) noexcept nogil
    cdef uint32_t put_together(self, Datagram* datagram) noexcept nogil
    cdef void give_up(self, Datagram* datagram, Reject reason, uint64_t* rejected) noexcept nogil
    cdef void empty(self, Datagram* datagram) noexcept nogil
    cdef void forget(self, Datagram* datagram) noexcept nogil
