# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The bounded flow table: packets in, flow records out when flows end or their active timeout passes.

Time comes with the packets (or with ``advance`` on a silent wire).  Inside, time is the table's own
tick: packet time that never goes back.  A step back of more than a minute (a clock set right, one
capture after another) shifts the tick instead, so that timeouts go on counting; lesser disorder is
taken as it comes.

Flows sit in one list per idle timeout, oldest first, exact to a 64th of the timeout, and in one
list by the start of their open part.  So ending idle flows, cutting parts and finding the flow to
give up when the table is full each look at a list's head only.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

from sensor.decode._fragments cimport Reassembler
from sensor.decode._frame cimport (
    ACCEPTED, BAD_TIME, FRAGMENT, NO_MEMORY, PROTO_TCP, PROTO_UDP, REJECT_COUNT, TCP_ACK, TCP_RST, TCP_SYN,
    Packet, Piece, Reject, decode_frame,
)
from sensor.flow._history cimport LETTER_DATA, add_letter, had_letter, note_segment, scaled_letter
from sensor.flow._key cimport hash_key, make_key, same_key
from sensor.flow._record cimport LONGEST_RECORD, event_tuple, put_record
from sensor.flow._shape cimport begin_part, begin_shape, note_data, tw_fill_count_bits
from sensor.flow._table cimport (
    AHEAD, BOTH_CLOSED, CLOSING, END_OF_FLOW, FORCED, ICMP, IDLE, IN_ACTIVE_LIST, LACK_OF_RESOURCES, LINE_HIGH,
    LOOKED_AT, NOWHERE, PENDING, QUEUES, STILL_OPEN, UDP, UNESTABLISHED, Block, Event, Flow, Key, Network, Pending,
    Shape, Side, Stream,
)
from sensor.flow._tcp cimport (
    CLOSED, FROM_SYN, INACTIVE, RESET, SYN_ACK_SENT, SYN_SENT, is_over, tcp_queue, track_acknowledgement,
    track_handshake, track_repeats, track_state, track_stream,
)
from sensor.inspect._content cimport Content, Inspector
from sensor.stream._streams cimport Assembly, Names, Streams

from common.flowlog import Block as RecordBlock
from common.flowlog import rows_of
from sensor.decode._frame import REJECT_REASONS

tw_fill_count_bits()
assert sizeof(Flow) % 64 == 0 and sizeof(Shape) % 64 == 0     # whole cache lines; pieces are whole pages of 2 MiB
assert PENDING > LINE_HIGH > 3 * (AHEAD + 1)     # the three steps of the line fit into its ring

cdef extern from *:
    """
    #include <stdlib.h>
    #include <sys/mman.h>
    #define tw_prefetch(address) __builtin_prefetch(address)
    /* Memory that the kernel may back with 2 MiB pages: flows lie in no order, and small pages cost a
       second miss each. It is taken from the system as it is touched. */
    static void* tw_pages(size_t size) {
        void* memory = aligned_alloc((size_t)2 << 20, size);
        if (memory) madvise(memory, size, MADV_HUGEPAGE);
        return memory;
    }
    """
    void tw_prefetch(const void* address) noexcept nogil
    void* tw_pages(size_t size) noexcept nogil


cdef enum:
    # oriented_by, as in common.records.ORIENTATIONS
    BY_SYN = 1
    BY_SYN_ACK
    BY_HOME_NETWORK
    BY_KNOWN_PORT
    BY_FIRST_PACKET

cdef enum:
    # Event kinds; the first three are thresholds, and their bit in Flow.alarmed is 1 << kind.
    EVENT_BYTES = 0
    EVENT_DURATION
    EVENT_PACKETS
    EVENT_NEW_FLOW
    EVENT_PACKET

cdef enum:
    CHUNK_FLOWS = 1 << 15   # flows, or shapes, in one piece of memory: 14 MiB, or 10
    FIRST_BUCKETS = 1 << 14
    SWEEP_LIMIT = 256
    OUT_CAPACITY = 1 << 22
    OUT_HIGH = 1 << 18      # a walker stops here; packets in line and a sweep add less than what is left
    BLOCK_BYTES = 1 << 17       # a block is full with this much, whatever its records
    BLOCK_CAPACITY = 4096
    BLOCK_HIGH = 2048
    EVENT_CAPACITY = 1024
    EVENT_HIGH = 512
    MAX_NETWORKS = 1024
    QUEUED_BITS = 28        # Flow.queued counts 0.27 s
    REQUEUE_SHARE = 64      # of an idle timeout: how exact the lists' order is
    EVICT_TRIES = 16

cdef uint32_t NIL = 0xFFFFFFFF
cdef int64_t SECOND = 1000000000
cdef int64_t SWEEP_NS = 100000000
cdef int64_t STEP_BACK_NS = 60 * SECOND
cdef int64_t LINGER_NS = 5 * SECOND
cdef int64_t MAX_TIME_NS = (<int64_t> 1) << 62

# Of one flow with payload, and its share of the buckets: there are two to four for each flow.
cdef uint64_t FLOW_BYTES = sizeof(Flow) + sizeof(Shape) + 4 * sizeof(uint32_t)

EVENT_KINDS = ("bytes", "duration", "packets", "new_flow", "packet")

# Ports of 1024 and above on which services commonly listen; below 1024 all are (RFC 6335).
SERVICE_PORTS = (
    1080, 1194, 1433, 1521, 1723, 1883, 1935, 2049, 2222, 3000, 3128, 3268, 3306, 3389, 4443, 5060, 5061,
    5222, 5223, 5269, 5432, 5672, 5900, 5901, 5985, 6379, 6443, 6667, 6697, 8000, 8008, 8080, 8081, 8088,
    8443, 8883, 8888, 9000, 9001, 9090, 9200, 9418, 11211, 27017,
)
cdef uint8_t[65536] known_port
memset(known_port, 0, 65536)
memset(known_port, 1, 1024)
for _port in SERVICE_PORTS:
    known_port[_port] = 1


@cython.final      # so that its methods call each other directly
cdef class FlowTable:
    """Counts packets into flows and hands their records out: blocks of msgpack rows in FlowRecord's order.

    All durations are ns; 0 switches ``active_timeout``, ``tcp_attempt_timeout`` and each ``alarm_`` limit off.
    ``max_flows`` and ``memory_bytes`` (0 = no limit) bound the table, whichever is less.  ``home`` lists
    (packed address, prefix length).  ``seed`` keys the hash, so that nobody outside can aim at one bucket.
    """

    def __cinit__(
        self,
        *,
        int64_t active_timeout_ns=60 * SECOND,
        int64_t tcp_attempt_timeout_ns=0,
        int64_t tcp_timeout_ns=7200 * SECOND,
        int64_t tcp_unestablished_timeout_ns=60 * SECOND,
        int64_t udp_timeout_ns=120 * SECOND,
        int64_t icmp_timeout_ns=60 * SECOND,
        uint32_t max_flows=1_000_000,
        uint64_t memory_bytes=0,
        int64_t alarm_bytes=0,
        int64_t alarm_duration_ns=0,
        int64_t alarm_packets=0,
        bint vlan_in_key=True,
        bint trace=False,
        home=(),
        uint64_t first_flow_id=1,
        uint32_t block_records=500,
        bytes seed=b"\0" * 32,
        Streams streams=None,
        Inspector inspector=None,
    ):
        if len(seed) != 32:
            raise ValueError("the hash seed has 32 bytes")
        if max_flows < 1 or max_flows > 0x7FFFFFFF:
            raise ValueError("max_flows is 1 to 2147483647")
        self.inspector = inspector
        self.inspecting = inspector is not None
        if memory_bytes and memory_bytes // self.flow_bytes < max_flows:
            max_flows = <uint32_t> (memory_bytes // self.flow_bytes) or 1
        if block_records < 1 or block_records > 4096:
            raise ValueError("block_records is 1 to 4096")
        memcpy(self.seed, <const char*> seed, 32)
        self.idle_timeout[:] = [
            LINGER_NS, tcp_unestablished_timeout_ns, icmp_timeout_ns, udp_timeout_ns, tcp_timeout_ns
        ]
        for i in range(QUEUES):
            self.requeue_after[i] = <int32_t> min(self.idle_timeout[i] // REQUEUE_SHARE >> QUEUED_BITS, 1 << 24)
        self.requeue_after[CLOSING] = 0x7FFFFFFF    # in the order in which they closed
        self.active_timeout = active_timeout_ns
        self.attempt_timeout = tcp_attempt_timeout_ns
        self.block_records = block_records
        self.max_flows = max_flows
        self.alarm_bytes = alarm_bytes
        self.alarm_duration = alarm_duration_ns
        self.alarm_packets = alarm_packets
        self.watching = alarm_bytes > 0 or alarm_duration_ns > 0 or alarm_packets > 0
        self.tracing = trace
        self.streams = streams
        self.following = streams is not None
        self.vlan_in_key = vlan_in_key
        self.reassembler = Reassembler(vlan_in_key=vlan_in_key, seed=seed)
        self.next_flow_id = first_flow_id
        self.free_list = self.free_shape = NIL
        self.active_head = self.active_tail = NIL
        memset(self.idle_head, 0xFF, sizeof(self.idle_head))
        memset(self.idle_tail, 0xFF, sizeof(self.idle_tail))
        self.stash = []
        self.event_stash = []
        self.bucket_mask = FIRST_BUCKETS - 1
        self.buckets = <uint32_t*> malloc(FIRST_BUCKETS * sizeof(uint32_t))
        self.chunks = <Flow**> calloc(max_flows // CHUNK_FLOWS + 1, sizeof(Flow*))
        self.shape_chunks = <Shape**> calloc(max_flows // CHUNK_FLOWS + 1, sizeof(Shape*))
        self.assembly_chunks = <Assembly***> calloc(max_flows // CHUNK_FLOWS + 1, sizeof(Assembly**))
        self.content_chunks = <Content***> calloc(max_flows // CHUNK_FLOWS + 1, sizeof(Content**))
        self.out = <uint8_t*> malloc(OUT_CAPACITY)
        self.blocks = <Block*> malloc(BLOCK_CAPACITY * sizeof(Block))
        self.events = <Event*> malloc(EVENT_CAPACITY * sizeof(Event))
        if (
            self.buckets == NULL or self.chunks == NULL or self.shape_chunks == NULL or self.assembly_chunks == NULL
            or self.content_chunks == NULL or self.out == NULL or self.blocks == NULL or self.events == NULL
        ):
            raise MemoryError()
        memset(self.buckets, 0xFF, FIRST_BUCKETS * sizeof(uint32_t))
        self.take_home(home)

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.shapes_made):
            free(self.shape_at(i).carried)
        if self.following and self.streams is not None:
            for i in range(self.flows_made):
                if self.assembly_of(i)[0] != NULL:
                    self.streams.discard(self.assembly_of(i)[0])
        if self.inspecting and self.inspector is not None:
            for i in range(self.flows_made):
                if self.content_of(i)[0] != NULL:
                    self.inspector.discard(self.content_of(i)[0])
        for i in range(0, self.flows_made, CHUNK_FLOWS):
            free(self.chunks[i // CHUNK_FLOWS])
            free(self.assembly_chunks[i // CHUNK_FLOWS])
            free(self.content_chunks[i // CHUNK_FLOWS])
        for i in range(0, self.shapes_made, CHUNK_FLOWS):
            free(self.shape_chunks[i // CHUNK_FLOWS])
        free(self.chunks)
        free(self.shape_chunks)
        free(self.assembly_chunks)
        free(self.content_chunks)
        free(self.buckets)
        free(self.out)
        free(self.blocks)
        free(self.events)
        free(self.networks)

    cdef take_home(self, home):
        """Take the home networks, once: (packed address, prefix length) each."""
        cdef uint32_t i
        cdef bytearray address, mask
        cdef bytes packed
        if len(home) > MAX_NETWORKS:
            raise ValueError(f"at most {MAX_NETWORKS} home networks")
        if not home:
            return
        self.networks = <Network*> calloc(len(home), sizeof(Network))
        if self.networks == NULL:
            raise MemoryError()
        for i, (packed, prefix) in enumerate(home):
            bits = (1 << prefix) - 1 << (len(packed) * 8 - prefix)
            mask = bytearray(bits.to_bytes(len(packed)).ljust(16, b"\0"))
            address = bytearray((int.from_bytes(packed) & bits).to_bytes(len(packed)).ljust(16, b"\0"))
            memcpy(self.networks[i].address, <const char*> address, 16)
            memcpy(self.networks[i].mask, <const char*> mask, 16)
            self.networks[i].ip_version = 4 if len(packed) == 4 else 6
        self.network_count = <uint32_t> len(home)

    # -- packets in ------------------------------------------------------------------------------

    def feed_frame(self, int link_type, int64_t time_ns, const uint8_t[::1] frame not None, length=None):
        """Count one frame that Python holds (live capture, tests); ``length`` is that on the wire."""
        cdef const uint8_t* at = &frame[0] if frame.shape[0] else NULL
        cdef uint32_t captured = <uint32_t> frame.shape[0]
        self.count_frame(link_type, time_ns, at, captured, captured if length is None else length)
        self.settle()
        if self.wants_drain():
            self.relieve()

    cdef bint wants_drain(self) noexcept nogil:
        return (
            self.out_used >= OUT_HIGH or self.block_count >= BLOCK_HIGH or self.event_count >= EVENT_HIGH
            or (self.following and self.streams.is_full())
        )

    cdef void count_frame(
        self, int link_type, int64_t time_ns, const uint8_t* frame, uint32_t captured, uint32_t length
    ) noexcept nogil:
        """Decode a frame, put it in line for its flow and count one that was there; ``settle`` counts the rest."""
        if self.take_in(link_type, time_ns, frame, captured, length):
            self.step()

    cdef bint take_in(
        self, int link_type, int64_t time_ns, const uint8_t* frame, uint32_t captured, uint32_t length
    ) noexcept nogil:
        """Decode a frame; return whether it is in line now, with a pointer into the frame for its content.

        The caller has to see that there are never more than PENDING.
        """
        cdef Pending* pending = &self.pending[self.taken_in % PENDING]
        cdef Piece piece
        cdef bint put_together = False
        cdef Reject reason
        self.packets += 1
        if time_ns < 0 or time_ns >= MAX_TIME_NS:
            self.rejected[<int> BAD_TIME] += 1
            return False
        reason = decode_frame(link_type, frame, captured, length, &pending.packet, &piece)
        if reason != ACCEPTED:
            if reason == FRAGMENT:
                self.settle()       # what came before it is counted before it
                reason = self.reassembler.add(time_ns, &pending.packet, &piece, self.rejected)
                put_together = reason == ACCEPTED
            if reason != ACCEPTED:
                if reason != FRAGMENT:      # else it waits, and the reassembler counts it
                    self.rejected[<int> reason] += 1
                return False
        pending.packet.time_ns = time_ns
        pending.direction = make_key(&pending.packet, self.vlan_in_key, &pending.key)
        pending.hash = hash_key(&pending.key, self.seed)
        tw_prefetch(&self.buckets[pending.hash & self.bucket_mask])
        self.taken_in += 1
        if put_together:
            self.settle()       # a datagram put together is in memory that the next one takes
        return not put_together

    cdef void step(self) noexcept nogil:
        """Move the line on by a packet: ask for memory of two in it, and count the first.

        Each step asks for the memory that the next one needs, and leaves it the time of a few packets to come.
        """
        if self.taken_in - self.flow_fetched > AHEAD:
            self.fetch_flow()
        if self.flow_fetched - self.shape_fetched > AHEAD:
            self.fetch_shape()
        if self.shape_fetched - self.counted > AHEAD:
            self.count_next()

    cdef void catch_up(self) noexcept nogil:
        """Count what is in line, but for the few packets whose memory was asked for just now."""
        while self.taken_in - self.counted > 3 * AHEAD:
            self.step()

    cdef void settle(self) noexcept nogil:
        """Count all packets in line."""
        while self.flow_fetched != self.taken_in:
            self.fetch_flow()
        while self.shape_fetched != self.taken_in:
            self.fetch_shape()
        while self.counted != self.taken_in:
            self.count_next()

    cdef void fetch_flow(self) noexcept nogil:
        """Ask for the flow that a packet in line most likely belongs to."""
        cdef Pending* pending = &self.pending[self.flow_fetched % PENDING]
        cdef Flow* flow
        pending.index = self.buckets[pending.hash & self.bucket_mask]
        self.flow_fetched += 1
        if pending.index == NIL:
            return
        flow = self.at(pending.index)
        tw_prefetch(flow)
        tw_prefetch(<char*> flow + 64)
        tw_prefetch(&flow.side[pending.direction])

    cdef void fetch_shape(self) noexcept nogil:
        """Ask for the shape of that flow. Should the flow have ended meanwhile, its slot still holds a valid index."""
        cdef Pending* pending = &self.pending[self.shape_fetched % PENDING]
        cdef Flow* flow
        cdef uint32_t shape
        self.shape_fetched += 1
        if pending.index == NIL:
            return
        flow = self.at(pending.index)
        if flow.hash != pending.hash and flow.next_in_bucket != NIL:
            # Another flow's bucket too, and the packet is of the next in it.
            flow = self.at(flow.next_in_bucket)
            tw_prefetch(flow)
            tw_prefetch(<char*> flow + 64)
            tw_prefetch(&flow.side[pending.direction])
            return
        if not pending.packet.payload_bytes:
            return
        shape = flow.shape
        if shape != NIL:
            tw_prefetch(self.shape_at(shape))
            tw_prefetch(<char*> self.shape_at(shape) + 64)
            tw_prefetch(<char*> self.shape_at(shape) + 128)

    cdef void fetch_due(self, uint32_t index) noexcept nogil:
        """Ask for the flows after the one that is about to end: the next one's shape, and all of the one after it."""
        cdef uint32_t line
        cdef Flow* flow
        index = self.at(index).idle_next
        if index == NIL:
            return
        flow = self.at(index)
        if flow.shape != NIL:
            for line in range(0, sizeof(Shape), 64):
                tw_prefetch(<char*> self.shape_at(flow.shape) + line)
        if flow.idle_next == NIL:
            return
        flow = self.at(flow.idle_next)
        for line in range(0, sizeof(Flow), 64):
            tw_prefetch(<char*> flow + line)

    cdef void count_next(self) noexcept nogil:
        """Count the packet that is first in line."""
        cdef Pending* pending = &self.pending[self.counted % PENDING]
        cdef Reject reason = self.update(pending)
        self.counted += 1
        if reason == ACCEPTED:
            self.accepted += 1
            self.wire_bytes += pending.packet.wire_bytes
        else:
            self.rejected[<int> reason] += 1

    cdef Reject update(self, Pending* pending) noexcept nogil:
        """Count an accepted packet in its flow, opening, cutting or ending flows on the way."""
        cdef Packet* packet = &pending.packet
        cdef uint8_t direction = pending.direction
        cdef uint64_t tick = self.clock(packet.time_ns)
        cdef uint32_t index
        cdef Flow* flow
        cdef uint8_t end_reason
        if <int64_t> (self.tick - self.next_sweep) >= 0 and self.out_used < OUT_HIGH:
            self.sweep()
        index = self.find(&pending.key, pending.hash)
        if index != NIL:
            flow = self.at(index)
            end_reason = self.over(flow, packet, direction, tick)
            if end_reason != STILL_OPEN:
                self.end_flow(index, end_reason)
                index = NIL
        if index == NIL:
            index = self.open_flow(&pending.key, pending.hash, packet, direction, tick)
            if index == NIL:
                return NO_MEMORY
        self.add(index, packet, direction, tick)
        return ACCEPTED

    cdef Flow* at(self, uint32_t index) noexcept nogil:
        return &self.chunks[index // CHUNK_FLOWS][index % CHUNK_FLOWS]

    cdef Shape* shape_at(self, uint32_t index) noexcept nogil:
        return &self.shape_chunks[index // CHUNK_FLOWS][index % CHUNK_FLOWS]

    cdef uint64_t clock(self, int64_t time_ns) noexcept nogil:
        """Return the tick of a packet time, and move the table's clock on."""
        if not self.clock_set:
            self.clock_set = True
            self.high_water_ns = time_ns
        elif time_ns > self.high_water_ns:
            self.high_water_ns = time_ns
        elif time_ns < self.high_water_ns - STEP_BACK_NS:
            self.tick_offset += <uint64_t> (self.high_water_ns - time_ns)
            self.high_water_ns = time_ns
            self.clock_steps += 1
        self.tick = <uint64_t> self.high_water_ns + self.tick_offset
        return <uint64_t> time_ns + self.tick_offset

    cdef uint64_t last_tick(self, Flow* flow) noexcept nogil:
        return <uint64_t> flow.last_ns + (
            self.tick_offset if flow.clock_steps == self.clock_steps else flow.clock_offset
        )

    cdef uint32_t find(self, Key* key, uint32_t hash_) noexcept nogil:
        cdef uint32_t index = self.buckets[hash_ & self.bucket_mask]
        cdef Flow* flow
        while index != NIL:
            flow = self.at(index)
            if flow.hash == hash_ and same_key(&flow.key, key):
                return index
            index = flow.next_in_bucket
        return NIL

    cdef uint8_t over(self, Flow* flow, Packet* packet, uint8_t direction, uint64_t tick) noexcept nogil:
        """Return why the key's old flow has ended when a packet belongs to a new one, else STILL_OPEN."""
        cdef bint opens = packet.protocol == PROTO_TCP and packet.tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST) == TCP_SYN
        cdef Stream* sender = &flow.stream[direction]
        if flow.queue == CLOSING:
            return END_OF_FLOW if opens or <int64_t> (tick - flow.closed_tick) > LINGER_NS else STILL_OPEN
        if <int64_t> (tick - self.last_tick(flow)) > self.idle_timeout[flow.queue]:
            return IDLE
        # The same four numbers used again: a SYN with another initial sequence number.
        if opens and sender.known and (
            not sender.tcp_flags & TCP_SYN or sender.initial_sequence != packet.sequence
        ):
            return END_OF_FLOW
        if self.attempt_timeout and self.unanswered(flow, tick):
            return IDLE
        return STILL_OPEN

    cdef bint unanswered(self, Flow* flow, uint64_t tick) noexcept nogil:
        """Tell whether a TCP connection was asked for and not answered for as long as attempts are given."""
        cdef uint8_t state = flow.stream[flow.client].state
        return (
            (state == SYN_SENT or state == SYN_ACK_SENT) and flow.stream[1 - flow.client].state == INACTIVE
            and <int64_t> (tick - flow.clock_offset) - flow.flow_start_ns > self.attempt_timeout
        )

    cdef void add(self, uint32_t index, Packet* packet, uint8_t direction, uint64_t tick) noexcept nogil:
        """Add a packet to its flow: the counters, the state, and the lists the flow sits in."""
        cdef Flow* flow = self.at(index)
        cdef Side* sender = &flow.side[direction]
        cdef uint8_t queue
        cdef uint64_t fresh
        if flow.marks & IN_ACTIVE_LIST and self.active_timeout and (
            <int64_t> (tick - flow.active_tick) > self.active_timeout
        ):
            self.hand_out(index, STILL_OPEN)
        if flow.clock_steps != self.clock_steps:
            self.follow_clock(index, packet.time_ns)
        if packet.time_ns > flow.last_ns:
            if packet.time_ns - flow.last_ns > flow.max_idle_ns:
                flow.max_idle_ns = packet.time_ns - flow.last_ns
            flow.last_ns = packet.time_ns
        sender.packets += 1
        sender.total_packets += 1
        sender.wire_bytes += packet.wire_bytes
        queue = flow.queue
        if packet.protocol == PROTO_TCP:
            fresh = self.add_segment(flow, packet, direction)
            queue = tcp_queue(flow, packet.tcp_flags, direction)
        else:
            fresh = packet.payload_bytes
            sender.payload_bytes += fresh
            sender.total_payload_bytes += fresh
            if packet.protocol == PROTO_UDP:
                had_letter(flow, &flow.stream[direction], LETTER_DATA, c"D", direction == flow.client)
        if fresh:
            if flow.shape == NIL:
                flow.shape = self.take_shape()
            if flow.shape != NIL:
                note_data(flow, self.shape_at(flow.shape), packet, direction)
        if self.following:
            self.follow(index, packet, direction)
        if self.inspecting and packet.payload_bytes and not flow.marks & LOOKED_AT << direction:
            self.inspect(index, packet, direction)
        if queue != flow.queue:
            flow.closed_tick = tick
            self.requeue(index, queue, tick)
        elif <int32_t> (<uint32_t> (tick >> QUEUED_BITS) - flow.queued) > self.requeue_after[queue]:
            self.requeue(index, queue, tick)
        if not flow.marks & IN_ACTIVE_LIST:
            self.link_active(index)
        if self.watching:
            self.watch(flow, packet)
        if self.tracing:
            self.add_event(flow, EVENT_PACKET, packet.time_ns, packet.payload_bytes, 0, direction)

    cdef Assembly** assembly_of(self, uint32_t index) noexcept nogil:
        return &self.assembly_chunks[index // CHUNK_FLOWS][index % CHUNK_FLOWS]

    cdef void follow(self, uint32_t index, Packet* packet, uint8_t direction) noexcept nogil:
        """Let the streams have a packet's payload, from the flow's first on."""
        cdef Flow* flow = self.at(index)
        cdef Assembly** assembly = self.assembly_of(index)
        cdef Stream* stream = &flow.stream[direction]
        cdef uint8_t side = direction != flow.client
        cdef Names names
        if assembly[0] == NULL:
            if not packet.payload_bytes:
                return
            if packet.protocol != PROTO_TCP and not self.streams.datagrams:
                return
            if not self.streams.wants(packet, side, stream.known == FROM_SYN and (
                packet.sequence + (1 if packet.tcp_flags & TCP_SYN else 0) == stream.initial_sequence + 1
            )):
                return
            self.name(flow, &names)
            assembly[0] = self.streams.begin(&names)
            if assembly[0] == NULL:
                return
            assembly[0].half[side].wire_bytes = flow.side[direction].wire_bytes
            assembly[0].half[1 - side].wire_bytes = flow.side[1 - direction].wire_bytes
        else:
            assembly[0].half[side].wire_bytes += packet.wire_bytes
        if packet.protocol != PROTO_TCP:
            self.streams.datagram(assembly[0], side, packet)
        elif stream.known == FROM_SYN:
            self.streams.segment(assembly[0], side, stream.initial_sequence + 1, True, packet)
        else:
            self.streams.segment(assembly[0], side, packet.sequence, False, packet)

    cdef Content** content_of(self, uint32_t index) noexcept nogil:
        return &self.content_chunks[index // CHUNK_FLOWS][index % CHUNK_FLOWS]

    cdef void inspect(self, uint32_t index, Packet* packet, uint8_t direction) noexcept nogil:
        """Let the inspector have a segment's payload, until it has seen enough of its direction."""
        cdef Flow* flow = self.at(index)
        cdef Content** content = self.content_of(index)
        cdef Stream* stream = &flow.stream[direction]
        cdef bint late
        if packet.protocol != PROTO_TCP:
            flow.marks |= <uint8_t> (LOOKED_AT << direction)
            return
        if content[0] == NULL:
            content[0] = self.inspector.begin()
            if content[0] == NULL:
                return
        # Who sends after the other side's SYN was seen begins there, though the own one was missed.
        late = stream.known != FROM_SYN and flow.stream[1 - direction].known != FROM_SYN
        if self.inspector.segment(
            content[0], direction != flow.client,
            stream.initial_sequence + 1 if stream.known == FROM_SYN else packet.sequence, late, packet
        ):
            flow.marks |= <uint8_t> (LOOKED_AT << direction)

    cdef void name(self, Flow* flow, Names* names) noexcept nogil:
        cdef bint low = flow.client == 0
        names.client[0] = flow.key.low[0] if low else flow.key.high[0]
        names.client[1] = flow.key.low[1] if low else flow.key.high[1]
        names.server[0] = flow.key.high[0] if low else flow.key.low[0]
        names.server[1] = flow.key.high[1] if low else flow.key.low[1]
        names.client_port = flow.key.low_port if low else flow.key.high_port
        names.server_port = flow.key.high_port if low else flow.key.low_port
        names.flow_id = flow.flow_id
        names.start_ns = flow.flow_start_ns
        names.vlan = flow.vlan
        names.protocol = flow.key.protocol
        names.ip_version = flow.key.ip_version

    cdef uint64_t add_segment(self, Flow* flow, Packet* packet, uint8_t direction) noexcept nogil:
        """Follow a TCP segment in its flow's stream, states and history; return its bytes not seen before.

        In Zeek's order: what is noted of a segment depends on the states before it.
        """
        cdef bint from_client = direction == flow.client
        cdef Stream* sender = &flow.stream[direction]
        cdef Stream* peer = &flow.stream[1 - direction]
        cdef uint8_t flags = packet.tcp_flags
        note_segment(flow, packet, direction)
        if packet.window == 0 and not flags & TCP_RST and peer.state != CLOSED and sender.state != RESET:
            flow.zero_windows[direction] = scaled_letter(flow, flow.zero_windows[direction], c"W", from_client)
        track_handshake(flow, packet, direction)
        sender.tcp_flags |= flags
        track_repeats(flow, packet, direction)
        track_state(sender, peer, flags, packet.payload_bytes, from_client)
        if is_over(sender) and is_over(peer) and not flow.marks & BOTH_CLOSED:
            flow.marks |= BOTH_CLOSED
            flow.closed_ns = packet.time_ns
        if flags & TCP_ACK and not flags & TCP_RST:
            track_acknowledgement(flow, packet.acknowledgement, direction)
        return track_stream(flow, packet, direction)

    # -- flows open and end ----------------------------------------------------------------------

    cdef uint32_t open_flow(
        self, Key* key, uint32_t hash_, Packet* packet, uint8_t direction, uint64_t tick
    ) noexcept nogil:
        cdef uint32_t index, bucket
        cdef uint8_t queue
        cdef Flow* flow
        if self.flows_open >= self.max_flows:
            self.evict()
        index = self.take_slot()
        if index == NIL:
            return NIL
        flow = self.at(index)
        memset(flow, 0, sizeof(Flow))
        flow.queue = NOWHERE
        if self.flows_open > self.bucket_mask // 2:
            self.grow_buckets()
        flow.key = key[0]
        flow.hash = hash_
        flow.flow_id = self.next_flow_id
        self.next_flow_id += 1
        flow.flow_start_ns = flow.part_start_ns = flow.last_ns = packet.time_ns
        flow.shape = NIL
        flow.clock_offset = self.tick_offset
        flow.clock_steps = self.clock_steps
        flow.vlan = packet.vlan
        self.orient(flow, packet, direction)
        if flow.client != direction:
            add_letter(flow, c"^", True)
        bucket = hash_ & self.bucket_mask
        flow.next_in_bucket = self.buckets[bucket]
        self.buckets[bucket] = index
        if packet.protocol == PROTO_TCP:
            queue = UNESTABLISHED
        else:
            queue = UDP if packet.protocol == PROTO_UDP else ICMP
        self.requeue(index, queue, tick)
        self.flows_open += 1
        self.flows_started += 1
        if self.tracing:
            self.add_event(flow, EVENT_NEW_FLOW, packet.time_ns, 0, 0, direction)
        return index

    cdef void follow_clock(self, uint32_t index, int64_t time_ns) noexcept nogil:
        """Begin a part under the clock as it is now: it stepped back since this flow's last packet.

        Without parts the flow goes on as one, from the earlier of its starts.
        """
        cdef Flow* flow = self.at(index)
        if flow.marks & IN_ACTIVE_LIST and self.active_timeout:
            self.hand_out(index, STILL_OPEN)
        flow.clock_offset = self.tick_offset
        flow.clock_steps = self.clock_steps
        if self.active_timeout or flow.part_start_ns > time_ns:
            flow.part_start_ns = time_ns
        flow.last_ns = time_ns
        if flow.flow_start_ns > time_ns:
            flow.flow_start_ns = time_ns

    cdef uint32_t take_slot(self) noexcept nogil:
        """Return the index of a free flow, NIL when there is no memory."""
        cdef uint32_t index = self.free_list
        if index != NIL:
            self.free_list = self.at(index).next_in_bucket
            return index
        index = self.flows_made
        if index >= self.max_flows:
            return NIL
        if index % CHUNK_FLOWS == 0:
            self.chunks[index // CHUNK_FLOWS] = <Flow*> tw_pages(CHUNK_FLOWS * sizeof(Flow))
            if self.chunks[index // CHUNK_FLOWS] == NULL:
                return NIL
            if self.following:
                self.assembly_chunks[index // CHUNK_FLOWS] = <Assembly**> calloc(CHUNK_FLOWS, sizeof(Assembly*))
                if self.assembly_chunks[index // CHUNK_FLOWS] == NULL:
                    free(self.chunks[index // CHUNK_FLOWS])
                    return NIL
            if self.inspecting:
                self.content_chunks[index // CHUNK_FLOWS] = <Content**> calloc(CHUNK_FLOWS, sizeof(Content*))
                if self.content_chunks[index // CHUNK_FLOWS] == NULL:
                    free(self.assembly_chunks[index // CHUNK_FLOWS])
                    self.assembly_chunks[index // CHUNK_FLOWS] = NULL
                    free(self.chunks[index // CHUNK_FLOWS])
                    return NIL
        self.flows_made += 1
        return index

    cdef uint32_t take_shape(self) noexcept nogil:
        """Return the index of an empty shape, NIL when there is no memory; there are never more than flows."""
        cdef uint32_t index = self.free_shape
        if index != NIL:
            self.free_shape = self.shape_at(index).exchanges
        else:
            index = self.shapes_made
            if index >= self.max_flows:
                return NIL
            if index % CHUNK_FLOWS == 0:
                self.shape_chunks[index // CHUNK_FLOWS] = <Shape*> tw_pages(CHUNK_FLOWS * sizeof(Shape))
                if self.shape_chunks[index // CHUNK_FLOWS] == NULL:
                    return NIL
            self.shapes_made += 1
        self.shapes_used += 1
        begin_shape(self.shape_at(index))
        return index

    cdef void drop_shape(self, Flow* flow) noexcept nogil:
        cdef Shape* shape
        if flow.shape == NIL:
            return
        shape = self.shape_at(flow.shape)
        free(shape.carried)
        shape.carried = NULL
        shape.exchanges = self.free_shape
        self.free_shape = flow.shape
        flow.shape = NIL
        self.shapes_used -= 1

    cdef void grow_buckets(self) noexcept nogil:
        """Double the buckets; when there is no memory for it, chains grow longer instead."""
        cdef uint32_t mask = self.bucket_mask * 2 + 1
        cdef uint32_t* buckets = <uint32_t*> malloc((<size_t> mask + 1) * sizeof(uint32_t))
        cdef uint32_t index
        cdef Flow* flow
        if buckets == NULL:
            return
        memset(buckets, 0xFF, (<size_t> mask + 1) * sizeof(uint32_t))
        for index in range(self.flows_made):
            flow = self.at(index)
            if flow.queue != NOWHERE:
                flow.next_in_bucket = buckets[flow.hash & mask]
                buckets[flow.hash & mask] = index
        free(self.buckets)
        self.buckets = buckets
        self.bucket_mask = mask

    cdef void orient(self, Flow* flow, Packet* packet, uint8_t direction) noexcept nogil:
        """Tell client from server by the best evidence that the first packet gives."""
        cdef uint8_t sender = direction, receiver = 1 - direction
        cdef bint tcp = packet.protocol == PROTO_TCP
        cdef bint from_home, to_home, from_known, to_known
        if tcp and packet.tcp_flags & (TCP_SYN | TCP_RST) == TCP_SYN:
            flow.oriented_by = BY_SYN_ACK if packet.tcp_flags & TCP_ACK else BY_SYN
            flow.client = receiver if packet.tcp_flags & TCP_ACK else sender
            return
        if not tcp and packet.protocol != PROTO_UDP:
            # ICMP's types say who asks, and the first packet is the one that does.
            flow.oriented_by = BY_FIRST_PACKET
            flow.client = sender
            return
        flow.oriented_by = BY_HOME_NETWORK
        from_home = self.is_home(packet.source, packet.ip_version)
        to_home = self.is_home(packet.destination, packet.ip_version)
        if from_home != to_home:
            flow.client = sender if from_home else receiver
            return
        flow.oriented_by = BY_KNOWN_PORT
        from_known = known_port[packet.source_port]
        to_known = known_port[packet.destination_port]
        if from_known != to_known:
            flow.client = receiver if from_known else sender
            return
        if tcp and packet.source_port != packet.destination_port:
            flow.client = receiver if packet.source_port < packet.destination_port else sender
            return
        flow.oriented_by = BY_FIRST_PACKET
        flow.client = sender

    cdef bint is_home(self, uint64_t* address, uint8_t ip_version) noexcept nogil:
        cdef uint32_t i
        cdef Network* network
        for i in range(self.network_count):
            network = &self.networks[i]
            if network.ip_version == ip_version and (
                address[0] & network.mask[0] == network.address[0]
                and address[1] & network.mask[1] == network.address[1]
            ):
                return True
        return False

    cdef void end_flow(self, uint32_t index, uint8_t end_reason) noexcept nogil:
        """Hand out a flow's last record and free its slot."""
        cdef Flow* flow = self.at(index)
        cdef uint32_t* link = &self.buckets[flow.hash & self.bucket_mask]
        cdef Content* content = self.content_of(index)[0] if self.inspecting else NULL
        if content != NULL:
            self.inspector.conclude(content)
        self.hand_out(index, end_reason)
        if content != NULL:
            self.inspector.discard(content)
            self.content_of(index)[0] = NULL
        while link[0] != index:
            link = &self.at(link[0]).next_in_bucket
        link[0] = flow.next_in_bucket
        self.unlink_idle(index)
        self.drop_shape(flow)
        if self.following and self.assembly_of(index)[0] != NULL:
            self.streams.end(
                self.assembly_of(index)[0], flow.last_ns, end_reason,
                flow.side[flow.client].total_packets, flow.side[1 - flow.client].total_packets,
            )
            self.assembly_of(index)[0] = NULL
        flow.queue = NOWHERE
        flow.next_in_bucket = self.free_list
        self.free_list = index
        self.flows_open -= 1

    cdef void hand_out(self, uint32_t index, uint8_t end_reason) noexcept nogil:
        """Encode the flow's open part as a record, and begin the next part."""
        cdef Flow* flow = self.at(index)
        cdef Shape* shape = NULL if flow.shape == NIL else self.shape_at(flow.shape)
        cdef Content* content = self.content_of(index)[0] if self.inspecting else NULL
        cdef int i
        if self.out_used <= OUT_CAPACITY - LONGEST_RECORD and self.block_count < BLOCK_CAPACITY:
            self.out_used += put_record(self.out + self.out_used, flow, shape, content, end_reason)
            self.close_record(flow)
            self.records += 1
        else:
            self.records_dropped += 1
        flow.part += 1
        flow.part_start_ns = flow.last_ns
        flow.max_idle_ns = 0
        for i in range(2):
            flow.side[i].packets = 0
            flow.side[i].wire_bytes = 0
            flow.side[i].payload_bytes = 0
            flow.side[i].retransmitted_bytes = 0
        if shape != NULL:
            begin_part(shape)
        if flow.marks & IN_ACTIVE_LIST:
            self.unlink_active(index)

    cdef void close_record(self, Flow* flow) noexcept nogil:
        """Take the record just written into the last block, which is a new one when that is full."""
        cdef Block* block = &self.blocks[self.block_count - 1]
        if self.block_count == 0 or self.is_full(block):
            block = &self.blocks[self.block_count]
            block.begin = 0 if self.block_count == 0 else self.blocks[self.block_count - 1].end
            self.block_count += 1
            block.count = 0
            block.first_ns = flow.part_start_ns
            block.last_ns = flow.last_ns
        block.count += 1
        block.end = self.out_used
        if flow.part_start_ns < block.first_ns:
            block.first_ns = flow.part_start_ns
        if flow.last_ns > block.last_ns:
            block.last_ns = flow.last_ns

    cdef bint is_full(self, Block* block) noexcept nogil:
        return block.count >= self.block_records or block.end - block.begin >= BLOCK_BYTES

    cdef void evict(self) noexcept nogil:
        """Make room: let a flow go that is closed already, or else give up the one silent longest."""
        cdef uint32_t oldest, _try
        cdef Flow* flow
        if self.idle_head[CLOSING] != NIL:
            self.end_flow(self.idle_head[CLOSING], END_OF_FLOW)
            return
        for _try in range(EVICT_TRIES):
            oldest = self.oldest_head(False)
            if oldest == NIL:
                return
            # A flow that had packets since it was put there has another chance.
            flow = self.at(oldest)
            if <int32_t> (self.last_units(flow) - flow.queued) <= 0:
                break
            self.requeue(oldest, flow.queue, self.last_tick(flow))
        else:
            oldest = self.oldest_head(True)     # all tries went to such flows
        self.end_flow(oldest, LACK_OF_RESOURCES)
        self.flows_evicted += 1

    cdef uint32_t last_units(self, Flow* flow) noexcept nogil:
        """Return when a flow had its last packet, in the units of Flow.queued."""
        return <uint32_t> (self.last_tick(flow) >> QUEUED_BITS)

    cdef uint32_t oldest_head(self, bint by_last_packet) noexcept nogil:
        """Return the list head that was put there, or was silent, longest; of those alike the least established."""
        cdef uint32_t index, since, least = 0, oldest = NIL
        cdef int queue
        for queue in range(QUEUES):
            index = self.idle_head[queue]
            if index == NIL:
                continue
            since = self.last_units(self.at(index)) if by_last_packet else self.at(index).queued
            if oldest == NIL or <int32_t> (since - least) < 0:
                oldest = index
                least = since
        return oldest

    cdef void sweep(self) noexcept nogil:
        """End flows whose idle timeout has passed and cut parts that are due, a bounded number at once."""
        cdef int budget = SWEEP_LIMIT
        cdef int queue
        cdef Flow* flow
        cdef uint64_t since
        self.reassembler.expire(self.high_water_ns, self.rejected)
        for queue in range(QUEUES):
            while budget and self.idle_head[queue] != NIL and not (self.following and self.streams.is_full()):
                flow = self.at(self.idle_head[queue])
                since = flow.closed_tick if queue == CLOSING else self.last_tick(flow)
                if <int64_t> (self.tick - since) <= self.idle_timeout[queue]:
                    break
                self.fetch_due(self.idle_head[queue])
                self.end_flow(self.idle_head[queue], END_OF_FLOW if queue == CLOSING else IDLE)
                budget -= 1
        while budget and self.active_timeout and self.active_head != NIL:
            flow = self.at(self.active_head)
            if <int64_t> (self.tick - flow.active_tick) <= self.active_timeout:
                break
            self.hand_out(self.active_head, STILL_OPEN)
            budget -= 1
        self.next_sweep = self.tick + <uint64_t> SWEEP_NS if budget else self.tick

    # -- the lists -------------------------------------------------------------------------------

    cdef void requeue(self, uint32_t index, uint8_t queue, uint64_t tick) noexcept nogil:
        """Put a flow at the young end of an idle list."""
        cdef Flow* flow = self.at(index)
        if flow.queue != NOWHERE:
            self.unlink_idle(index)
        flow.queue = queue
        flow.queued = <uint32_t> (tick >> QUEUED_BITS)
        flow.idle_next = NIL
        flow.idle_previous = self.idle_tail[queue]
        if self.idle_tail[queue] == NIL:
            self.idle_head[queue] = index
        else:
            self.at(self.idle_tail[queue]).idle_next = index
        self.idle_tail[queue] = index

    cdef void unlink_idle(self, uint32_t index) noexcept nogil:
        cdef Flow* flow = self.at(index)
        if flow.idle_previous == NIL:
            self.idle_head[flow.queue] = flow.idle_next
        else:
            self.at(flow.idle_previous).idle_next = flow.idle_next
        if flow.idle_next == NIL:
            self.idle_tail[flow.queue] = flow.idle_previous
        else:
            self.at(flow.idle_next).idle_previous = flow.idle_previous

    cdef void link_active(self, uint32_t index) noexcept nogil:
        cdef Flow* flow = self.at(index)
        flow.marks |= IN_ACTIVE_LIST
        flow.active_tick = self.tick
        flow.active_next = NIL
        flow.active_previous = self.active_tail
        if self.active_tail == NIL:
            self.active_head = index
        else:
            self.at(self.active_tail).active_next = index
        self.active_tail = index

    cdef void unlink_active(self, uint32_t index) noexcept nogil:
        cdef Flow* flow = self.at(index)
        flow.marks &= <uint8_t> ~IN_ACTIVE_LIST
        if flow.active_previous == NIL:
            self.active_head = flow.active_next
        else:
            self.at(flow.active_previous).active_next = flow.active_next
        if flow.active_next == NIL:
            self.active_tail = flow.active_previous
        else:
            self.at(flow.active_next).active_previous = flow.active_previous

    # -- thresholds and traces -------------------------------------------------------------------

    cdef void watch(self, Flow* flow, Packet* packet) noexcept nogil:
        """Report each of tcpstatflow's thresholds once per flow, by the packet that passes it."""
        cdef int64_t payload = flow.side[0].total_payload_bytes + flow.side[1].total_payload_bytes
        cdef int64_t packets = flow.side[0].total_packets + flow.side[1].total_packets
        cdef int64_t duration = flow.last_ns - flow.flow_start_ns
        if self.alarm_bytes and payload > self.alarm_bytes and not flow.alarmed & 1 << EVENT_BYTES:
            flow.alarmed |= 1 << EVENT_BYTES
            self.add_event(flow, EVENT_BYTES, packet.time_ns, payload, self.alarm_bytes, 0)
        if self.alarm_duration and duration > self.alarm_duration and not flow.alarmed & 1 << EVENT_DURATION:
            flow.alarmed |= 1 << EVENT_DURATION
            self.add_event(flow, EVENT_DURATION, packet.time_ns, duration, self.alarm_duration, 0)
        if self.alarm_packets and packets > self.alarm_packets and not flow.alarmed & 1 << EVENT_PACKETS:
            flow.alarmed |= 1 << EVENT_PACKETS
            self.add_event(flow, EVENT_PACKETS, packet.time_ns, packets, self.alarm_packets, 0)

    cdef void add_event(
        self, Flow* flow, uint8_t kind, int64_t time_ns, int64_t value, int64_t limit, uint8_t direction
    ) noexcept nogil:
        cdef Event* event
        if kind <= EVENT_PACKETS:
            self.alarms += 1
        if self.event_count >= EVENT_CAPACITY:
            self.events_dropped += 1
            return
        event = &self.events[self.event_count]
        self.event_count += 1
        memcpy(&event.flow, flow, sizeof(Flow))
        event.kind = kind
        event.time_ns = time_ns
        event.value = value
        event.limit = limit
        event.direction = direction

    # -- records out -----------------------------------------------------------------------------

    def advance(self, int64_t now_ns):
        """Let time pass without a packet, so that idle flows end and parts are cut on a silent wire."""
        if 0 <= now_ns < MAX_TIME_NS and self.clock_set and (
            now_ns > self.high_water_ns or now_ns < self.high_water_ns - STEP_BACK_NS
        ):
            self.clock(now_ns)
            self.sweep()
            while self.next_sweep == self.tick and not self.wants_drain():     # a sweep left some for the next
                self.sweep()

    def flush(self):
        """End every flow (reason ``forced``), a bounded number a call; return whether some are left."""
        cdef int queue
        self.settle()
        self.reassembler.give_up_all(self.rejected)
        for queue in range(QUEUES):
            while self.idle_head[queue] != NIL:
                if self.wants_drain():
                    return True
                self.fetch_due(self.idle_head[queue])
                self.end_flow(self.idle_head[queue], END_OF_FLOW if queue == CLOSING else FORCED)
        return False

    cdef relieve(self):
        """Make room while Python is the one who feeds: what waits is kept as bytes, to be drained later."""
        self.stash += self.take_blocks(True)
        self.event_stash = self.drain_events()
        if self.following:
            self.streams.relieve()

    cdef list take_blocks(self, bint all_):
        """Return the blocks that are full, or all of them."""
        cdef uint32_t i, start = 0, count = self.block_count
        cdef Block* block
        cdef list taken = []
        if count and not all_ and not self.is_full(&self.blocks[count - 1]):
            count -= 1
        for i in range(count):
            block = &self.blocks[i]
            taken.append(RecordBlock(block.count, self.out[block.begin:block.end], block.first_ns, block.last_ns))
            start = block.end
        if count < self.block_count:
            self.blocks[0] = self.blocks[count]
            self.blocks[0].begin -= start
            self.blocks[0].end -= start
        memmove(self.out, self.out + start, self.out_used - start)
        self.out_used -= start
        self.block_count -= count
        return taken

    def drain_blocks(self, *, bint partial=True):
        """Return the records handed out since the last call, as a list of common.flowlog.Block.

        A block has ``block_records`` records, or fewer when they are long.  The last one, which is still
        growing, is left to grow unless ``partial``.
        """
        cdef list blocks = self.stash
        self.stash = []
        return blocks + self.take_blocks(partial)

    @property
    def waiting(self):
        """Whether records were handed out that nobody has drained."""
        return bool(self.block_count or self.stash)

    def drain(self):
        """Return the records handed out since the last call: tuples in FlowRecord's order."""
        return [row for block in self.drain_blocks() for row in rows_of(block)]

    def drain_events(self):
        """Return the events since the last call: (kind, from client?, SensorAlarm's fields ...) each."""
        cdef uint32_t i
        cdef list events = self.event_stash
        self.event_stash = []
        for i in range(self.event_count):
            events.append(event_tuple(&self.events[i], EVENT_KINDS))
        self.event_count = 0
        return events

    def rejected_by_reason(self):
        """Return {reason: packets} of the packets that no flow counts; only reasons that occurred."""
        return {
            REJECT_REASONS[i]: self.rejected[i] for i in range(1, REJECT_COUNT) if self.rejected[i]
        }

    @property
    def fragments(self):
        """Packets that count with others as one, or wait for those: fragments of IP datagrams."""
        return self.reassembler.fragments

    @property
    def flow_bytes(self):
        """Memory that one open flow takes at most: one with payload, and its share of the buckets.

        The first bytes and the facts of all flows, which the inspector bounds, come on top of it.
        """
        return FLOW_BYTES + (sizeof(Content*) + sizeof(Content) if self.inspecting else 0)
