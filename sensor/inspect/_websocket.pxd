"""WebSocket's frames in the first bytes after the upgrade: what they carry, unmasked (RFC 6455, 5.2). Inline."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    FIN = 0x80
    COMPRESSED = 0x40           # RSV1: permessage-deflate (RFC 7692, 6)
    RESERVED = 0x30
    OPCODE = 0x0F
    CONTROL = 0x08              # of an opcode: close, ping, pong
    MASKED = 0x80


cdef inline uint32_t frames_payload(
    const uint8_t* data, uint32_t length, uint8_t* out, bint* compressed
) noexcept nogil:
    """Write what the frames carry to ``out``, which has room for twice ``length``; return how much that is.

    Control frames are passed over.  Bytes that are no frame end it, and so does a message that is compressed where
    the first one is not, or the reverse.  Compressed messages are written as one stream of DEFLATE (RFC 7692, 7.2.2).
    """
    cdef uint32_t at = 0, written = 0, i, header
    cdef uint64_t size, here
    cdef uint8_t opcode
    cdef bint begun = False
    cdef const uint8_t* mask
    compressed[0] = False
    while length - at >= 2:
        opcode = data[at] & OPCODE
        size = data[at + 1] & 0x7F
        header = 2 + (2 if size == 126 else 8 if size == 127 else 0) + (4 if data[at + 1] & MASKED else 0)
        if data[at] & RESERVED or opcode > 10 or 2 < opcode < CONTROL or length - at < header:
            break
        if opcode == 1 or opcode == 2:
            if begun and compressed[0] != ((data[at] & COMPRESSED) != 0):
                break
            compressed[0] = (data[at] & COMPRESSED) != 0
            begun = True
        elif data[at] & COMPRESSED:
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
        if compressed[0] and data[at] & FIN and not opcode & CONTROL:
            out[written] = out[written + 1] = 0
            out[written + 2] = out[written + 3] = 0xFF
            written += 4
        at += header + <uint32_t> here
    return written
