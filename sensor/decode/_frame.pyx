# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One frame's bytes into one Packet: link layer, IPv4/IPv6, TCP/UDP/ICMP.

Every read is checked against what was captured.  All counters come from the headers, so a short
snap length changes nothing but how far the decoder can see.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from sensor.decode._frame cimport (
    ACCEPTED, BAD_IP, BAD_TRANSPORT, FRAGMENT, NO_VLAN, NOT_IP, OTHER_PROTOCOL, PROTO_ICMP,
    PROTO_ICMP6, PROTO_TCP, PROTO_UDP, REJECT_COUNT, TRUNCATED_IP, TRUNCATED_LINK,
    TRUNCATED_TRANSPORT, UNKNOWN_LINK_TYPE, Packet, Reject,
)

REJECT_REASONS = (
    "accepted", "unknown_link_type", "truncated_link", "not_ip", "truncated_ip", "bad_ip", "fragment",
    "other_protocol", "truncated_transport", "bad_transport", "bad_time", "no_memory",
)
assert len(REJECT_REASONS) == REJECT_COUNT

# Link types by their registered numbers (LINKTYPE_*), and libpcap's own for raw IP (DLT_RAW).
SUPPORTED_LINK_TYPES = {
    0: "BSD loopback", 1: "Ethernet", 12: "raw IP", 14: "raw IP", 101: "raw IP", 108: "OpenBSD loopback",
    113: "Linux cooked", 228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked v2",
}

cdef enum:
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_VLAN = 0x8100
    ETHERTYPE_QINQ = 0x88A8
    ETHERTYPE_QINQ_OLD = 0x9100
    ETHERTYPE_MPLS = 0x8847
    ETHERTYPE_PPPOE = 0x8864
    ETHERTYPE_BY_VERSION = 0    # raw IP: the first nibble says which
    MAX_TAGS = 8
    LONGEST_OFFLOAD = 1 << 20   # no card takes more at once; beyond it the length is unknown, or made up
    MAX_EXTENSION_HEADERS = 16


cdef inline uint16_t be16(const uint8_t* at) noexcept nogil:
    return <uint16_t> ((at[0] << 8) | at[1])


cdef inline uint32_t be32(const uint8_t* at) noexcept nogil:
    return (<uint32_t> at[0] << 24) | (<uint32_t> at[1] << 16) | (<uint32_t> at[2] << 8) | at[3]


cdef Reject decode_frame(
    int link_type, const uint8_t* frame, uint32_t captured, uint32_t length, Packet* packet
) noexcept nogil:
    """Fill ``packet`` (all but its time) from a frame, or say why it cannot be counted."""
    cdef uint32_t offset
    cdef uint16_t ether_type
    packet.vlan = NO_VLAN
    packet.tcp_flags = 0
    packet.sequence = 0
    packet.acknowledgement = 0
    packet.window = 0
    packet.content = NULL
    packet.content_bytes = 0
    if captured > length:
        captured = length
    if link_type == 1:
        if captured < 14:
            return TRUNCATED_LINK
        ether_type = be16(frame + 12)
        offset = 14
    elif link_type in (12, 14, 101, 228, 229):
        ether_type = ETHERTYPE_BY_VERSION
        offset = 0
    elif link_type == 113:
        if captured < 16:
            return TRUNCATED_LINK
        ether_type = be16(frame + 14)
        offset = 16
    elif link_type == 276:
        if captured < 20:
            return TRUNCATED_LINK
        ether_type = be16(frame)
        offset = 20
    elif link_type in (0, 108):
        # The address family is in the byte order of the capturing host and differs among systems;
        # what follows says itself which IP it is.
        ether_type = ETHERTYPE_BY_VERSION
        offset = 4
    else:
        return UNKNOWN_LINK_TYPE
    return decode_network(ether_type, frame, offset, captured, length, packet)


cdef Reject decode_network(
    uint16_t ether_type, const uint8_t* frame, uint32_t offset, uint32_t captured, uint32_t length, Packet* packet
) noexcept nogil:
    """Peel VLAN tags, MPLS labels and PPPoE off, then decode the IP packet beneath."""
    cdef int tags = 0
    while ether_type in (ETHERTYPE_VLAN, ETHERTYPE_QINQ, ETHERTYPE_QINQ_OLD):
        if captured < offset + 4:
            return TRUNCATED_LINK
        if packet.vlan == NO_VLAN and be16(frame + offset) & 0x0FFF:    # 0 only carries a priority
            packet.vlan = be16(frame + offset) & 0x0FFF
        ether_type = be16(frame + offset + 2)
        offset += 4
        tags += 1
        if tags > MAX_TAGS:
            return NOT_IP
    if ether_type == ETHERTYPE_PPPOE:
        if captured < offset + 8:
            return TRUNCATED_LINK
        if be16(frame + offset + 6) not in (0x0021, 0x0057):
            return NOT_IP
        ether_type = ETHERTYPE_BY_VERSION
        offset += 8
    elif ether_type == ETHERTYPE_MPLS:
        tags = 0
        while True:
            if captured < offset + 4:
                return TRUNCATED_LINK
            offset += 4
            if frame[offset - 2] & 1:   # bottom of the stack (RFC 3032)
                break
            tags += 1
            if tags > MAX_TAGS:
                return NOT_IP
        ether_type = ETHERTYPE_BY_VERSION
    if captured <= offset:
        return TRUNCATED_IP
    if ether_type == ETHERTYPE_BY_VERSION:
        if frame[offset] >> 4 == 4:
            ether_type = ETHERTYPE_IPV4
        elif frame[offset] >> 4 == 6:
            ether_type = ETHERTYPE_IPV6
    if ether_type == ETHERTYPE_IPV4:
        return decode_ipv4(frame + offset, captured - offset, length - offset, packet)
    if ether_type == ETHERTYPE_IPV6:
        return decode_ipv6(frame + offset, captured - offset, length - offset, packet)
    return NOT_IP


cdef Reject decode_ipv4(const uint8_t* ip, uint32_t captured, uint32_t length, Packet* packet) noexcept nogil:
    """RFC 791. ``length`` is what the link carried, padding included."""
    cdef uint32_t header_bytes, total_bytes
    cdef uint16_t fragment
    if captured < 20:
        return TRUNCATED_IP
    header_bytes = (ip[0] & 0x0F) * 4
    total_bytes = be16(ip + 2)
    if total_bytes == 0:        # segmentation offload: the card had not filled it in yet
        total_bytes = length if length <= LONGEST_OFFLOAD else captured
    if ip[0] >> 4 != 4 or header_bytes < 20 or total_bytes < header_bytes or total_bytes > length:
        return BAD_IP
    packet.ip_version = 4
    packet.wire_bytes = total_bytes
    packet.source[0] = packet.source[1] = packet.destination[0] = packet.destination[1] = 0
    memcpy(packet.source, ip + 12, 4)
    memcpy(packet.destination, ip + 16, 4)
    fragment = be16(ip + 6)
    if fragment & 0x1FFF:
        return FRAGMENT
    if captured < header_bytes:
        return TRUNCATED_IP
    packet.protocol = ip[9]
    if captured > total_bytes:
        captured = total_bytes  # the rest is link padding
    return decode_transport(ip + header_bytes, captured - header_bytes, total_bytes - header_bytes, packet)


cdef Reject decode_ipv6(const uint8_t* ip, uint32_t captured, uint32_t length, Packet* packet) noexcept nogil:
    """RFC 8200, extension headers followed to the transport header."""
    cdef uint32_t offset = 40, total_bytes, extension_bytes
    cdef uint8_t following
    cdef int headers = 0
    if captured < 40:
        return TRUNCATED_IP
    total_bytes = 40 + be16(ip + 4)
    if total_bytes == 40:       # jumbogram or segmentation offload
        total_bytes = length if length <= LONGEST_OFFLOAD else captured
    if ip[0] >> 4 != 6 or total_bytes > length:
        return BAD_IP
    packet.ip_version = 6
    packet.wire_bytes = total_bytes
    memcpy(packet.source, ip + 8, 16)
    memcpy(packet.destination, ip + 24, 16)
    if captured > total_bytes:
        captured = total_bytes
    following = ip[6]
    while following in (0, 43, 44, 51, 60, 135):
        if captured < offset + 8:
            return TRUNCATED_IP
        if following == 44 and be16(ip + offset + 2) & 0xFFF8:
            return FRAGMENT
        if following == 44:
            extension_bytes = 8
        elif following == 51:
            extension_bytes = (ip[offset + 1] + 2) * 4
        else:
            extension_bytes = (ip[offset + 1] + 1) * 8
        following = ip[offset]
        offset += extension_bytes
        headers += 1
        if offset > total_bytes or headers > MAX_EXTENSION_HEADERS:
            return BAD_IP
        if offset > captured:
            return TRUNCATED_IP
    packet.protocol = following
    return decode_transport(ip + offset, captured - offset, total_bytes - offset, packet)


cdef Reject decode_transport(const uint8_t* at, uint32_t captured, uint32_t length, Packet* packet) noexcept nogil:
    """TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443)."""
    cdef uint32_t header_bytes
    if packet.protocol == PROTO_TCP:
        if length < 20:
            return BAD_TRANSPORT
        if captured < 14:       # up to the flags: all that the flow table needs
            return TRUNCATED_TRANSPORT
        header_bytes = (at[12] >> 4) * 4
        if header_bytes < 20 or header_bytes > length:
            return BAD_TRANSPORT
        packet.sequence = be32(at + 4)
        packet.acknowledgement = be32(at + 8)
        packet.tcp_flags = at[13]
        packet.window = be16(at + 14) if captured >= 16 else 0xFFFF     # cut before it: not known to be zero
    elif packet.protocol == PROTO_UDP:
        if length < 8:
            return BAD_TRANSPORT
        if captured < 4:
            return TRUNCATED_TRANSPORT
        header_bytes = 8
    elif packet.protocol == PROTO_ICMP or packet.protocol == PROTO_ICMP6:
        if length < 4:
            return BAD_TRANSPORT
        if captured < 2:
            return TRUNCATED_TRANSPORT
        packet.source_port = at[0]
        packet.destination_port = icmp_counterpart(packet.protocol, at[0], at[1])
        packet.payload_bytes = length - 8 if length > 8 else 0
        take_content(packet, at, 8, captured)
        return ACCEPTED
    else:
        return OTHER_PROTOCOL
    packet.source_port = be16(at)
    packet.destination_port = be16(at + 2)
    packet.payload_bytes = length - header_bytes
    take_content(packet, at, header_bytes, captured)
    return ACCEPTED


cdef inline void take_content(
    Packet* packet, const uint8_t* at, uint32_t header_bytes, uint32_t captured
) noexcept nogil:
    """Point at the payload that follows a transport header, as far as it was captured."""
    if captured > header_bytes:
        packet.content = at + header_bytes
        packet.content_bytes = captured - header_bytes


cdef uint16_t icmp_counterpart(uint8_t protocol, uint8_t kind, uint8_t code) noexcept nogil:
    """Return the type that answers this one, so that question and answer share a flow; else the code.

    The pairs are Zeek's: echo, timestamp, information, mask, router; for IPv6 also neighbour discovery.
    """
    if protocol == PROTO_ICMP:
        if kind in (8, 0):
            return 8 - kind
        if kind in (9, 10):
            return 19 - kind
        if 13 <= kind <= 18:
            return kind + 1 if kind & 1 else kind - 1
    else:
        if kind in (128, 129):
            return 257 - kind
        if 133 <= kind <= 136:
            return kind + 1 if kind & 1 else kind - 1
        if kind in (139, 140):
            return 279 - kind
    return code


def decode(int link_type, const uint8_t[::1] frame not None, length=None):
    """Return what the decoder sees in one frame, for tests and explanations.

    A dict with the Packet's fields, or with only ``rejected``, the reason. ``length`` is the frame's
    length on the wire where the capture cut it.
    """
    cdef Packet packet
    cdef Reject reason
    cdef const uint8_t* at = &frame[0] if frame.shape[0] else NULL
    memset(&packet, 0, sizeof(packet))
    reason = decode_frame(link_type, at, <uint32_t> frame.shape[0],
                          <uint32_t> (frame.shape[0] if length is None else length), &packet)
    if reason != ACCEPTED:
        return {"rejected": REJECT_REASONS[<int> reason]}
    size = 4 if packet.ip_version == 4 else 16
    return {
        "ip_version": packet.ip_version,
        "protocol": packet.protocol,
        "source": (<uint8_t*> packet.source)[:size],
        "destination": (<uint8_t*> packet.destination)[:size],
        "source_port": packet.source_port,
        "destination_port": packet.destination_port,
        "vlan": None if packet.vlan == NO_VLAN else packet.vlan,
        "wire_bytes": packet.wire_bytes,
        "payload_bytes": packet.payload_bytes,
        "tcp_flags": packet.tcp_flags,
        "sequence": packet.sequence,
        "acknowledgement": packet.acknowledgement,
        "window": packet.window,
        "content": packet.content[:packet.content_bytes] if packet.content_bytes else b"",
    }
