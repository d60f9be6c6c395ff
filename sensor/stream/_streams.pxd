"""The streams' C interface, for the flow table."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from sensor.decode._frame cimport Packet

cdef struct Held:
    # Bytes that came before those in front of them; they follow this in memory.
    Held* next
    int64_t time_ns
    uint32_t start
    uint32_t length

cdef struct Half:
    # One direction.
    uint64_t offset             # of what comes next, in the stream
    uint64_t unwanted_until     # bytes before this offset are not handed out
    uint64_t skipped            # of those, since the last event that said so
    int64_t skipped_ns          # when the last of them came
    uint64_t wire_bytes         # of its packets, from their IP headers on; the flow table counts them
    Held* first                 # in ascending order, without overlaps
    uint32_t next_sequence
    uint32_t held_bytes
    uint32_t held_pieces
    uint8_t known               # whether next_sequence is: not yet, FLOATING, FIXED
    uint8_t full                # nothing more is wanted of it

cdef struct Assembly:
    Half half[2]                # the client's, the server's
    uint64_t flow_id
    Assembly* next_dead
    uint8_t apart               # each datagram is an event of its own

cdef struct Names:
    # What a flow is known by, as its first packet has it.
    uint64_t client[2]
    uint64_t server[2]
    uint64_t flow_id
    int64_t start_ns
    uint16_t client_port
    uint16_t server_port
    uint16_t vlan
    uint8_t protocol
    uint8_t ip_version

cdef struct Note:
    # An event that waits to be handed out.
    Assembly* assembly          # of Began
    # Of Began; else flow_id and start_ns, the event's time; of Ended also packets and their bytes, [0] and [1].
    Names names
    uint64_t offset
    uint64_t at                 # of the bytes in Streams.bytes
    uint64_t length             # of these, or of the gap
    uint8_t kind
    uint8_t direction
    uint8_t end_reason


@cython.final
cdef class Streams:
    # settings
    cdef readonly uint32_t held_bytes, held_pieces
    cdef readonly uint64_t total_bytes, most_bytes
    cdef readonly bint datagrams, apart, http
    # counters
    cdef readonly uint64_t followed, data_bytes, skipped_bytes, gap_bytes, cut_bytes, far, lost
    cdef readonly uint64_t held
    # what waits to be handed out
    cdef uint8_t* bytes
    cdef uint64_t bytes_used, bytes_capacity
    cdef Note* notes
    cdef uint64_t note_count, note_capacity
    cdef list stash
    cdef dict open                  # addresses of assemblies by flow id, of those that may be skipped in
    cdef Assembly* dead             # whose end is still to be handed out
    cdef bint abandoned             # the table is gone, and the assemblies with it

    cdef bint is_full(self) noexcept nogil
    cdef bint wants(self, Packet* packet, uint8_t side, bint first) noexcept nogil
    cdef Assembly* begin(self, Names* names) noexcept nogil
    cdef void segment(self, Assembly* assembly, uint8_t side, uint32_t first, bint from_syn,
                      Packet* packet) noexcept nogil
    cdef bint floats(self, Assembly* assembly, uint8_t side, uint32_t start, const uint8_t* data, uint32_t length,
                     Packet* packet) noexcept nogil
    cdef void fix(self, Assembly* assembly, uint8_t side) noexcept nogil
    cdef void datagram(self, Assembly* assembly, uint8_t side, Packet* packet) noexcept nogil
    cdef void end(self, Assembly* assembly, int64_t time_ns, uint8_t end_reason, uint64_t packets_out,
                  uint64_t packets_in) noexcept nogil
    cdef void discard(self, Assembly* assembly) noexcept nogil
    cdef void bury(self) noexcept nogil
    cdef relieve(self)
    cdef Note* note(self, uint64_t flow_id, uint8_t kind, int64_t time_ns) noexcept nogil
    cdef uint8_t* room(self, uint64_t length) noexcept nogil
    cdef void put(self, Assembly* assembly, uint8_t side, const uint8_t* data, uint64_t length,
                  int64_t time_ns) noexcept nogil
    cdef Note* data_note(self, Assembly* assembly, uint8_t side, int64_t time_ns) noexcept nogil
    cdef uint64_t pass_by(self, Assembly* assembly, uint8_t side, uint64_t length, int64_t time_ns) noexcept nogil
    cdef void tell_skipped(self, Assembly* assembly, uint8_t side) noexcept nogil
    cdef void skip(self, Assembly* assembly, uint8_t side, uint64_t length, int64_t time_ns) noexcept nogil
    cdef void hold(self, Half* half, uint32_t start, const uint8_t* data, uint32_t length,
                   int64_t time_ns) noexcept nogil
    cdef Held* keep(self, Half* half, uint32_t start, const uint8_t* data, uint32_t length,
                    int64_t time_ns) noexcept nogil
    cdef void release(self, Assembly* assembly, uint8_t side) noexcept nogil
    cdef void give_up(self, Assembly* assembly, uint8_t side) noexcept nogil
    cdef void drop_held(self, Half* half) noexcept nogil
