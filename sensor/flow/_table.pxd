"""The flow table's C interface, for the compiled capture walkers."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from sensor.decode._frame cimport REJECT_COUNT, Packet, Reject

cdef enum:
    HOLES = 4       # sequence gaps remembered per direction; the oldest is given up for a fifth
    QUEUES = 5      # one list of flows per idle timeout
    PENDING = 32    # packets whose memory is fetched ahead

cdef enum:
    # The idle lists, in the order in which a sweep looks at them.
    CLOSING = 0
    UNESTABLISHED
    ICMP
    UDP
    ESTABLISHED_TCP
    NOWHERE = 0xFF          # a free slot

cdef enum:
    # IPFIX flowEndReason
    STILL_OPEN = 0
    IDLE = 1
    END_OF_FLOW = 3
    FORCED = 4
    LACK_OF_RESOURCES = 5

cdef struct Hole:
    uint32_t start
    uint32_t end

cdef struct Side:
    # One direction of a flow. The first four count this part, the next three the whole flow.
    uint64_t packets
    uint64_t wire_bytes
    uint64_t payload_bytes
    uint64_t retransmitted_bytes
    uint64_t total_packets
    uint64_t total_payload_bytes
    uint64_t missed_bytes
    Hole holes[HOLES]           # stream bytes not seen yet, in ascending order
    uint32_t initial_sequence
    uint32_t next_sequence      # one past the highest stream byte seen
    uint8_t hole_count
    uint8_t sequence_known
    uint8_t tcp_flags
    uint8_t state

cdef struct Key:
    uint64_t low[2]             # the endpoint that compares lower, then the other
    uint64_t high[2]
    uint16_t low_port
    uint16_t high_port
    uint16_t vlan
    uint8_t protocol
    uint8_t ip_version

cdef struct Flow:
    Key key
    uint32_t hash
    uint32_t next_in_bucket
    uint32_t idle_previous
    uint32_t idle_next
    uint32_t active_previous
    uint32_t active_next
    int64_t flow_start_ns
    int64_t part_start_ns
    int64_t last_ns
    int64_t syn_ns
    int64_t handshake_rtt_ns
    uint64_t last_tick          # the table's own clock, which never goes back
    uint64_t queued_tick
    uint64_t closed_tick
    uint64_t active_tick        # when the first packet of this part came
    uint64_t clock_offset       # tick minus time, as of the last packet
    uint64_t flow_id
    Side side[2]                # [0] is what the lower endpoint sent
    uint32_t part
    uint16_t vlan
    uint8_t client              # index of the client's side
    uint8_t oriented_by
    uint8_t queue
    uint8_t in_active_list
    uint8_t alarmed             # bit per threshold that was reported
    uint8_t end_reason          # only in handed-out copies

cdef struct Event:
    # A snapshot for alarms and traces.
    Flow flow
    int64_t time_ns
    int64_t value
    int64_t limit
    uint8_t kind
    uint8_t direction

cdef struct Pending:
    # An accepted packet on its way to its flow.
    Packet packet
    Key key
    uint32_t hash
    uint8_t direction

cdef struct Network:
    uint64_t address[2]
    uint64_t mask[2]
    uint8_t ip_version

cdef class FlowTable:
    # counters
    cdef readonly uint64_t packets, accepted, filtered, wire_bytes, flows_started, flows_evicted, records
    cdef readonly uint64_t alarms, events_dropped, records_dropped, clock_steps
    cdef uint64_t rejected[REJECT_COUNT]
    # settings
    cdef int64_t idle_timeout[QUEUES]
    cdef int64_t active_timeout
    cdef uint32_t max_flows
    cdef int64_t alarm_bytes, alarm_duration, alarm_packets
    cdef bint watching, tracing, vlan_in_key
    cdef Network* networks
    cdef uint32_t network_count
    cdef uint64_t seed[4]
    # the table
    cdef Flow** chunks
    cdef uint32_t chunk_count, free_list
    cdef readonly uint32_t flows_open
    cdef uint32_t* buckets
    cdef uint32_t bucket_mask
    cdef uint32_t idle_head[QUEUES]
    cdef uint32_t idle_tail[QUEUES]
    cdef uint32_t active_head, active_tail
    cdef uint64_t next_flow_id
    # the clock
    cdef bint clock_set
    cdef int64_t high_water_ns
    cdef uint64_t tick_offset, tick, next_sweep
    # packets decoded, their flows being fetched into the cache
    cdef Pending pending[PENDING]
    cdef uint32_t pending_count
    # what is to be handed out
    cdef Flow* out
    cdef uint32_t out_count
    cdef Event* events
    cdef uint32_t event_count
    cdef list stash, event_stash

    cdef bint wants_drain(self) noexcept nogil
    cdef relieve(self)
    cdef void count_frame(self, int link_type, int64_t time_ns, const uint8_t* frame, uint32_t captured,
                          uint32_t length) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef Reject update(self, Pending* pending) noexcept nogil
    cdef Flow* at(self, uint32_t index) noexcept nogil
    cdef uint64_t clock(self, int64_t time_ns) noexcept nogil
    cdef uint32_t find(self, Key* key, uint32_t hash_) noexcept nogil
    cdef uint32_t open_flow(self, Key* key, uint32_t hash_, Packet* packet, uint8_t direction,
                            uint64_t tick) noexcept nogil
    cdef uint32_t take_slot(self) noexcept nogil
    cdef bint grow_chunks(self) noexcept nogil
    cdef void grow_buckets(self) noexcept nogil
    cdef uint8_t over(self, Flow* flow, Packet* packet, uint8_t direction, uint64_t tick) noexcept nogil
    cdef void orient(self, Flow* flow, Packet* packet, uint8_t direction) noexcept nogil
    cdef bint is_home(self, uint64_t* address, uint8_t ip_version) noexcept nogil
    cdef void add(self, uint32_t index, Packet* packet, uint8_t direction, uint64_t tick) noexcept nogil
    cdef void follow_clock(self, uint32_t index, int64_t time_ns) noexcept nogil
    cdef void requeue(self, uint32_t index, uint8_t queue, uint64_t tick) noexcept nogil
    cdef void unlink_idle(self, uint32_t index) noexcept nogil
    cdef void link_active(self, uint32_t index) noexcept nogil
    cdef void unlink_active(self, uint32_t index) noexcept nogil
    cdef void hand_out(self, uint32_t index, uint8_t end_reason) noexcept nogil
    cdef void end_flow(self, uint32_t index, uint8_t end_reason) noexcept nogil
    cdef void evict(self) noexcept nogil
    cdef void sweep(self) noexcept nogil
    cdef void watch(self, Flow* flow, Packet* packet) noexcept nogil
    cdef void add_event(self, Flow* flow, uint8_t kind, int64_t time_ns, int64_t value, int64_t limit,
                        uint8_t direction) noexcept nogil
