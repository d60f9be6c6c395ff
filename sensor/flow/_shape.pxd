"""The shape of a flow's payload: sizes and gaps, keystrokes and echoes, exchanges, first packets. Inline.

A data packet is one that brings payload not seen before: repeated segments and keep-alive probes are none.
Keystrokes are Zhang and Paxson's (Detecting Backdoors, 2000, as shipped in Bro: policy/interconn.bro), echoes
Argus' (argus/ArgusTcp.c, ArgusTCPKeystroke).
"""

from libc.math cimport ldexp, log2
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from sensor.decode._frame cimport PROTO_TCP, TCP_ACK, Packet
from sensor.flow._history cimport LETTER_SYN
from sensor.flow._table cimport BINS, SPLT, FirstPacket, Flow, Shape, Stream

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    static uint64_t tw_count_bits[256];
    static void tw_fill_count_bits(void) {
        for (int count = 1; count < 256; count++)
            tw_count_bits[count] = llround(ldexp((count + 1) * log2(count + 1) - count * log2(count), 40));
    }
    """
    uint64_t tw_count_bits[256]     # what one more adds to count * log2(count), in units of 2**-40, once filled
    void tw_fill_count_bits() noexcept nogil

cdef enum:
    # Shape.seen
    WAITING = 1                 # a client burst waits for its answer
    EXCHANGED = 2               # one was answered before
    AFTER_KEYSTROKE = 4         # the client's last data packet was a short one
    FIRST_TOLD = 8              # a record has told of the first payload

cdef enum:
    NO_DATA_YET = 2             # Shape.last_direction
    SIZES = 0                   # rows of Shape.carried: sizes by direction, then gaps by direction
    GAPS = 2
    KEYSTROKE_BYTES = 20        # Zhang and Paxson
    TYPED_LEAST_MS = 10
    TYPED_MOST_MS = 2000
    ECHOED_BYTES = 128          # Argus: of the keystroke, ssh's padding included; of its echo; how far apart
    ECHO_BYTES = 256
    ECHO_PACKETS = 3
    ECHO_LEAST_US = 50000
    SAMPLE_BYTES = 256          # of the first payload
    GAP_STEP = 512              # ms, of splt gaps from GAP_EXACT on
    GAP_EXACT = 0x8000


cdef inline uint32_t size_bin(uint32_t size) noexcept nogil:
    return (size > 20) + (size > 64) + (size > 128) + (size > 256) + (size > 512) + (size > 1024) + (size > 1400)


cdef inline uint32_t gap_bin(int64_t ns) noexcept nogil:
    cdef int64_t ms = 1000000
    return (
        (ns > 10 * ms) + (ns > 50 * ms) + (ns > 200 * ms) + (ns > 1000 * ms) + (ns > 2000 * ms) + (ns > 10000 * ms)
        + (ns > 60000 * ms)
    )


cdef inline void count_in(Shape* shape, uint16_t* bins, uint32_t row, uint32_t bin) noexcept nogil:
    """Count in 16 bits, and carry in memory that only the few flows have whose packets need it."""
    bins[bin] += 1
    if bins[bin]:
        return
    if shape.carried == NULL:
        shape.carried = <uint32_t*> calloc(4 * BINS, sizeof(uint32_t))
    if shape.carried == NULL:
        bins[bin] = 0xFFFF
    else:
        shape.carried[row * BINS + bin] += 1


cdef inline uint64_t counted(Shape* shape, uint16_t* bins, uint32_t row, uint32_t bin) noexcept nogil:
    if shape.carried == NULL:
        return bins[bin]
    return <uint64_t> shape.carried[row * BINS + bin] << 16 | bins[bin]


cdef inline uint16_t gap_code(int64_t ns) noexcept nogil:
    """Milliseconds in 16 bits: exact below 32.768 s, in steps of 512 ms above it, at most 4 h 39 min."""
    cdef int64_t ms = ns // 1000000
    if ms < GAP_EXACT:
        return <uint16_t> ms
    ms //= GAP_STEP
    return GAP_EXACT | <uint16_t> (ms if ms < GAP_EXACT else GAP_EXACT - 1)


cdef inline uint32_t gap_ms(uint16_t code) noexcept nogil:
    return code if code < GAP_EXACT else <uint32_t> (code - GAP_EXACT) * GAP_STEP


cdef inline void begin_shape(Shape* shape) noexcept nogil:
    memset(shape, 0, sizeof(Shape) - sizeof(shape.splt))
    shape.last_direction = NO_DATA_YET
    shape.data_ns[0] = shape.data_ns[1] = -1
    shape.pending_gap_ns = -1


cdef inline void begin_part(Shape* shape) noexcept nogil:
    """Forget what the record just handed out told."""
    memset(shape.sizes, 0, sizeof(shape.sizes))
    memset(shape.gaps, 0, sizeof(shape.gaps))
    if shape.carried != NULL:
        memset(shape.carried, 0, 4 * BINS * sizeof(uint32_t))
    shape.keystrokes = shape.keystroke_pairs = shape.typed_pairs = shape.echoes = 0
    shape.exchanges = shape.exchange_gaps = 0
    shape.gap_mean_s = shape.gap_m2_s2 = 0
    shape.splt_handed = shape.splt_count
    if shape.first_bytes:
        shape.seen |= FIRST_TOLD


cdef inline void note_data(Flow* flow, Shape* shape, Packet* packet, uint8_t direction) noexcept nogil:
    """Add a data packet; its sender's counters are up to date already."""
    cdef bint from_client = direction == flow.client
    cdef int64_t gap_ns = packet.time_ns - shape.data_ns[direction]
    cdef bint first = shape.data_ns[direction] < 0
    if gap_ns < 0:
        gap_ns = 0
    count_in(shape, shape.sizes[direction], SIZES + direction, size_bin(packet.payload_bytes))
    if not first:
        count_in(shape, shape.gaps[direction], GAPS + direction, gap_bin(gap_ns))
    if shape.splt_count < SPLT:
        note_first_packets(shape, packet, from_client)
    if from_client:
        note_keystroke(shape, packet, -1 if first else gap_ns // 1000000)
        if not shape.first_bytes and is_first_payload(flow, packet):
            look_at_content(shape, packet.content, packet.content_bytes)
    if packet.protocol == PROTO_TCP:
        note_echo(flow, shape, packet, from_client)
    note_exchange(flow, shape, packet, direction)
    shape.data_ns[direction] = packet.time_ns
    shape.last_direction = direction


cdef inline void note_first_packets(Shape* shape, Packet* packet, bint from_client) noexcept nogil:
    cdef FirstPacket* entry = &shape.splt[shape.splt_count]
    cdef int64_t gap_ns = 0
    if shape.last_direction != NO_DATA_YET:
        gap_ns = packet.time_ns - shape.data_ns[shape.last_direction]
    entry.payload_bytes = <uint16_t> (packet.payload_bytes if packet.payload_bytes < 0xFFFF else 0xFFFF)
    entry.gap = gap_code(gap_ns if gap_ns > 0 else 0)
    if not from_client:
        shape.splt_inbound |= <uint32_t> 1 << shape.splt_count
    shape.splt_count += 1


cdef inline void note_keystroke(Shape* shape, Packet* packet, int64_t gap_ms_) noexcept nogil:
    """Count a client's short packet, one that follows another, and whether at a typist's pace."""
    if packet.payload_bytes > KEYSTROKE_BYTES:
        shape.seen &= ~AFTER_KEYSTROKE
        return
    shape.keystrokes += 1
    if shape.seen & AFTER_KEYSTROKE:
        shape.keystroke_pairs += 1
        if TYPED_LEAST_MS <= gap_ms_ <= TYPED_MOST_MS:
            shape.typed_pairs += 1
    shape.seen |= AFTER_KEYSTROKE


cdef inline uint32_t packets_of(Flow* flow) noexcept nogil:
    """Return how many the flow has had, modulo 2**32. Seldom asked: one of the sides is not in the cache."""
    return <uint32_t> (flow.side[0].total_packets + flow.side[1].total_packets)


cdef inline void note_echo(Flow* flow, Shape* shape, Packet* packet, bint from_client) noexcept nogil:
    """Count a server's short packet that acknowledges a client's short one at the pace of the echo before it.

    Client and server intervals have a ratio of 0.816 to 1.122, and the client's is 50 ms or more.
    """
    cdef uint32_t now_us = <uint32_t> (packet.time_ns // 1000)
    cdef uint32_t client_us, server_us
    if from_client:
        shape.key_packet = 0
        if packet.payload_bytes <= ECHOED_BYTES:
            shape.key_us = now_us
            shape.key_end = packet.sequence + packet.payload_bytes
            shape.key_packet = packets_of(flow)
        return
    if not shape.key_packet or not packet.tcp_flags & TCP_ACK or packet.acknowledgement != shape.key_end:
        return
    if packet.payload_bytes <= ECHO_BYTES and packets_of(flow) - shape.key_packet <= ECHO_PACKETS:
        client_us = shape.key_us - shape.echoed_key_us
        server_us = now_us - shape.echo_us
        if (
            shape.echo_us and client_us >= ECHO_LEAST_US
            and <uint64_t> client_us * 1000 >= <uint64_t> server_us * 816
            and <uint64_t> client_us * 1000 <= <uint64_t> server_us * 1122
        ):
            shape.echoes += 1
        shape.echoed_key_us = shape.key_us
        shape.echo_us = now_us if now_us else 1
    shape.key_packet = 0


cdef inline void note_exchange(Flow* flow, Shape* shape, Packet* packet, uint8_t direction) noexcept nogil:
    """Count a client burst when the server answers it, and the silence between the exchange before and it."""
    cdef double gap_s, delta
    if direction == flow.client:
        if shape.last_direction != direction:
            shape.pending_gap_ns = -1
            if shape.seen & EXCHANGED:
                shape.pending_gap_ns = packet.time_ns - shape.data_ns[1 - direction]
                if shape.pending_gap_ns < 0:
                    shape.pending_gap_ns = 0
            shape.seen |= WAITING
        return
    if not shape.seen & WAITING:
        return
    shape.seen = shape.seen & ~WAITING | EXCHANGED
    shape.exchanges += 1
    if shape.pending_gap_ns < 0:
        return
    if not shape.exchange_gaps or shape.pending_gap_ns < shape.gap_min_ns:
        shape.gap_min_ns = shape.pending_gap_ns
    if not shape.exchange_gaps or shape.pending_gap_ns > shape.gap_max_ns:
        shape.gap_max_ns = shape.pending_gap_ns
    shape.exchange_gaps += 1
    gap_s = <double> shape.pending_gap_ns / 1e9
    delta = gap_s - shape.gap_mean_s
    shape.gap_mean_s += delta / shape.exchange_gaps
    shape.gap_m2_s2 += delta * (gap_s - shape.gap_mean_s)


cdef inline bint is_first_payload(Flow* flow, Packet* packet) noexcept nogil:
    """Tell whether a client's packet holds the first bytes that it sent; of a flow picked up later nobody knows."""
    cdef Stream* stream = &flow.stream[flow.client]
    if not packet.content_bytes:
        return False
    if packet.protocol != PROTO_TCP:
        return flow.side[flow.client].total_packets == 1
    return stream.letters & LETTER_SYN and packet.sequence - stream.initial_sequence <= 1


cdef inline void look_at_content(Shape* shape, const uint8_t* at, uint32_t size) noexcept nogil:
    """Measure how random bytes look: what the GFW's rule asks (Wu et al. 2023), and their entropy."""
    cdef uint8_t[256] seen
    cdef uint32_t i, is_printable, run = 0, longest = 0, printable = 0
    cdef uint64_t word, ones = 0, bits = 0      # whole numbers add up sooner than fractions do
    if size > SAMPLE_BYTES:
        size = SAMPLE_BYTES
    memset(seen, 0, sizeof(seen))
    for i in range(size):
        # The sum over byte values of count * log2(count), as it grows with each byte.
        bits += tw_count_bits[seen[at[i]]]
        seen[at[i]] += 1
        is_printable = <uint8_t> (at[i] - 0x20) < 0x5F
        printable += is_printable
        run = (run + 1) & -is_printable     # without a branch: random bytes cannot be foreseen
        longest = run if run > longest else longest
    i = 0
    while i < size:
        word = 0
        memcpy(&word, at + i, 8 if size - i >= 8 else size - i)
        # Ones of each pair of bits, of four, of eight; then the eight sums in the highest byte.
        word -= word >> 1 & <uint64_t> 0x5555555555555555
        word = (word & <uint64_t> 0x3333333333333333) + (word >> 2 & <uint64_t> 0x3333333333333333)
        word = word + (word >> 4) & <uint64_t> 0x0F0F0F0F0F0F0F0F
        ones += word * <uint64_t> 0x0101010101010101 >> 56
        i += 8
    shape.first_bytes = <uint16_t> size
    shape.first_ones = <uint16_t> ones
    shape.first_printable = <uint16_t> printable
    shape.first_run = <uint16_t> longest
    shape.first_entropy = <float> (log2(size) - ldexp(<double> bits, -40) / size)
    if shape.first_entropy < 1e-6:
        shape.first_entropy = 0     # of one byte value only, but for rounding
