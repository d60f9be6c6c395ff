"""The flow table's C interface, for the compiled capture walkers."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from sensor.decode._fragments cimport Reassembler
from sensor.decode._frame cimport REJECT_COUNT, Packet, Reject
from sensor.inspect._content cimport Content, Inspector
from sensor.stream._streams cimport Assembly, Names, Streams

cdef enum:
    HOLES = 4       # sequence gaps remembered per direction; the oldest is given up for a fifth
    QUEUES = 5      # one list of flows per idle timeout
    PENDING = 64    # packets that can be in line while the memory of their flows is fetched; a power of two
    LINE_HIGH = 48  # who takes in many at once, counts them at this
    AHEAD = 4       # packets between two steps of that
    BINS = 8        # of a histogram
    SPLT = 32       # first data packets whose size and gap are kept
    HISTORY = 20    # letters of Zeek's history; "x" stands for those beyond

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

cdef enum Mark:
    # Flow.marks
    IN_ACTIVE_LIST = 1
    HANDSHAKE_ASKED = 2     # the client's SYN was seen
    HANDSHAKE_TIMED = 4     # and the time to the ACK that completes it is known
    BOTH_CLOSED = 8
    LOOKED_AT = 16          # of direction 0, shifted by one of direction 1: what it speaks is known, or nobody asks

cdef struct Hole:
    uint32_t start
    uint32_t end

cdef struct Holes:
    # Stream bytes of one direction that were not seen: yet, in ascending order, and for good.
    Hole at[HOLES]
    uint64_t missed_bytes

cdef struct Stream:
    # What every segment touches of its own direction and of the other one.
    uint32_t initial_sequence
    uint32_t next_sequence      # one past the highest stream byte seen or acknowledged
    uint32_t highest_sequence   # one past the highest octet seen, SYN and FIN among them
    uint16_t gaps               # as far as 16 bits go
    uint8_t hole_count
    uint8_t known               # FROM_SYN or FROM_THE_MIDDLE once a segment was seen
    uint8_t tcp_flags
    uint8_t state
    uint8_t was                 # ESTABLISHED or CLOSED before the state it is in
    uint8_t letters             # bit per history letter that stands once a side

cdef struct Side:
    # One direction's counters. The first four count this part, the next two the whole flow.
    uint64_t packets
    uint64_t wire_bytes
    uint64_t payload_bytes
    uint64_t retransmitted_bytes
    uint64_t total_packets
    uint64_t total_payload_bytes
    uint32_t fin_sequence       # of the last FIN
    uint32_t rst_sequence       # of the last RST
    uint32_t gap_sequence       # holes up to here are in the history
    uint32_t repeats            # segments with payload that brought nothing new

cdef struct Key:
    uint64_t low[2]             # the endpoint that compares lower, then the other
    uint64_t high[2]
    uint16_t low_port
    uint16_t high_port
    uint16_t vlan
    uint8_t protocol
    uint8_t ip_version

cdef struct FirstPacket:
    uint16_t payload_bytes      # 65535 is that or more
    uint16_t gap                # since the data packet before it, as gap_code() writes it

cdef struct Shape:
    # What a flow's payload looks like: only flows that carry some have it. Counts this part but where it says
    # flow. The first two cache lines are for every data packet.
    uint16_t sizes[2][BINS]     # of data packets, by direction
    uint16_t gaps[2][BINS]      # between data packets of one direction
    int64_t data_ns[2]          # flow: last data packet of each direction
    int64_t pending_gap_ns      # flow: before the client burst that is not answered yet
    uint32_t key_us             # flow: the client's last short packet, in the time of the clock modulo 2**32
    uint32_t key_end            # flow: the acknowledgement that would echo it
    uint32_t key_packet         # flow: how many packets the flow had then
    uint32_t echoed_key_us      # flow: the keystroke echoed last, and when
    uint32_t echo_us
    uint32_t echoes
    uint8_t splt_count          # flow
    uint8_t splt_handed         # flow: entries that a record has told
    uint8_t last_direction      # flow: of the last data packet; 2 before the first
    uint8_t seen                # flow: bits, see _shape.pxd
    uint16_t first_bytes        # flow: of the client's first payload, as far as it was looked at
    uint16_t first_ones         # in these: bits, printable bytes, and how many of those in a row
    uint32_t exchanges          # of a free shape: the next one
    uint32_t exchange_gaps
    double gap_mean_s
    double gap_m2_s2
    int64_t gap_min_ns
    int64_t gap_max_ns
    uint32_t keystrokes
    uint32_t keystroke_pairs
    uint32_t typed_pairs
    uint32_t splt_inbound       # flow: bit per entry that the server sent
    uint32_t* carried           # of sizes and gaps: how often each has passed 2**16 [4][BINS]
    uint16_t first_printable
    uint16_t first_run
    float first_entropy
    FirstPacket splt[SPLT]      # flow: as many as splt_count says, the rest is not set

cdef struct Flow:
    # Three cache lines are for every packet: the first two, and its side. [0] is what the lower endpoint sent.
    Key key
    uint32_t hash
    uint32_t next_in_bucket
    uint32_t shape              # index, NIL without one
    uint32_t queued             # when it was put into its idle list, in units of 2**28 ns of the tick
    uint64_t active_tick        # when the first packet of this part came

    int64_t last_ns
    int64_t max_idle_ns         # of this part
    uint32_t clock_steps        # of the table's clock, as of the last packet
    uint8_t client              # index of the client's side
    uint8_t queue
    uint8_t marks               # see Mark
    uint8_t history_count
    Stream stream[2]

    Side side[2]

    Holes holes[2]
    uint32_t zero_windows[2]
    int64_t flow_start_ns
    int64_t part_start_ns
    int64_t closed_ns           # when the second side closed
    int64_t handshake_ns        # time of the SYN, or round-trip time
    uint64_t flow_id
    uint64_t clock_offset       # tick minus time, as of the last packet
    uint64_t closed_tick        # when it was put into the list of closed flows
    uint32_t idle_previous
    uint32_t idle_next
    uint32_t active_previous
    uint32_t active_next
    uint32_t part
    uint16_t vlan
    uint8_t oriented_by
    uint8_t alarmed             # bit per threshold that was reported
    char history[HISTORY]

cdef struct Event:
    # A snapshot for alarms and traces.
    Flow flow
    int64_t time_ns
    int64_t value
    int64_t limit
    uint8_t kind
    uint8_t direction

cdef struct Block:
    # Encoded records that will be one frame's.
    uint32_t begin              # in FlowTable.out
    uint32_t end
    uint32_t count
    int64_t first_ns
    int64_t last_ns

cdef struct Pending:
    # An accepted packet on its way to its flow.
    Packet packet
    Key key
    uint32_t hash
    uint32_t index              # of the flow that the bucket begins with
    uint8_t direction

cdef struct Network:
    uint64_t address[2]
    uint64_t mask[2]
    uint8_t ip_version


@cython.final
cdef class FlowTable:
    # counters
    cdef readonly uint64_t packets, accepted, filtered, wire_bytes, flows_started, flows_evicted, records
    cdef readonly uint64_t alarms, events_dropped, records_dropped
    cdef readonly uint32_t clock_steps
    cdef uint64_t rejected[REJECT_COUNT]
    cdef readonly Reassembler reassembler
    # settings
    cdef int64_t idle_timeout[QUEUES]
    cdef int32_t requeue_after[QUEUES]
    cdef int64_t active_timeout, attempt_timeout
    cdef readonly uint32_t max_flows
    cdef int64_t alarm_bytes, alarm_duration, alarm_packets
    cdef bint watching, tracing, vlan_in_key, following, inspecting
    cdef readonly Streams streams
    cdef readonly Inspector inspector
    cdef Network* networks
    cdef uint32_t network_count
    cdef uint64_t seed[4]
    # the table
    cdef Flow** chunks
    cdef uint32_t flows_made, free_list
    cdef Shape** shape_chunks
    cdef Assembly*** assembly_chunks    # by the flows' indices; NULL while nothing of a flow's payload is followed
    cdef Content*** content_chunks      # the same; NULL before a flow's first payload
    cdef uint32_t shapes_made, free_shape
    cdef readonly uint32_t shapes_used
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
    # packets in line, as counters of all that ever were: last one in, flow asked for, shape asked for, counted
    cdef Pending pending[PENDING]
    cdef uint32_t taken_in, flow_fetched, shape_fetched, counted
    # what is to be handed out: records encoded as msgpack, in blocks; the last block is still growing
    cdef uint8_t* out
    cdef uint32_t out_used
    cdef Block* blocks
    cdef uint32_t block_count, block_records
    cdef Event* events
    cdef uint32_t event_count
    cdef list stash, event_stash

    cdef take_home(self, home)
    cdef bint wants_drain(self) noexcept nogil
    cdef relieve(self)
    cdef void count_frame(self, int link_type, int64_t time_ns, const uint8_t* frame, uint32_t captured,
                          uint32_t length) noexcept nogil
    cdef bint take_in(self, int link_type, int64_t time_ns, const uint8_t* frame, uint32_t captured,
                      uint32_t length) noexcept nogil
    cdef void step(self) noexcept nogil
    cdef void catch_up(self) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef void fetch_flow(self) noexcept nogil
    cdef void fetch_shape(self) noexcept nogil
    cdef void fetch_due(self, uint32_t index) noexcept nogil
    cdef void count_next(self) noexcept nogil
    cdef Reject update(self, Pending* pending) noexcept nogil
    cdef Flow* at(self, uint32_t index) noexcept nogil
    cdef Shape* shape_at(self, uint32_t index) noexcept nogil
    cdef uint32_t take_shape(self) noexcept nogil
    cdef void drop_shape(self, Flow* flow) noexcept nogil
    cdef uint64_t clock(self, int64_t time_ns) noexcept nogil
    cdef uint64_t last_tick(self, Flow* flow) noexcept nogil
    cdef uint32_t find(self, Key* key, uint32_t hash_) noexcept nogil
    cdef uint32_t open_flow(self, Key* key, uint32_t hash_, Packet* packet, uint8_t direction,
                            uint64_t tick) noexcept nogil
    cdef uint32_t take_slot(self) noexcept nogil
    cdef void grow_buckets(self) noexcept nogil
    cdef uint8_t over(self, Flow* flow, Packet* packet, uint8_t direction, uint64_t tick) noexcept nogil
    cdef void orient(self, Flow* flow, Packet* packet, uint8_t direction) noexcept nogil
    cdef bint is_home(self, uint64_t* address, uint8_t ip_version) noexcept nogil
    cdef void add(self, uint32_t index, Packet* packet, uint8_t direction, uint64_t tick) noexcept nogil
    cdef Assembly** assembly_of(self, uint32_t index) noexcept nogil
    cdef void follow(self, uint32_t index, Packet* packet, uint8_t direction) noexcept nogil
    cdef Content** content_of(self, uint32_t index) noexcept nogil
    cdef void inspect(self, uint32_t index, Packet* packet, uint8_t direction) noexcept nogil
    cdef void name(self, Flow* flow, Names* names) noexcept nogil
    cdef uint64_t add_segment(self, Flow* flow, Packet* packet, uint8_t direction) noexcept nogil
    cdef bint unanswered(self, Flow* flow, uint64_t tick) noexcept nogil
    cdef void close_record(self, Flow* flow) noexcept nogil
    cdef bint is_full(self, Block* block) noexcept nogil
    cdef list take_blocks(self, bint all_)
    cdef void follow_clock(self, uint32_t index, int64_t time_ns) noexcept nogil
    cdef void requeue(self, uint32_t index, uint8_t queue, uint64_t tick) noexcept nogil
    cdef void unlink_idle(self, uint32_t index) noexcept nogil
    cdef void link_active(self, uint32_t index) noexcept nogil
    cdef void unlink_active(self, uint32_t index) noexcept nogil
    cdef void hand_out(self, uint32_t index, uint8_t end_reason) noexcept nogil
    cdef void end_flow(self, uint32_t index, uint8_t end_reason) noexcept nogil
    cdef void evict(self) noexcept nogil
    cdef uint32_t oldest_head(self, bint by_last_packet) noexcept nogil
    cdef uint32_t last_units(self, Flow* flow) noexcept nogil
    cdef void sweep(self) noexcept nogil
    cdef void watch(self, Flow* flow, Packet* packet) noexcept nogil
    cdef void add_event(self, Flow* flow, uint8_t kind, int64_t time_ns, int64_t value, int64_t limit,
                        uint8_t direction) noexcept nogil
