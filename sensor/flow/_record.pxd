"""Handed-out flows and events as Python tuples, in the order of common.records. Inline, no state here."""

from libc.stdint cimport uint8_t, uint16_t

from sensor.decode._frame cimport NO_VLAN, PROTO_TCP
from sensor.flow._table cimport STILL_OPEN, Event, Flow, Side
from sensor.flow._tcp cimport CLOSED, ESTABLISHED, INACTIVE, PARTIAL, RESET, SYN_ACK_SENT, SYN_SENT, missed


cdef inline str conn_state(Flow* flow):
    """Return Zeek's conn_state (base/protocols/conn: main.zeek)."""
    cdef Side* client = &flow.side[flow.client]
    cdef Side* server = &flow.side[1 - flow.client]
    cdef uint8_t c = client.state, s = server.state
    cdef bint client_inactive = c in (INACTIVE, PARTIAL)
    cdef bint server_inactive = s in (INACTIVE, PARTIAL)
    if flow.key.protocol != PROTO_TCP:
        if client.total_packets and server.total_packets:
            return "SF"
        return "S0" if client.total_packets else "SHR"
    if s == RESET:
        if c in (SYN_SENT, SYN_ACK_SENT) or (
            c == RESET and not client.total_payload_bytes and not server.total_payload_bytes
        ):
            return "REJ"
        return "RSTRH" if client_inactive else "RSTR"
    if c == RESET:
        return "RSTOS0" if server_inactive else "RSTO"
    if s == CLOSED and c == CLOSED:
        return "SF"
    if c == CLOSED:
        return "SH" if server_inactive else "S2"
    if s == CLOSED:
        return "SHR" if client_inactive else "S3"
    if c == SYN_SENT and s == INACTIVE:
        return "S0"
    if c == ESTABLISHED and s == ESTABLISHED:
        return "S1"
    return "OTH"


cdef inline bytes address(Flow* flow, bint of_client):
    cdef uint8_t* at = <uint8_t*> &flow.key.high[0]
    if (flow.client == 0) == of_client:
        at = <uint8_t*> &flow.key.low[0]
    return at[:4] if flow.key.ip_version == 4 else at[:16]


cdef inline uint16_t port(Flow* flow, bint of_client) noexcept:
    return flow.key.low_port if (flow.client == 0) == of_client else flow.key.high_port


cdef inline tuple record_tuple(Flow* flow):
    """Return a handed-out flow as a tuple in the order of common.records.FlowRecord."""
    cdef Side* o = &flow.side[flow.client]
    cdef Side* i = &flow.side[1 - flow.client]
    cdef bint ended = flow.end_reason != STILL_OPEN
    return (
        flow.flow_id, flow.part, flow.end_reason if ended else None, flow.key.protocol,
        None if flow.vlan == NO_VLAN else flow.vlan,
        address(flow, True), port(flow, True), address(flow, False), port(flow, False), flow.oriented_by,
        flow.flow_start_ns, flow.part_start_ns, flow.last_ns,
        o.packets, i.packets, o.wire_bytes, i.wire_bytes, o.payload_bytes, i.payload_bytes,
        o.retransmitted_bytes, i.retransmitted_bytes,
        missed(o) if ended else 0, missed(i) if ended else 0,
        o.tcp_flags, i.tcp_flags, conn_state(flow), None,
        None if flow.handshake_rtt_ns < 0 else flow.handshake_rtt_ns,
        # The groups shape, interaction, first packets and content: not measured yet.
        None, None, None, None, None, None, None,
        None, None, None, None, None, None, None, None, None, None,
        None,
        None, None, None, None, None, None, None, None, None,
    )


cdef inline tuple event_tuple(Event* event, tuple kinds):
    """Return (kind, whether the client sent the packet, fields of common.records.SensorAlarm)."""
    cdef Flow* flow = &event.flow
    cdef Side* o = &flow.side[flow.client]
    cdef Side* i = &flow.side[1 - flow.client]
    kind = kinds[event.kind]
    return kind, event.direction == flow.client, (
        event.time_ns, kind, event.value, event.limit, flow.flow_id, flow.key.protocol,
        address(flow, True), port(flow, True), address(flow, False), port(flow, False),
        o.total_packets, i.total_packets, o.total_payload_bytes, i.total_payload_bytes,
        flow.last_ns - flow.flow_start_ns,
    )
