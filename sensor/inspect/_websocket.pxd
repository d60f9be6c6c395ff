"""WebSocket's frames in the first bytes after the upgrade: what they carry, unmasked (RFC 6455, 5.2). Inline."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    OPCODE = 0x0F
    COMPRESSED = 0x40           # RSV1: permessage-deflate (RFC 7692, 6)
    RESERVED = 0x30
    CONTROL = 0x08              # of an opcode: close, ping, pong
    MASKED = 0x80


cdef inline uint32_t frames_payload(const uint8_t* data, uint32_t length, uint8_t* out) noexcept nogil:
    """Write what the frames carry to ``out``, which has ``length`` bytes of room; return how much that is.

    Control frames are passed over.  Bytes that are no frame end it, and so does a message that is compressed.
    """
    cdef uint32_t at = 0, written = 0, i, header
    cdef uint64_t size, here
    cdef uint8_t opcode
    cdef const uint8_t* mask
    while length - at >= 2:
        opcode = data[at] & OPCODE
        size = data[at + 1] & 0x7F
        header = 2 + (2 if size == 126 else 8 if size == 127 else 0) + (4 if data[at + 1] & MASKED else 0)
        if data[at] & (RESERVED | COMPRESSED) or opcode > 10 or 2 < opcode < CONTROL or length - at < header:
            break
        if size >= 126:
            here = 2 if size == 126 else 8
            size = 0
            for i in range(<uint32_t> here):
                size = size << 8 | data[at + 2 + i]
        mask = data + at + header - 4
        here = length - at - header
        if size < here:
            here = size
        if not opcode & CONTROL:
            for i in range(<uint32_t> here):
                out[written + i] = data[at + header + i] ^ (mask[i & 3] if data[at + 1] & MASKED else 0)
            written += <uint32_t> here
        if here < size:
            break
        at += header + <uint32_t> here
    return written
