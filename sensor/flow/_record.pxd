"""Ended and cut flows as msgpack rows in the order of common.records.FlowRecord, and events as tuples. Inline.

Records are encoded where they are handed out, without Python objects: most of them go into a flow log as
they are.  tests/sensor/flow compares with msgpack itself.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from sensor.decode._frame cimport NO_VLAN, PROTO_ICMP, PROTO_ICMP6, PROTO_TCP
from sensor.flow._msgpack cimport (
    put_big_endian, put_count, put_double, put_negative, put_nil, put_nils, put_single, put_text,
)
from sensor.flow._content cimport put_apps, put_told
from sensor.flow._shape cimport FIRST_TOLD, GAPS, SIZES, counted, gap_ms
from sensor.flow._table cimport BINS, BOTH_CLOSED, HANDSHAKE_TIMED, STILL_OPEN, Event, Flow, Shape, Side
from sensor.flow._tcp cimport CLOSED, ESTABLISHED, INACTIVE, PARTIAL, RESET, SYN_ACK_SENT, SYN_SENT, missed
from sensor.inspect._content cimport Content

cdef enum:
    RECORD_FIELDS = 56
    LAST_BY_HANDSHAKE = 2       # Flow.oriented_by: who opened the connection was seen
    LONGEST_RECORD = 3328       # every value at its longest: 996 bytes, and 2,234 of what was told


cdef inline const char* conn_state(Flow* flow) noexcept nogil:
    """Return Zeek's conn_state (base/protocols/conn: main.zeek)."""
    cdef Side* client = &flow.side[flow.client]
    cdef Side* server = &flow.side[1 - flow.client]
    cdef uint8_t c = flow.stream[flow.client].state, s = flow.stream[1 - flow.client].state
    cdef bint client_inactive = c == INACTIVE or c == PARTIAL
    cdef bint server_inactive = s == INACTIVE or s == PARTIAL
    if flow.key.protocol in (PROTO_ICMP, PROTO_ICMP6):
        return b"OTH"
    if flow.key.protocol != PROTO_TCP:
        if client.total_packets and server.total_packets:
            return b"SF"
        return b"S0" if client.total_packets else b"SHR"
    if s == RESET:
        if c == SYN_SENT or c == SYN_ACK_SENT or (
            c == RESET and not client.total_payload_bytes and not server.total_payload_bytes
        ):
            return b"REJ"
        return b"RSTRH" if client_inactive else b"RSTR"
    if c == RESET:
        if server_inactive:
            return b"RSTOS0" if only_syn_and_rst(flow) else b"OTH"
        return b"RSTO"
    if s == CLOSED and c == CLOSED:
        return b"SF"
    if c == CLOSED:
        return b"SH" if server_inactive else b"S2"
    if s == CLOSED:
        return b"SHR" if client_inactive else b"S3"
    if c == SYN_SENT and s == INACTIVE:
        return b"S0"
    if c == ESTABLISHED and s == ESTABLISHED:
        return b"S1"
    return b"OTH"


cdef inline bint only_syn_and_rst(Flow* flow) noexcept nogil:
    """Tell whether the client sent a SYN first and a RST before anything else of note: Zeek's ^?S[^HAFGIQ]*R."""
    cdef uint32_t i = 1 if flow.history_count and flow.history[0] == c"^" else 0
    if i >= flow.history_count or flow.history[i] != c"S":
        return False
    for i in range(i + 1, flow.history_count):
        if flow.history[i] == c"R":
            return True
        if flow.history[i] in (c"H", c"A", c"F", c"G", c"I", c"Q"):
            return False
    return False


cdef inline uint8_t* address(Flow* flow, bint of_client) noexcept nogil:
    return <uint8_t*> (&flow.key.low[0] if (flow.client == 0) == of_client else &flow.key.high[0])


cdef inline uint16_t port(Flow* flow, bint of_client) noexcept nogil:
    return flow.key.low_port if (flow.client == 0) == of_client else flow.key.high_port


cdef inline uint8_t* put_address(uint8_t* at, const uint8_t* address_, uint8_t ip_version) noexcept nogil:
    cdef uint8_t size = 4 if ip_version == 4 else 16
    at[0] = 0xC4
    at[1] = size
    memcpy(at + 2, address_, size)
    return at + 2 + size


# -- a record -------------------------------------------------------------------------------------

cdef inline uint32_t put_record(
    uint8_t* start, Flow* flow, Shape* shape, Content* content, uint8_t end_reason
) noexcept nogil:
    """Write a flow's open part as a row; return its length, at most LONGEST_RECORD.

    ``shape`` and ``content`` may be NULL.
    """
    cdef Side* o = &flow.side[flow.client]
    cdef Side* i = &flow.side[1 - flow.client]
    cdef bint ended = end_reason != STILL_OPEN
    cdef const char* state = conn_state(flow)
    cdef uint32_t state_bytes = 0
    cdef uint8_t* at = put_big_endian(start, 0xDC, RECORD_FIELDS, 2)
    at = put_count(at, flow.flow_id)
    at = put_count(at, flow.part)
    at = put_count(at, end_reason) if ended else put_nil(at)
    at = put_count(at, flow.key.protocol)
    at = put_nil(at) if flow.vlan == NO_VLAN else put_count(at, flow.vlan)
    at = put_address(at, address(flow, True), flow.key.ip_version)
    at = put_count(at, port(flow, True))
    at = put_address(at, address(flow, False), flow.key.ip_version)
    at = put_count(at, port(flow, False))
    at = put_count(at, flow.oriented_by)
    at = put_count(at, <uint64_t> flow.flow_start_ns)
    at = put_count(at, <uint64_t> flow.part_start_ns)
    at = put_count(at, <uint64_t> flow.last_ns)
    at = put_count(put_count(at, o.packets), i.packets)
    at = put_count(put_count(at, o.wire_bytes), i.wire_bytes)
    at = put_count(put_count(at, o.payload_bytes), i.payload_bytes)
    at = put_count(put_count(at, o.retransmitted_bytes), i.retransmitted_bytes)
    at = put_count(at, missed(flow, flow.client) if ended else 0)
    at = put_count(at, missed(flow, 1 - flow.client) if ended else 0)
    at = put_count(put_count(at, flow.stream[flow.client].tcp_flags), flow.stream[1 - flow.client].tcp_flags)
    while state[state_bytes]:
        state_bytes += 1
    at = put_text(at, state, state_bytes)
    at = put_text(at, flow.history, flow.history_count) if flow.history_count else put_nil(at)
    at = put_count(at, <uint64_t> flow.handshake_ns) if flow.marks & HANDSHAKE_TIMED else put_nil(at)
    at = put_count(at, <uint64_t> flow.closed_ns) if flow.marks & BOTH_CLOSED else put_nil(at)
    at = put_nils(at, 6) if shape == NULL else put_shape(at, flow, shape)
    at = put_count(at, <uint64_t> flow.max_idle_ns)
    if shape == NULL:
        at = put_nils(at, 11)
    else:
        at = put_interaction(at, flow, shape)
        at = put_first_packets(at, shape)
    at = put_nils(at, 2) if content == NULL else put_apps(at, content)
    at = put_nils(at, 4) if shape == NULL else put_first_payload(at, shape)
    at = put_nils(at, 3) if content == NULL else put_told(
        at, content, port(flow, False), flow.oriented_by <= LAST_BY_HANDSHAKE
    )
    return <uint32_t> (at - start)


cdef inline uint64_t total(Shape* shape, uint8_t direction) noexcept nogil:
    cdef uint32_t bin
    cdef uint64_t packets = 0
    for bin in range(BINS):
        packets += counted(shape, shape.sizes[direction], SIZES + direction, bin)
    return packets


cdef inline uint8_t* put_histogram(uint8_t* at, Shape* shape, uint16_t* bins, uint32_t row) noexcept nogil:
    """Write a histogram, nil when nothing was counted."""
    cdef uint8_t* start = at
    cdef uint32_t bin
    cdef uint64_t all_ = 0, count
    at[0] = 0x90 | BINS
    at += 1
    for bin in range(BINS):
        count = counted(shape, bins, row, bin)
        all_ += count
        at = put_count(at, count)
    return at if all_ else put_nil(start)


cdef inline uint8_t* put_shape(uint8_t* at, Flow* flow, Shape* shape) noexcept nogil:
    cdef uint8_t out = flow.client, in_ = 1 - flow.client
    at = put_count(put_count(at, total(shape, out)), total(shape, in_))
    at = put_histogram(at, shape, shape.sizes[out], SIZES + out)
    at = put_histogram(at, shape, shape.sizes[in_], SIZES + in_)
    at = put_histogram(at, shape, shape.gaps[out], GAPS + out)
    return put_histogram(at, shape, shape.gaps[in_], GAPS + in_)


cdef inline uint8_t* put_interaction(uint8_t* at, Flow* flow, Shape* shape) noexcept nogil:
    if flow.key.protocol == PROTO_TCP:
        at = put_count(put_count(at, shape.keystrokes), shape.keystroke_pairs)
        at = put_count(put_count(at, shape.typed_pairs), shape.echoes)
    else:
        at = put_nils(at, 4)
    at = put_count(put_count(at, shape.exchanges), shape.exchange_gaps)
    if not shape.exchange_gaps:
        return put_nils(at, 4)
    at = put_double(put_double(at, shape.gap_mean_s), shape.gap_m2_s2)
    return put_count(put_count(at, <uint64_t> shape.gap_min_ns), <uint64_t> shape.gap_max_ns)


cdef inline uint8_t* put_first_packets(uint8_t* at, Shape* shape) noexcept nogil:
    """Write the first data packets so far, nil when the record before told them all."""
    cdef uint32_t i
    if shape.splt_count == shape.splt_handed:
        return put_nil(at)
    if shape.splt_count < 16:
        at[0] = 0x90 | shape.splt_count
        at += 1
    else:
        at = put_big_endian(at, 0xDC, shape.splt_count, 2)
    for i in range(shape.splt_count):
        at[0] = 0x92
        at += 1
        if shape.splt_inbound >> i & 1:
            at = put_negative(at, -<int64_t> shape.splt[i].payload_bytes)
        else:
            at = put_count(at, shape.splt[i].payload_bytes)
        at = put_count(at, gap_ms(shape.splt[i].gap))
    return at


cdef inline uint8_t* put_first_payload(uint8_t* at, Shape* shape) noexcept nogil:
    if not shape.first_bytes or shape.seen & FIRST_TOLD:
        return put_nils(at, 4)
    at = put_single(at, <float> shape.first_ones / shape.first_bytes)
    at = put_single(at, <float> shape.first_printable / shape.first_bytes)
    return put_single(put_count(at, shape.first_run), shape.first_entropy)


cdef inline tuple event_tuple(Event* event, tuple kinds):
    """Return (kind, whether the client sent the packet, fields of common.records.SensorAlarm)."""
    cdef Flow* flow = &event.flow
    cdef Side* o = &flow.side[flow.client]
    cdef Side* i = &flow.side[1 - flow.client]
    cdef int size = 4 if flow.key.ip_version == 4 else 16
    kind = kinds[event.kind]
    return kind, event.direction == flow.client, (
        event.time_ns, kind, event.value, event.limit, flow.flow_id, flow.key.protocol,
        address(flow, True)[:size], port(flow, True), address(flow, False)[:size], port(flow, False),
        o.total_packets, i.total_packets, o.total_payload_bytes, i.total_payload_bytes,
        flow.last_ns - flow.flow_start_ns,
    )
