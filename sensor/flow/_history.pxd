"""Zeek's history of a connection: letters for what each side did, in the order in which it did. Inline, no state here.

Zeek's documentation of base/protocols/conn (main.zeek) has the letters' meaning.  Not used here: ``c``,
since checksums are not verified.  ``x`` stands once for letters that had no room.
"""

from libc.stdint cimport uint8_t, uint32_t

from sensor.decode._frame cimport TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, Packet
from sensor.flow._table cimport HISTORY, Flow, Side, Stream

cdef enum:
    # Stream.letters
    LETTER_SYN = 1
    LETTER_FIN = 2
    LETTER_RST = 4
    LETTER_DATA = 8
    LETTER_ACK = 16
    LETTER_MIXED = 32
    LETTER_FIN_RST = 64


cdef inline void add_letter(Flow* flow, char letter, bint from_client) noexcept nogil:
    """Append a letter, which is given as the client's."""
    if flow.history_count >= HISTORY:
        return
    if flow.history_count == HISTORY - 1:
        letter = c"X"
    flow.history[flow.history_count] = letter if from_client else letter + 32
    flow.history_count += 1


cdef inline bint had_letter(Flow* flow, Stream* stream, uint8_t bit, char letter, bint from_client) noexcept nogil:
    """Append a letter unless its bit stands already; return whether it did."""
    if stream.letters & bit:
        return True
    stream.letters |= bit
    add_letter(flow, letter, from_client)
    return False


cdef inline uint32_t scaled_letter(Flow* flow, uint32_t count, char letter, bint from_client) noexcept nogil:
    """Return one more, and append a letter for the 1st, 10th, 100th, ... time."""
    cdef uint32_t threshold = 1
    if count + 1 == 0:
        return count
    count += 1
    while threshold < count and threshold < 1000000000:
        threshold *= 10
    if count == threshold:
        add_letter(flow, letter, from_client)
    return count


cdef inline void note_segment(Flow* flow, Packet* packet, uint8_t direction) noexcept nogil:
    """Write a TCP segment into the history."""
    cdef Stream* stream = &flow.stream[direction]
    cdef Side* side = &flow.side[direction]
    cdef bint from_client = direction == flow.client
    cdef uint8_t flags = packet.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)
    cdef uint32_t fin_sequence
    cdef char letter
    if flags == 0:
        if packet.payload_bytes:
            had_letter(flow, stream, LETTER_DATA, c"D", from_client)
        elif packet.tcp_flags & TCP_ACK:
            had_letter(flow, stream, LETTER_ACK, c"A", from_client)
    elif flags == TCP_SYN:
        letter = c"H" if packet.tcp_flags & TCP_ACK else c"S"
        if had_letter(flow, stream, LETTER_SYN, letter, from_client) and packet.sequence != stream.initial_sequence:
            add_letter(flow, letter, from_client)
    elif flags == TCP_FIN:
        fin_sequence = packet.sequence + packet.payload_bytes
        if had_letter(flow, stream, LETTER_FIN, c"F", from_client) and fin_sequence != side.fin_sequence:
            add_letter(flow, c"F", from_client)
        side.fin_sequence = fin_sequence
    elif flags == TCP_RST:
        if had_letter(flow, stream, LETTER_RST, c"R", from_client) and packet.sequence != side.rst_sequence:
            add_letter(flow, c"R", from_client)
        side.rst_sequence = packet.sequence
    elif flags == TCP_FIN | TCP_RST:
        had_letter(flow, stream, LETTER_FIN_RST, c"I", from_client)
    else:
        had_letter(flow, stream, LETTER_MIXED, c"Q", from_client)
