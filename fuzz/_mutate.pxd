"""Frames to be changed, and the dice that say how. The same seed throws the same numbers for ever."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    CAPACITY = 1 << 17      # of a frame in work; what is put together stays within it

cdef struct Dice:
    uint64_t state

cdef struct Frame:
    uint8_t* bytes
    uint32_t captured
    uint32_t beyond         # length on the wire minus captured, modulo 2**32
    int64_t time_ns
    int link_type

cdef struct Heading:
    # What comes before an IP packet on one kind of link.
    int link_type
    uint32_t size
    uint8_t[64] bytes       # the ether type, where there is one, is that of ip_version
    uint8_t ip_version


cdef inline uint64_t throw(Dice* dice) noexcept nogil:
    """SplitMix64 (Steele, Lea, Flood 2014)."""
    cdef uint64_t z
    dice.state += <uint64_t> 0x9E3779B97F4A7C15
    z = dice.state
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint32_t below(Dice* dice, uint32_t limit) noexcept nogil:
    """Return 0 to limit - 1; 0 for a limit of 0."""
    return <uint32_t> (((throw(dice) >> 32) * limit) >> 32)


cdef inline bint one_in(Dice* dice, uint32_t odds) noexcept nogil:
    return below(dice, odds) == 0


cdef inline uint16_t be16(const uint8_t* at) noexcept nogil:
    return <uint16_t> ((at[0] << 8) | at[1])


cdef inline void put16(uint8_t* at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t> (value >> 8)
    at[1] = <uint8_t> value


cdef inline void put32(uint8_t* at, uint32_t value) noexcept nogil:
    put16(at, value >> 16)
    put16(at + 2, value)


cdef inline uint32_t be32(const uint8_t* at) noexcept nogil:
    return <uint32_t> be16(at) << 16 | be16(at + 2)


cdef uint32_t odd_value(Dice* dice, uint32_t now) noexcept nogil
cdef uint32_t find_ip(Dice* dice, Frame* frame) noexcept nogil
cdef uint32_t transport_at(Frame* frame, uint32_t ip) noexcept nogil
cdef bint insert(Frame* frame, uint32_t at, const uint8_t* bytes_, uint32_t size) noexcept nogil
cdef void change(Dice* dice, Frame* frame, Frame* other, Heading* headings, uint32_t heading_count) noexcept nogil
