"""TCP's part of a flow: stream position by sequence number, endpoint states as Zeek has them. Inline, no state here."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from sensor.decode._frame cimport TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, Packet
from sensor.flow._history cimport LETTER_FIN, scaled_letter
from sensor.flow._table cimport (
    CLOSING, ESTABLISHED_TCP, HANDSHAKE_ASKED, HANDSHAKE_TIMED, HOLES, UNESTABLISHED, Flow, Hole, Holes, Side, Stream,
)

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
    # Stream.was
    WAS_ESTABLISHED = 1
    WAS_CLOSED = 2

cdef enum:
    # An acknowledgement of nothing that is this far ahead is a broken one, as in Zeek.
    TOO_LARGE = 1 << 20

cdef enum:
    # Stream.known: where the stream was first seen.
    FROM_SYN = 1
    FROM_THE_MIDDLE

cdef enum:
    # No two bytes in flight are further apart (RFC 7323, 2.3), so whatever is belongs to another stretch
    # of the stream. Distances stay within this, which is what keeps their 32-bit arithmetic right.
    WINDOW = 1 << 30


cdef inline int32_t distance(uint32_t later, uint32_t earlier) noexcept nogil:
    """Sequence numbers are modulo 2**32 (RFC 9293, 3.4)."""
    return <int32_t> (later - earlier)


cdef inline void give_up_hole(Stream* stream, Holes* holes) noexcept nogil:
    """Count the oldest hole as missed for good, to make room."""
    cdef uint32_t i
    holes.missed_bytes += holes.at[0].end - holes.at[0].start
    stream.hole_count -= 1
    for i in range(stream.hole_count):
        holes.at[i] = holes.at[i + 1]


cdef inline void open_hole(Stream* stream, Holes* holes, uint32_t end) noexcept nogil:
    """Remember that the stream from what is expected next up to ``end`` was not seen."""
    if stream.hole_count == 0 or holes.at[stream.hole_count - 1].end != stream.next_sequence:
        if stream.hole_count == HOLES:
            give_up_hole(stream, holes)
        holes.at[stream.hole_count].start = stream.next_sequence
        stream.hole_count += 1
    holes.at[stream.hole_count - 1].end = end
    stream.next_sequence = end


cdef inline void stay_within_window(Stream* stream, Holes* holes) noexcept nogil:
    """Give up what is too far behind for 32-bit distances: old holes, and growing backwards."""
    while stream.hole_count and stream.next_sequence - holes.at[0].start > WINDOW:
        give_up_hole(stream, holes)
    if stream.next_sequence - stream.initial_sequence > WINDOW:
        stream.known = FROM_SYN


cdef inline uint64_t fill_holes(Stream* stream, Holes* holes, uint32_t start, uint32_t end) noexcept nogil:
    """Take [start, end) out of the holes; return how many bytes of it were missing until now."""
    cdef uint32_t i = 0, j, low, high
    cdef uint64_t filled = 0
    cdef Hole* hole
    while i < stream.hole_count:
        hole = &holes.at[i]
        low = start if distance(start, hole.start) > 0 else hole.start
        high = end if distance(end, hole.end) < 0 else hole.end
        if distance(high, low) <= 0:
            i += 1
            continue
        filled += high - low
        if low == hole.start and high == hole.end:
            stream.hole_count -= 1
            for j in range(i, stream.hole_count):
                holes.at[j] = holes.at[j + 1]
            continue
        if low == hole.start:
            hole.start = high
        elif high == hole.end:
            hole.end = low
        elif stream.hole_count < HOLES:
            j = stream.hole_count
            while j > i:
                holes.at[j] = holes.at[j - 1]
                j -= 1
            stream.hole_count += 1
            hole.end = low
            holes.at[i + 1].start = high
        else:
            # No room to split: the lower rest counts as missed.
            holes.missed_bytes += low - hole.start
            hole.start = high
        i += 1
    return filled


cdef inline uint32_t extend_backwards(Stream* stream, Holes* holes, uint32_t start, uint32_t end) noexcept nogil:
    """Take stream bytes from before the first that was seen; return how many of [start, end) they are.

    Only for streams picked up in the middle, whose true beginning nobody knows.
    """
    cdef uint32_t i, first = stream.initial_sequence
    cdef uint32_t before = end if distance(end, first) < 0 else first
    stream.initial_sequence = start
    if before != first:
        if stream.hole_count < HOLES:
            for i in range(stream.hole_count, 0, -1):
                holes.at[i] = holes.at[i - 1]
            holes.at[0].start = before
            holes.at[0].end = first
            stream.hole_count += 1
        else:
            holes.missed_bytes += first - before
    return before - start


cdef inline uint64_t track_stream(Flow* flow, Packet* packet, uint8_t direction) noexcept nogil:
    """Sort a segment's payload into unique and retransmitted bytes, and remember the holes it leaves.

    Return the unique ones.
    """
    cdef Stream* stream = &flow.stream[direction]
    cdef Holes* holes = &flow.holes[direction]
    cdef Side* side = &flow.side[direction]
    cdef uint8_t flags = packet.tcp_flags
    cdef uint32_t payload_bytes = packet.payload_bytes
    cdef uint32_t start = packet.sequence + 1 if flags & TCP_SYN else packet.sequence
    cdef uint32_t end = start + payload_bytes
    cdef uint32_t before
    cdef int32_t ahead
    cdef uint64_t fresh = 0
    if not stream.known or (flags & TCP_SYN and side.total_payload_bytes == 0):
        stream.known = FROM_SYN if flags & TCP_SYN else FROM_THE_MIDDLE
        stream.initial_sequence = packet.sequence
        stream.next_sequence = side.gap_sequence = start
        stream.hole_count = 0
    ahead = distance(start, stream.next_sequence)
    if payload_bytes == 0:
        # A FIN or an ACK beyond the last byte seen shows that bytes between are missing, but for the FIN's own octet.
        if ahead > 0 and not (stream.letters & LETTER_FIN and start == side.fin_sequence + 1):
            if ahead < WINDOW and not flags & TCP_RST:
                open_hole(stream, holes, start)
                stay_within_window(stream, holes)
        return 0
    if ahead > WINDOW or ahead < -WINDOW:
        while stream.hole_count:
            give_up_hole(stream, holes)
        stream.known = FROM_SYN
        stream.next_sequence = start
        ahead = 0
    # One byte right before what is expected is a keep-alive (RFC 9293, 3.8.4), not data.
    if stream.known == FROM_THE_MIDDLE and distance(start, stream.initial_sequence) < 0 and payload_bytes > 1:
        fresh = extend_backwards(stream, holes, start, end)
        start += <uint32_t> fresh
        if distance(end, stream.next_sequence) > 0:
            fresh += end - stream.next_sequence
            before = stream.next_sequence
            stream.next_sequence = end
            end = before
        if stream.hole_count:
            fresh += fill_holes(stream, holes, start, end)
    elif ahead > 0:
        open_hole(stream, holes, start)
        fresh = payload_bytes
        stream.next_sequence = end
    else:
        if distance(end, stream.next_sequence) > 0:
            fresh = end - stream.next_sequence
            end = stream.next_sequence
            stream.next_sequence += <uint32_t> fresh
        if stream.hole_count:
            fresh += fill_holes(stream, holes, start, end)
    stay_within_window(stream, holes)
    side.payload_bytes += fresh
    side.total_payload_bytes += fresh
    side.retransmitted_bytes += payload_bytes - fresh
    return fresh


cdef inline uint64_t missed(Flow* flow, uint8_t direction) noexcept nogil:
    """Return the stream bytes that were never seen, holes still open included."""
    cdef uint64_t total = flow.holes[direction].missed_bytes
    cdef uint32_t i
    for i in range(flow.stream[direction].hole_count):
        total += flow.holes[direction].at[i].end - flow.holes[direction].at[i].start
    return total


cdef inline void track_acknowledgement(Flow* flow, uint32_t acknowledgement, uint8_t direction) noexcept nogil:
    """Learn from an acknowledgement what its receiver sent and nobody saw, and note gaps that are past filling."""
    cdef uint8_t other = 1 - direction
    cdef Stream* stream = &flow.stream[other]
    cdef Holes* holes = &flow.holes[other]
    cdef Side* side = &flow.side[other]
    cdef int32_t ahead = distance(acknowledgement, stream.next_sequence)
    cdef uint32_t i
    if not stream.known or (ahead <= 0 and not stream.hole_count):
        return
    if stream.letters & LETTER_FIN and acknowledgement == side.fin_sequence + 1:
        acknowledgement = side.fin_sequence
        ahead = distance(acknowledgement, stream.next_sequence)
    if 0 < ahead < WINDOW and not (acknowledgement == 0 and ahead > TOO_LARGE):
        open_hole(stream, holes, acknowledgement)
        stay_within_window(stream, holes)
    if not (is_clean(&flow.stream[direction]) and is_clean(stream)):
        return
    for i in range(stream.hole_count):
        if distance(acknowledgement, holes.at[i].end) >= 0 and distance(holes.at[i].end, side.gap_sequence) > 0:
            side.gap_sequence = holes.at[i].end
            if stream.gaps < 0xFFFF:
                stream.gaps = <uint16_t> scaled_letter(flow, stream.gaps, c"G", other == flow.client)


cdef inline bint is_clean(Stream* side) noexcept nogil:
    return side.state == ESTABLISHED or (side.state == CLOSED and side.was & WAS_ESTABLISHED)


cdef inline void track_repeats(Flow* flow, Packet* packet, uint8_t direction) noexcept nogil:
    """Note a segment that ends where the stream was already: repeated, or late. By Zeek's rules."""
    cdef Stream* stream = &flow.stream[direction]
    cdef uint8_t flags = packet.tcp_flags
    cdef uint32_t past = packet.sequence
    cdef int32_t ahead
    if not flags & TCP_RST:
        past += packet.payload_bytes
    if flags & (TCP_SYN | TCP_FIN):
        past += (1 if flags & TCP_SYN else 0) + (1 if flags & TCP_FIN else 0)
    if flow.side[direction].total_packets == 1:
        stream.highest_sequence = past if flags & TCP_SYN else packet.sequence
    ahead = distance(past, stream.highest_sequence)
    if flags & (TCP_SYN | TCP_RST) and (ahead > TOO_LARGE or ahead < -TOO_LARGE):
        return
    if flags & TCP_FIN and stream.highest_sequence == stream.initial_sequence + 1:
        stream.highest_sequence = past
    elif stream.state == RESET:
        return
    elif ahead > 0:
        stream.highest_sequence = past
    elif packet.payload_bytes:
        flow.side[direction].repeats = scaled_letter(
            flow, flow.side[direction].repeats, c"T", direction == flow.client
        )


cdef inline void enter(Stream* side, uint8_t state) noexcept nogil:
    if side.state == ESTABLISHED:
        side.was |= WAS_ESTABLISHED
    elif side.state == CLOSED:
        side.was |= WAS_CLOSED
    side.state = state


cdef inline void leave_inactive(
    Stream* sender, Stream* peer, uint8_t flags, uint32_t payload_bytes, bint from_client
) noexcept nogil:
    """Take an endpoint's first steps."""
    if flags & TCP_SYN:
        if from_client and flags & TCP_ACK:
            enter(sender, SYN_ACK_SENT)
        elif from_client and peer.state == ESTABLISHED:
            enter(sender, ESTABLISHED)      # the SYN was captured behind its own SYN-ACK
        elif from_client:
            enter(sender, SYN_SENT)
        else:
            if peer.state == SYN_SENT:
                enter(peer, ESTABLISHED)
            enter(sender, ESTABLISHED)
    if flags & TCP_FIN:
        enter(sender, CLOSED)
    if flags & TCP_RST:
        enter(sender, RESET)
    if sender.state != INACTIVE:
        return
    # Some servers acknowledge a SYN before they answer it; that is no stream picked up in the middle.
    if not from_client and payload_bytes == 0 and peer.state == SYN_SENT:
        return
    # Only the SYN was missed when its answer was seen.
    enter(sender, ESTABLISHED if flags & TCP_ACK and peer.state == ESTABLISHED else PARTIAL)


cdef inline void track_state(
    Stream* sender, Stream* peer, uint8_t flags, uint32_t payload_bytes, bint from_client
) noexcept nogil:
    """Advance the endpoint states as Zeek does (packet_analysis/protocol/tcp: TCPSessionAdapter)."""
    if sender.state == INACTIVE:
        leave_inactive(sender, peer, flags, payload_bytes, from_client)
    elif sender.state in (SYN_SENT, SYN_ACK_SENT):
        if flags & TCP_RST:
            enter(sender, RESET)
        elif flags & TCP_FIN:
            enter(sender, CLOSED)
    elif sender.state in (ESTABLISHED, PARTIAL):
        if flags & TCP_RST:
            enter(sender, RESET)
        elif flags & TCP_FIN:
            enter(sender, CLOSED)
            if peer.state == RESET and peer.was & WAS_CLOSED:
                enter(peer, CLOSED)     # a RST after a FIN, both answered: closed as it should be
        elif flags & TCP_SYN and not flags & TCP_ACK and sender.state == PARTIAL and peer.state == INACTIVE:
            enter(sender, SYN_SENT)
    elif sender.state == CLOSED and flags & TCP_RST and peer.state != CLOSED:
        enter(sender, RESET)


cdef inline bint is_over(Stream* side) noexcept nogil:
    return side.state == CLOSED or side.state == RESET


cdef inline void track_handshake(Flow* flow, Packet* packet, uint8_t direction) noexcept nogil:
    """Time the handshake from the client's SYN to its ACK that completes it."""
    if flow.marks & HANDSHAKE_TIMED or direction != flow.client:
        return
    if packet.tcp_flags & TCP_SYN:
        if not flow.marks & HANDSHAKE_ASKED:
            flow.marks |= HANDSHAKE_ASKED
            flow.handshake_ns = packet.time_ns
    elif (
        flow.marks & HANDSHAKE_ASKED and packet.tcp_flags & TCP_ACK and not packet.tcp_flags & TCP_RST
        and flow.stream[1 - direction].tcp_flags & TCP_SYN and packet.time_ns >= flow.handshake_ns
    ):
        flow.marks |= HANDSHAKE_TIMED
        flow.handshake_ns = packet.time_ns - flow.handshake_ns


cdef inline uint8_t tcp_queue(Flow* flow, uint8_t flags, uint8_t direction) noexcept nogil:
    """Return the idle list that a TCP flow belongs in after a packet."""
    if flow.queue == ESTABLISHED_TCP and not flags & (TCP_RST | TCP_FIN):
        return ESTABLISHED_TCP
    if flow.queue == CLOSING or flags & TCP_RST or (is_over(&flow.stream[0]) and is_over(&flow.stream[1])):
        return CLOSING
    if flow.queue == ESTABLISHED_TCP:
        return ESTABLISHED_TCP
    # A handshake seen, or one picked up in mid-stream. A lone ACK is not yet one: scans send those.
    if flags & TCP_ACK and not flags & TCP_SYN and (
        (flow.side[0].total_packets and flow.side[1].total_packets) or flow.side[direction].total_packets >= 3
    ):
        return ESTABLISHED_TCP
    return UNESTABLISHED
