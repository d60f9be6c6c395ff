"""TCP's part of a flow: stream position by sequence number, endpoint states. Inline, no state here."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from sensor.decode._frame cimport TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, Packet
from sensor.flow._table cimport CLOSING, ESTABLISHED_TCP, HOLES, UNESTABLISHED, Flow, Side

cdef enum:
    # Zeek's names for what an endpoint has done so far.
    INACTIVE = 0
    SYN_SENT
    SYN_ACK_SENT
    PARTIAL
    ESTABLISHED
    CLOSED
    RESET

cdef enum:
    # Side.sequence_known: where the stream was first seen.
    FROM_SYN = 1
    FROM_THE_MIDDLE

cdef enum:
    # No two bytes in flight are further apart (RFC 7323, 2.3), so whatever is belongs to another stretch
    # of the stream. Distances stay within this, which is what keeps their 32-bit arithmetic right.
    WINDOW = 1 << 30


cdef inline int32_t distance(uint32_t later, uint32_t earlier) noexcept nogil:
    """Sequence numbers are modulo 2**32 (RFC 9293, 3.4)."""
    return <int32_t> (later - earlier)


cdef inline void give_up_hole(Side* side) noexcept nogil:
    """Count the oldest hole as missed for good, to make room."""
    cdef uint32_t i
    side.missed_bytes += side.holes[0].end - side.holes[0].start
    side.hole_count -= 1
    for i in range(side.hole_count):
        side.holes[i] = side.holes[i + 1]


cdef inline void open_hole(Side* side, uint32_t end) noexcept nogil:
    """Remember that the stream from what is expected next up to ``end`` was not seen."""
    if side.hole_count == HOLES:
        give_up_hole(side)
    side.holes[side.hole_count].start = side.next_sequence
    side.holes[side.hole_count].end = end
    side.hole_count += 1


cdef inline void stay_within_window(Side* side) noexcept nogil:
    """Give up what is too far behind for 32-bit distances: old holes, and growing backwards."""
    while side.hole_count and side.next_sequence - side.holes[0].start > WINDOW:
        give_up_hole(side)
    if side.next_sequence - side.initial_sequence > WINDOW:
        side.sequence_known = FROM_SYN


cdef inline uint64_t fill_holes(Side* side, uint32_t start, uint32_t end) noexcept nogil:
    """Take [start, end) out of the holes; return how many bytes of it were missing until now."""
    cdef uint32_t i = 0, j, low, high
    cdef uint64_t filled = 0
    while i < side.hole_count:
        low = start if distance(start, side.holes[i].start) > 0 else side.holes[i].start
        high = end if distance(end, side.holes[i].end) < 0 else side.holes[i].end
        if distance(high, low) <= 0:
            i += 1
            continue
        filled += high - low
        if low == side.holes[i].start and high == side.holes[i].end:
            side.hole_count -= 1
            for j in range(i, side.hole_count):
                side.holes[j] = side.holes[j + 1]
            continue
        if low == side.holes[i].start:
            side.holes[i].start = high
        elif high == side.holes[i].end:
            side.holes[i].end = low
        elif side.hole_count < HOLES:
            j = side.hole_count
            while j > i:
                side.holes[j] = side.holes[j - 1]
                j -= 1
            side.hole_count += 1
            side.holes[i].end = low
            side.holes[i + 1].start = high
        else:
            # No room to split: the lower rest counts as missed.
            side.missed_bytes += low - side.holes[i].start
            side.holes[i].start = high
        i += 1
    return filled


cdef inline uint32_t extend_backwards(Side* side, uint32_t start, uint32_t end) noexcept nogil:
    """Take stream bytes from before the first that was seen; return how many of [start, end) they are.

    Only for streams picked up in the middle, whose true beginning nobody knows.
    """
    cdef uint32_t i, first = side.initial_sequence
    cdef uint32_t before = end if distance(end, first) < 0 else first
    side.initial_sequence = start
    if before != first:
        if side.hole_count < HOLES:
            for i in range(side.hole_count, 0, -1):
                side.holes[i] = side.holes[i - 1]
            side.holes[0].start = before
            side.holes[0].end = first
            side.hole_count += 1
        else:
            side.missed_bytes += first - before
    return before - start


cdef inline void track_stream(Side* side, uint32_t sequence, uint32_t payload_bytes, uint8_t flags) noexcept nogil:
    """Sort a segment's payload into unique and retransmitted bytes, and remember the holes it leaves."""
    cdef uint32_t start = sequence + 1 if flags & TCP_SYN else sequence
    cdef uint32_t end = start + payload_bytes
    cdef uint32_t before
    cdef int32_t ahead
    cdef uint64_t fresh = 0
    if not side.sequence_known or (flags & TCP_SYN and side.total_payload_bytes == 0):
        side.sequence_known = FROM_SYN if flags & TCP_SYN else FROM_THE_MIDDLE
        side.initial_sequence = sequence
        side.next_sequence = start
        side.hole_count = 0
    ahead = distance(start, side.next_sequence)
    if payload_bytes == 0:
        # A FIN or an ACK beyond the last byte seen shows that bytes between are missing.
        if 0 < ahead < WINDOW and not flags & TCP_RST:
            open_hole(side, start)
            side.next_sequence = start
            stay_within_window(side)
        return
    if ahead > WINDOW or ahead < -WINDOW:
        while side.hole_count:
            give_up_hole(side)
        side.sequence_known = FROM_SYN
        side.next_sequence = start
        ahead = 0
    # One byte right before what is expected is a keep-alive (RFC 9293, 3.8.4), not data.
    if side.sequence_known == FROM_THE_MIDDLE and distance(start, side.initial_sequence) < 0 and payload_bytes > 1:
        fresh = extend_backwards(side, start, end)
        start += <uint32_t> fresh
        if distance(end, side.next_sequence) > 0:
            fresh += end - side.next_sequence
            before = side.next_sequence
            side.next_sequence = end
            end = before
        if side.hole_count:
            fresh += fill_holes(side, start, end)
    elif ahead > 0:
        open_hole(side, start)
        fresh = payload_bytes
        side.next_sequence = end
    else:
        if distance(end, side.next_sequence) > 0:
            fresh = end - side.next_sequence
            end = side.next_sequence
            side.next_sequence += <uint32_t> fresh
        if side.hole_count:
            fresh += fill_holes(side, start, end)
    stay_within_window(side)
    side.payload_bytes += fresh
    side.total_payload_bytes += fresh
    side.retransmitted_bytes += payload_bytes - fresh


cdef inline uint64_t missed(Side* side) noexcept nogil:
    """Return the stream bytes that were never seen, holes still open included."""
    cdef uint64_t total = side.missed_bytes
    cdef uint32_t i
    for i in range(side.hole_count):
        total += side.holes[i].end - side.holes[i].start
    return total


cdef inline void track_state(Side* sender, Side* peer, uint8_t flags) noexcept nogil:
    """Advance the endpoint states as Zeek's conn_state needs them."""
    if flags & TCP_RST:
        sender.state = RESET
    elif flags & TCP_SYN:
        if not flags & TCP_ACK:
            if sender.state == INACTIVE:
                sender.state = SYN_SENT
        elif peer.state == SYN_SENT:
            sender.state = ESTABLISHED
            peer.state = ESTABLISHED
        elif sender.state == INACTIVE:
            sender.state = SYN_ACK_SENT
    elif flags & TCP_FIN:
        sender.state = CLOSED
    elif sender.state == INACTIVE:
        sender.state = PARTIAL
    elif sender.state == SYN_SENT and peer.state == SYN_ACK_SENT:
        sender.state = ESTABLISHED
        peer.state = ESTABLISHED


cdef inline void track_handshake(Flow* flow, Side* sender, Packet* packet, uint8_t direction) noexcept nogil:
    """Time the handshake from the client's SYN to its ACK that completes it."""
    if flow.handshake_rtt_ns >= 0 or direction != flow.client:
        return
    if packet.tcp_flags & TCP_SYN:
        if flow.syn_ns < 0:
            flow.syn_ns = packet.time_ns
    elif (
        flow.syn_ns >= 0 and packet.tcp_flags & TCP_ACK and not packet.tcp_flags & TCP_RST
        and flow.side[1 - direction].tcp_flags & TCP_SYN and packet.time_ns >= flow.syn_ns
    ):
        flow.handshake_rtt_ns = packet.time_ns - flow.syn_ns


cdef inline uint8_t tcp_queue(Flow* flow, Side* sender, Side* peer, uint8_t flags) noexcept nogil:
    """Return the idle list that a TCP flow belongs in after a packet."""
    if flow.queue == CLOSING or flags & TCP_RST or (sender.state == CLOSED and peer.state == CLOSED):
        return CLOSING
    if flow.queue == ESTABLISHED_TCP:
        return ESTABLISHED_TCP
    # A handshake seen, or one picked up in mid-stream. A lone ACK is not yet one: scans send those.
    if flags & TCP_ACK and not flags & TCP_SYN and (
        (sender.total_packets and peer.total_packets) or sender.total_packets >= 3
    ):
        return ESTABLISHED_TCP
    return UNESTABLISHED
