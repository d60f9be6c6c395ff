# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Changes to one frame: of any bytes, of header fields where they are, of what lies around the IP packet."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memmove, memset

from fuzz._mutate cimport (
    CAPACITY, Dice, Frame, Heading, be16, be32, below, one_in, put16, put32, throw,
)

cdef enum:
    SEARCHED = 160          # bytes in which IP headers are looked for
    MAX_WRAPPED = 1 << 16   # no tunnel is put around more than this

cdef uint8_t[16] PROTOCOLS = [6, 17, 1, 58, 47, 4, 41, 0, 43, 44, 51, 60, 135, 50, 59, 132]
cdef uint8_t[10] EXTENSIONS = [0, 43, 44, 51, 60, 135, 139, 140, 50, 59]
cdef uint16_t[12] FRAGMENTS = [0, 0x2000, 0x1FFF, 0x3FFF, 1, 0x2001, 0x4000, 0x8000, 0x20B9, 0xB9, 0x2002, 0xFFFF]
cdef uint16_t[12] ETHER_TYPES = [
    0x0800, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x8847, 0x8848, 0x8864, 0x6558, 0x88BE, 0x880B, 0x0806
]
cdef uint16_t[12] PORTS = [4789, 8472, 6081, 2152, 1701, 3544, 53, 80, 443, 0, 65535, 1024]
cdef uint32_t[12] LEAPS = [
    1, 0xFFFFFFFF, 0x40000000, 0x40000001, 0x3FFFFFFF, 0x80000000, 0x7FFFFFFF, 0x80000001, 0xC0000000, 1460,
    0xFFFFFA4C, 65535,
]


cdef uint32_t odd_value(Dice* dice, uint32_t now) noexcept nogil:
    """Return a value of the kind that parsers trip over, or one near the present one."""
    cdef uint32_t kind = below(dice, 12)
    if kind < 4:
        return now + below(dice, 17) - 8
    if kind == 4:
        return 0
    if kind == 5:
        return <uint32_t> 1 << below(dice, 32)
    if kind == 6:
        return (<uint32_t> 1 << below(dice, 32)) - 1
    if kind == 7:
        return <uint32_t> 0xFFFFFFFF - below(dice, 8)
    if kind == 8:
        return below(dice, 64)
    if kind == 9:
        return 0x7F + below(dice, 3)
    return <uint32_t> throw(dice)


cdef bint insert(Frame* frame, uint32_t at, const uint8_t* bytes_, uint32_t size) noexcept nogil:
    """Put bytes in at an offset; return whether there was room."""
    if at > frame.captured or size > CAPACITY - frame.captured:
        return False
    memmove(frame.bytes + at + size, frame.bytes + at, frame.captured - at)
    memcpy(frame.bytes + at, bytes_, size)
    frame.captured += size
    return True


cdef bint plausible(const uint8_t* at, uint32_t size) noexcept nogil:
    if size >= 20 and 0x45 <= at[0] <= 0x4F:
        return be16(at + 2) == 0 or 20 <= be16(at + 2) <= size + 64
    return size >= 40 and at[0] >> 4 == 6 and be16(at + 4) <= size + 64 and at[6] < 144


cdef uint32_t find_ip(Dice* dice, Frame* frame) noexcept nogil:
    """Return the offset of what looks like an IP header, any of several; ``captured`` when nothing does."""
    cdef uint32_t at, found = frame.captured, seen = 0
    for at in range(frame.captured if frame.captured < SEARCHED else SEARCHED):
        if plausible(frame.bytes + at, frame.captured - at):
            seen += 1
            if one_in(dice, seen):
                found = at
    return found


cdef uint32_t transport_at(Frame* frame, uint32_t ip) noexcept nogil:
    cdef uint32_t at = ip + (40 if frame.bytes[ip] >> 4 == 6 else (frame.bytes[ip] & 15) * 4)
    return at if at < frame.captured else frame.captured


# -- any bytes -----------------------------------------------------------------------------------------------

cdef void change_bytes(Dice* dice, Frame* frame) noexcept nogil:
    cdef uint32_t kind = below(dice, 6), at, width, i
    if frame.captured == 0:
        return
    # Headers are at the front: half of the changes go there.
    at = below(dice, frame.captured if one_in(dice, 2) or frame.captured < 80 else 80)
    if kind < 2:
        frame.bytes[at] ^= <uint8_t> (1 << below(dice, 8))
    elif kind == 2:
        frame.bytes[at] = <uint8_t> odd_value(dice, frame.bytes[at])
    elif kind == 3 and at + 2 <= frame.captured:
        put16(frame.bytes + at, odd_value(dice, be16(frame.bytes + at)))
    elif kind == 4 and at + 4 <= frame.captured:
        put32(frame.bytes + at, odd_value(dice, be32(frame.bytes + at)))
    else:
        width = 1 + below(dice, 16)
        for i in range(at, at + width if at + width < frame.captured else frame.captured):
            frame.bytes[i] = <uint8_t> throw(dice)


cdef void change_size(Dice* dice, Frame* frame) noexcept nogil:
    """Cut, or make longer; the length on the wire follows or stays."""
    cdef uint32_t before = frame.captured, more
    if one_in(dice, 3):
        more = 1 + below(dice, 1500 if one_in(dice, 8) else 32)
        if more > CAPACITY - frame.captured:
            return
        memset(frame.bytes + frame.captured, <int> (throw(dice) & 0xFF), more)
        frame.captured += more
    else:
        frame.captured = below(dice, frame.captured + 1 if one_in(dice, 2) or frame.captured < 100 else 100)
    if one_in(dice, 2):
        frame.beyond += before - frame.captured


cdef void change_length(Dice* dice, Frame* frame) noexcept nogil:
    """Let the wire have carried more than was captured, or claim that it carried less."""
    cdef uint32_t kind = below(dice, 6)
    if kind == 0:
        frame.beyond = 0xFFFFFFFF                           # a byte less
    elif kind == 1:
        frame.beyond = 1 + below(dice, 1500)
    elif kind == 2:
        frame.beyond = 0x7FFFFFFF - frame.captured          # UNKNOWN_LENGTH
    elif kind == 3:
        frame.beyond = <uint32_t> 0xFFFFFFFF - frame.captured
    elif kind == 4:
        frame.beyond = (1 << 20) + below(dice, 3) - 1 - frame.captured
    else:
        frame.beyond = odd_value(dice, frame.captured) - frame.captured


cdef void splice(Dice* dice, Frame* frame, Frame* other) noexcept nogil:
    """Go on with the rest of another frame."""
    cdef uint32_t at = below(dice, frame.captured + 1)
    cdef uint32_t from_ = at if one_in(dice, 2) and at <= other.captured else below(dice, other.captured + 1)
    cdef uint32_t size = other.captured - from_
    if size > CAPACITY - at:
        size = CAPACITY - at
    memcpy(frame.bytes + at, other.bytes + from_, size)
    frame.captured = at + size


cdef void repeat(Dice* dice, Frame* frame) noexcept nogil:
    """Take a stretch out, or put it in once more."""
    cdef uint8_t[64] copy
    cdef uint32_t at = below(dice, frame.captured + 1)
    cdef uint32_t size = below(dice, 64)
    if size > frame.captured - at:
        size = frame.captured - at
    if one_in(dice, 2):
        memmove(frame.bytes + at, frame.bytes + at + size, frame.captured - at - size)
        frame.captured -= size
    else:
        memcpy(copy, frame.bytes + at, size)
        insert(frame, at, copy, size)


# -- header fields -------------------------------------------------------------------------------------------

cdef void change_ip(Dice* dice, Frame* frame) noexcept nogil:
    cdef uint32_t at = find_ip(dice, frame)
    if at == frame.captured:
        change_bytes(dice, frame)
    elif frame.bytes[at] >> 4 == 4:
        change_ipv4(dice, frame.bytes + at, frame.captured - at)
    else:
        change_ipv6(dice, frame, at)


cdef void change_ipv4(Dice* dice, uint8_t* ip, uint32_t size) noexcept nogil:
    cdef uint32_t kind = below(dice, 10)
    cdef uint8_t[4] address
    if kind < 2:
        put16(ip + 2, odd_value(dice, size))
    elif kind == 2:
        put16(ip + 2, (ip[0] & 15) * 4 + below(dice, 24) - 2)
    elif kind == 3:
        ip[0] = <uint8_t> (0x40 | below(dice, 16))
    elif kind == 4:
        ip[0] = <uint8_t> throw(dice)
    elif kind == 5:
        ip[9] = PROTOCOLS[below(dice, 16)]
    elif kind == 6:
        put16(ip + 6, FRAGMENTS[below(dice, 12)] if one_in(dice, 2) else <uint32_t> throw(dice) & 0x3FFF)
    elif kind == 7:
        put16(ip + 4, below(dice, 4))       # few identifications, so that fragments meet
        put16(ip + 6, below(dice, 3) | (0x2000 if one_in(dice, 2) else 0))
    elif kind == 8:
        memcpy(address, ip + 12, 4)
        memcpy(ip + 12, ip + 16, 4)
        memcpy(ip + 16, address, 4)
    else:
        ip[12 + below(dice, 8)] ^= <uint8_t> (1 << below(dice, 8))


cdef void change_ipv6(Dice* dice, Frame* frame, uint32_t at) noexcept nogil:
    cdef uint8_t* ip = frame.bytes + at
    cdef uint32_t kind = below(dice, 8)
    cdef uint8_t[16] address
    if kind < 2:
        put16(ip + 4, odd_value(dice, frame.captured - at - 40))
    elif kind == 2:
        ip[6] = PROTOCOLS[below(dice, 16)]
    elif kind == 3:
        memcpy(address, ip + 8, 16)
        memcpy(ip + 8, ip + 24, 16)
        memcpy(ip + 24, address, 16)
    elif kind == 4:
        ip[8 + below(dice, 32)] ^= <uint8_t> (1 << below(dice, 8))
    elif kind == 5 and frame.captured - at > 48:
        ip[40 + below(dice, 8)] = <uint8_t> odd_value(dice, ip[41])
    else:
        extend_ipv6(dice, frame, at)


cdef void extend_ipv6(Dice* dice, Frame* frame, uint32_t at) noexcept nogil:
    """Put extension headers in front of what follows the IPv6 header."""
    cdef uint32_t count = 1 + below(dice, 20 if one_in(dice, 4) else 3), size, _i
    cdef uint8_t[32] header
    cdef uint8_t kind
    for _i in range(count):
        kind = EXTENSIONS[below(dice, 10)]
        size = 8 if kind == 44 else 8 * (1 + below(dice, 4))
        memset(header, 0, sizeof(header))
        header[0] = frame.bytes[at + 6]
        header[1] = <uint8_t> (size // 4 - 2 if kind == 51 else size // 8 - 1)
        if kind == 44:
            put16(header + 2, FRAGMENTS[below(dice, 12)])
            header[7] = <uint8_t> below(dice, 4)
        if one_in(dice, 10):
            header[1] = <uint8_t> odd_value(dice, header[1])
        if not insert(frame, at + 40, header, size):
            return
        frame.bytes[at + 6] = kind
        put16(frame.bytes + at + 4, be16(frame.bytes + at + 4) + size)


cdef void change_transport(Dice* dice, Frame* frame) noexcept nogil:
    cdef uint32_t ip = find_ip(dice, frame), at, size, kind
    cdef uint8_t* header
    if ip == frame.captured:
        change_bytes(dice, frame)
        return
    at = transport_at(frame, ip)
    header = frame.bytes + at
    size = frame.captured - at
    kind = below(dice, 8)
    if size < 16:
        change_size(dice, frame)
    elif kind == 0:
        header[12] = <uint8_t> (below(dice, 16) << 4)
    elif kind == 1:
        header[13] = <uint8_t> throw(dice)
    elif kind == 2:
        put32(header + 4, be32(header + 4) + LEAPS[below(dice, 12)])
    elif kind == 3:
        put32(header + 4, <uint32_t> throw(dice))
    elif kind == 4:
        put16(header + 4, odd_value(dice, size))        # UDP's length
    elif kind == 5:
        put16(header + 2 * below(dice, 2), PORTS[below(dice, 12)])
    elif kind == 6:
        ip = be32(header)
        put32(header, ip << 16 | ip >> 16)
    else:
        header[below(dice, 16)] = <uint8_t> odd_value(dice, header[0])


# -- what lies around ----------------------------------------------------------------------------------------

cdef void tag(Dice* dice, Frame* frame) noexcept nogil:
    """VLAN tags, MPLS labels or a PPPoE header into an Ethernet frame."""
    cdef uint32_t kind = below(dice, 4), i, count = 1 + below(dice, 11 if one_in(dice, 4) else 2)
    cdef uint8_t[44] header
    if frame.link_type != 1 or frame.captured < 14:
        change_ip(dice, frame)
        return
    if kind < 2:
        for i in range(count):
            put16(header + i * 4, ETHER_TYPES[2 + below(dice, 3)])
            put16(header + i * 4 + 2, <uint32_t> throw(dice))
        insert(frame, 12, header, count * 4)
    elif kind == 2:
        for i in range(count):
            put32(header + i * 4, <uint32_t> throw(dice))
            header[i * 4 + 2] = <uint8_t> ((header[i * 4 + 2] & 0xFE) + (1 if i + 1 == count else 0))  # bottom of stack
        insert(frame, 14, header, count * 4)
        put16(frame.bytes + 12, ETHER_TYPES[5 + below(dice, 2)])
    else:
        put32(header, 0x11000001)
        put16(header + 4, frame.captured - 12)
        put16(header + 6, 0x0057 if one_in(dice, 3) else 0xC021 if one_in(dice, 9) else 0x0021)
        insert(frame, 14, header, 8)
        put16(frame.bytes + 12, 0x8864)


cdef uint32_t gre(Dice* dice, uint8_t* at, bint inner_is_6) noexcept nogil:
    """RFC 2784, 2890 and 2637, the optional words as the flags say; return the header's bytes."""
    cdef uint32_t flags = 0, size = 4, word, bit
    if one_in(dice, 2):
        flags = (<uint32_t> throw(dice) & 0xF080) | (1 if one_in(dice, 4) else 0)
    for bit in range(12, 16):
        word = flags >> bit & 1
        size += word * 4 if bit != 14 or not flags & 0x8000 else 0     # routing shares the checksum's word
    if flags & 0x80:
        size += 4
    memset(at, 0, size)
    put16(at, flags)
    put16(at + 2, 0x86DD if inner_is_6 else 0x0800)
    if one_in(dice, 6):
        put16(at + 2, ETHER_TYPES[below(dice, 12)])
    return size


cdef uint32_t udp_tunnel(Dice* dice, uint8_t* at, uint32_t inner, bint inner_is_6) noexcept nogil:
    """UDP with VXLAN (RFC 7348), Geneve (RFC 8926) or GTP-U, and Ethernet in it but for the last."""
    cdef uint32_t kind = below(dice, 4), size = 16
    memset(at, 0, 64)
    put16(at, 50000)
    if kind == 3:
        put16(at + 2, 2152)
        put16(at + 8, 0x30FF)
        put16(at + 10, inner)
    else:
        put16(at + 2, 6081 if kind == 2 else 4789)
        if kind == 2:
            put16(at + 10, 0x6558)
            at[8] = <uint8_t> below(dice, 3)        # options, words
            size += at[8] * 4
        else:
            at[8] = 8
        size += 14
        put16(at + size - 2, 0x86DD if inner_is_6 else 0x0800)
    put16(at + 4, size + inner)
    return size


cdef void wrap(Dice* dice, Frame* frame) noexcept nogil:
    """Put the IP packet into another: IP in IP, GRE, or a tunnel over UDP."""
    cdef uint8_t[128] header
    cdef uint32_t at = find_ip(dice, frame), inner = frame.captured - at, size, kind = below(dice, 4)
    cdef bint inner_is_6, outer_is_6 = one_in(dice, 3)
    cdef uint8_t protocol
    if at == frame.captured or inner > MAX_WRAPPED - 128:
        return
    inner_is_6 = frame.bytes[at] >> 4 == 6
    size = 40 if outer_is_6 else 20
    memset(header, 0, size)
    if kind < 2:
        protocol = 41 if inner_is_6 else 4
    elif kind == 2:
        protocol = 47
        size += gre(dice, header + size, inner_is_6)
    else:
        protocol = 17
        size += udp_tunnel(dice, header + size, inner, inner_is_6)
    if outer_is_6:
        header[0] = 0x60
        put16(header + 4, size - 40 + inner)
        header[6] = protocol
        header[23] = <uint8_t> below(dice, 4)
        header[39] = <uint8_t> below(dice, 4)
    else:
        header[0] = 0x45
        put16(header + 2, size + inner)
        header[9] = protocol
        put32(header + 12, 0x0A000000 + below(dice, 4))
        put32(header + 16, 0x0A000000 + below(dice, 4))
    if at >= 2 and be16(frame.bytes + at - 2) in (0x0800, 0x86DD):
        put16(frame.bytes + at - 2, 0x86DD if outer_is_6 else 0x0800)
    insert(frame, at, header, size)


cdef void change_link(Dice* dice, Frame* frame, Heading* headings, uint32_t heading_count) noexcept nogil:
    """Say another link type, or put the IP packet on another link."""
    cdef Heading* heading = &headings[below(dice, heading_count)]
    cdef uint32_t at = find_ip(dice, frame)
    frame.link_type = heading.link_type
    if at == frame.captured or one_in(dice, 8) or heading.ip_version != frame.bytes[at] >> 4:
        return
    memmove(frame.bytes, frame.bytes + at, frame.captured - at)
    frame.captured -= at
    insert(frame, 0, heading.bytes, heading.size)
    if heading.link_type == 239 and heading.size >= 4:      # NFLOG: the payload's length is in its attribute
        frame.bytes[heading.size - 4] = <uint8_t> (frame.captured - heading.size + 4)
        frame.bytes[heading.size - 3] = <uint8_t> ((frame.captured - heading.size + 4) >> 8)


cdef void change(Dice* dice, Frame* frame, Frame* other, Heading* headings, uint32_t heading_count) noexcept nogil:
    """Make one change, of any kind."""
    cdef uint32_t kind = below(dice, 24)
    if kind < 5:
        change_bytes(dice, frame)
    elif kind < 10:
        change_ip(dice, frame)
    elif kind < 14:
        change_transport(dice, frame)
    elif kind < 16:
        change_size(dice, frame)
    elif kind == 16:
        change_length(dice, frame)
    elif kind == 17:
        splice(dice, frame, other)
    elif kind == 18:
        repeat(dice, frame)
    elif kind == 19:
        tag(dice, frame)
    elif kind < 23:
        wrap(dice, frame)
    else:
        change_link(dice, frame, headings, heading_count)
