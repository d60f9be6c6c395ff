"""The flow key: the same for both directions, and a keyed hash of it. Inline, no state here."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from sensor.decode._frame cimport NO_VLAN, Packet
from sensor.flow._table cimport Key

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t tw_fold(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t tw_fold(uint64_t a, uint64_t b) noexcept nogil


cdef inline uint8_t make_key(Packet* packet, bint vlan_in_key, Key* key) noexcept nogil:
    """Fill the key, the same for both directions; return 0 when the lower endpoint sent the packet."""
    cdef uint64_t* source = packet.source
    cdef uint64_t* destination = packet.destination
    # Without branches: which end is lower is a toss of a coin, and each wrong guess costs the time of ten divisions.
    cdef bint lower = (source[0] < destination[0]) | (source[0] == destination[0]) & (
        (source[1] < destination[1])
        | (source[1] == destination[1]) & (packet.source_port <= packet.destination_port)
    )
    cdef uint64_t* low = source if lower else destination
    cdef uint64_t* high = destination if lower else source
    key.low[0] = low[0]
    key.low[1] = low[1]
    key.high[0] = high[0]
    key.high[1] = high[1]
    key.low_port = packet.source_port if lower else packet.destination_port
    key.high_port = packet.destination_port if lower else packet.source_port
    key.vlan = packet.vlan if vlan_in_key else NO_VLAN
    key.protocol = packet.protocol
    key.ip_version = packet.ip_version
    return not lower


cdef inline uint64_t key_tail(Key* key) noexcept nogil:
    return (
        <uint64_t> key.low_port << 48 | <uint64_t> key.high_port << 32
        | <uint64_t> key.vlan << 16 | <uint64_t> key.protocol << 8 | key.ip_version
    )


cdef inline bint same_key(Key* one, Key* other) noexcept nogil:
    return (
        one.low[0] == other.low[0] and one.high[0] == other.high[0] and key_tail(one) == key_tail(other)
        and one.low[1] == other.low[1] and one.high[1] == other.high[1]
    )


cdef inline uint32_t hash_key(Key* key, uint64_t* seed) noexcept nogil:
    """A keyed hash by folded multiplication; the seed is secret and drawn anew for every run."""
    cdef uint64_t mixed = tw_fold(key.low[0] ^ seed[0], key.high[0] ^ seed[1])
    mixed ^= tw_fold(key.low[1] ^ seed[2], key.high[1] ^ seed[3])
    mixed = tw_fold(mixed ^ seed[1], key_tail(key) ^ seed[2])
    return <uint32_t> (tw_fold(mixed ^ seed[3], <uint64_t> 0x9E3779B97F4A7C15) >> 16)
