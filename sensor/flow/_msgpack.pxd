"""msgpack without Python objects: each writes a value and returns where the next one goes. Inline."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef inline uint8_t* put_nil(uint8_t* at) noexcept nogil:
    at[0] = 0xC0
    return at + 1


cdef inline uint8_t* put_nils(uint8_t* at, uint32_t count) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        at[i] = 0xC0
    return at + count


cdef inline uint8_t* put_big_endian(uint8_t* at, uint8_t kind, uint64_t value, uint32_t size) noexcept nogil:
    cdef uint32_t i
    at[0] = kind
    for i in range(size):
        at[size - i] = <uint8_t> (value >> 8 * i)
    return at + 1 + size


cdef inline uint8_t* put_count(uint8_t* at, uint64_t value) noexcept nogil:
    if value < 0x80:
        at[0] = <uint8_t> value
        return at + 1
    if value <= 0xFF:
        return put_big_endian(at, 0xCC, value, 1)
    if value <= 0xFFFF:
        return put_big_endian(at, 0xCD, value, 2)
    if value >> 32 == 0:
        return put_big_endian(at, 0xCE, value, 4)
    return put_big_endian(at, 0xCF, value, 8)


cdef inline uint8_t* put_negative(uint8_t* at, int64_t value) noexcept nogil:
    """Write a number from -65535 to -1."""
    if value >= -32:
        at[0] = <uint8_t> value
        return at + 1
    if value >= -0x80:
        return put_big_endian(at, 0xD0, <uint64_t> value, 1)
    if value >= -0x8000:
        return put_big_endian(at, 0xD1, <uint64_t> value, 2)
    return put_big_endian(at, 0xD2, <uint64_t> value, 4)


cdef inline uint8_t* put_single(uint8_t* at, float value) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    return put_big_endian(at, 0xCA, bits, 4)


cdef inline uint8_t* put_double(uint8_t* at, double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return put_big_endian(at, 0xCB, bits, 8)


cdef inline uint8_t* put_text(uint8_t* at, const char* text, uint32_t size) noexcept nogil:
    """Write a text of up to 255 bytes."""
    if size < 32:
        at[0] = 0xA0 | <uint8_t> size
        at += 1
    else:
        at = put_big_endian(at, 0xD9, size, 1)
    memcpy(at, text, size)
    return at + size
