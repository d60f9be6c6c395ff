# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One frame's bytes into one Packet: link layer, IPv4/IPv6, TCP/UDP/ICMP, the innermost where tunnels nest.

Every read is checked against what was captured.  All counters come from the headers, so a short
snap length changes nothing but how far the decoder can see.  What is rare is kept out of line, so
that plain frames pay nothing for it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from sensor.decode._frame cimport (
    ACCEPTED, BAD_IP, BAD_TRANSPORT, ENCAPSULATED, ETHERTYPE_BY_VERSION, ETHERTYPE_IPV4, ETHERTYPE_IPV6, FRAGMENT,
    NO_VLAN, OTHER_PROTOCOL, PROTO_GRE, PROTO_ICMP, PROTO_ICMP6, PROTO_IPV4, PROTO_IPV6, PROTO_TCP, PROTO_UDP,
    REJECT_COUNT, TOO_DEEP, TRUNCATED_IP, TRUNCATED_TRANSPORT, Layer, Packet, Piece, Reject,
)
from sensor.decode._link cimport be16, be32, open_layers, open_link
from sensor.decode._tunnel cimport MAX_TUNNELS, PORT_GENEVE, PORT_VXLAN, open_tunnel

REJECT_REASONS = (
    "accepted", "unknown_link_type", "truncated_link", "not_ip", "truncated_ip", "bad_ip", "fragment",
    "other_protocol", "truncated_transport", "bad_transport", "bad_time", "no_memory", "encrypted", "too_deep",
    "fragment_incomplete", "fragment_bad",
)
assert len(REJECT_REASONS) == REJECT_COUNT

# Link types by their registered numbers (LINKTYPE_*), and libpcap's own for raw IP (DLT_RAW).
SUPPORTED_LINK_TYPES = {
    0: "BSD loopback", 1: "Ethernet", 9: "PPP", 12: "raw IP", 14: "raw IP", 50: "PPP in HDLC framing", 51: "PPPoE",
    101: "raw IP", 104: "Cisco HDLC", 105: "802.11", 108: "OpenBSD loopback", 113: "Linux cooked",
    119: "802.11 with Prism header", 127: "802.11 with radiotap", 163: "802.11 with AVS header",
    166: "PPP with direction", 192: "PPI", 204: "PPP with direction", 228: "raw IPv4", 229: "raw IPv6",
    239: "NFLOG", 276: "Linux cooked v2",
}

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define tw_rare(condition) __builtin_expect(!!(condition), 0)
    /* Eight bytes whose first four are those at ``at``, the rest zero. Made in a register: bytes written in
       two steps and read back in one keep the processor waiting. */
    static inline uint64_t tw_first_four(const uint8_t* at) {
        uint32_t four;
        memcpy(&four, at, 4);
        return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (uint64_t)four << 32 : four;
    }
    """
    bint tw_rare(bint condition) noexcept nogil
    uint64_t tw_first_four(const uint8_t* at) noexcept nogil

cdef enum:
    LONGEST_OFFLOAD = 1 << 20   # no card takes more at once; beyond it the length is unknown, or made up
    MAX_EXTENSION_HEADERS = 16


cdef inline void clear(Packet* packet) noexcept nogil:
    """Set what not every packet has."""
    packet.tcp_flags = 0
    packet.sequence = 0
    packet.acknowledgement = 0
    packet.window = 0
    packet.content = NULL
    packet.content_bytes = 0


cdef Reject decode_frame(
    int link_type, const uint8_t* frame, uint32_t captured, uint32_t length, Packet* packet, Piece* piece
) noexcept nogil:
    """Fill ``packet`` (all but its time) from a frame, or say why it cannot be counted.

    FRAGMENT: ``piece`` is filled, and of the packet the addresses and the VLAN.
    """
    cdef Layer layer
    cdef Reject reason
    packet.vlan = NO_VLAN
    clear(packet)
    if captured > length:
        captured = length
    if link_type == 1 and captured >= 14 and be16(frame + 12) == ETHERTYPE_IPV4:    # nearly all frames
        reason = decode_ipv4(frame + 14, captured - 14, length - 14, packet, piece)
    else:
        layer.at = frame
        layer.captured = captured
        layer.length = length
        reason = open_link(link_type, &layer)
        if reason != ACCEPTED:
            return reason
        reason = decode_layer(&layer, packet, piece)
    if tw_rare(reason == ENCAPSULATED):
        return decode_inside(0, packet, piece)
    return reason


cdef Reject decode_datagram(
    const uint8_t* ip, uint32_t captured, uint32_t length, int depth, Packet* packet, Piece* piece
) noexcept nogil:
    """Do the same from an IP header on, which ``depth`` tunnels are around; the packet keeps its VLAN."""
    cdef Layer layer
    cdef Reject reason
    clear(packet)
    layer.at = ip
    layer.captured = captured
    layer.length = length
    layer.ether_type = ETHERTYPE_BY_VERSION
    reason = decode_layer(&layer, packet, piece)
    if reason == ENCAPSULATED:
        return decode_inside(depth, packet, piece)
    if reason == FRAGMENT:
        piece.depth = <uint8_t> depth
    return reason


cdef Reject decode_inside(int depth, Packet* packet, Piece* piece) noexcept nogil:
    """Open the tunnel that ``packet`` was found to be, and the tunnels in it, to the innermost packet.

    A UDP packet whose inside cannot be counted stays what it is.
    """
    cdef Packet outer
    cdef Layer layer
    cdef bint stays = False
    cdef Reject reason = ENCAPSULATED
    while reason == ENCAPSULATED:
        if packet.protocol == PROTO_UDP:
            outer = packet[0]
            stays = True
        layer.at = packet.content
        layer.captured = packet.content_bytes
        layer.length = packet.payload_bytes
        depth += 1
        reason = TOO_DEEP if depth > MAX_TUNNELS else open_tunnel(packet, &layer)
        if reason == ACCEPTED:
            clear(packet)
            reason = decode_layer(&layer, packet, piece)
    if reason == FRAGMENT:
        piece.depth = <uint8_t> depth
    elif reason != ACCEPTED and stays:
        packet[0] = outer
        return ACCEPTED
    return reason


cdef inline Reject decode_layer(Layer* layer, Packet* packet, Piece* piece) noexcept nogil:
    """Decode the IP packet beneath whatever stands before it."""
    cdef Reject reason
    if layer.ether_type != ETHERTYPE_IPV4 and layer.ether_type != ETHERTYPE_IPV6:
        reason = open_layers(layer, packet)
        if reason != ACCEPTED:
            return reason
    if layer.ether_type == ETHERTYPE_IPV4:
        return decode_ipv4(layer.at, layer.captured, layer.length, packet, piece)
    return decode_ipv6(layer.at, layer.captured, layer.length, packet, piece)


cdef inline Reject decode_ipv4(
    const uint8_t* ip, uint32_t captured, uint32_t length, Packet* packet, Piece* piece
) noexcept nogil:
    """RFC 791. ``length`` is what the link carried, padding included."""
    cdef uint32_t header_bytes, total_bytes
    if captured < 20:
        return TRUNCATED_IP
    header_bytes = (ip[0] & 0x0F) * 4
    total_bytes = be16(ip + 2)
    if total_bytes == 0:        # segmentation offload: the card had not filled it in yet
        total_bytes = length if length <= LONGEST_OFFLOAD else captured
    if ip[0] >> 4 != 4 or header_bytes < 20 or total_bytes < header_bytes or total_bytes > length:
        return BAD_IP
    packet.ip_version = 4
    packet.protocol = ip[9]
    packet.wire_bytes = total_bytes
    packet.source[0] = tw_first_four(ip + 12)
    packet.destination[0] = tw_first_four(ip + 16)
    packet.source[1] = packet.destination[1] = 0
    if captured > total_bytes:
        captured = total_bytes  # the rest is link padding
    if tw_rare(be16(ip + 6) & 0x3FFF):
        piece.id = be16(ip + 4)
        piece.protocol = ip[9]
        piece.offset = (be16(ip + 6) & 0x1FFF) * 8
        piece.more = be16(ip + 6) & 0x2000 != 0
        return note_fragment(ip, header_bytes, header_bytes, captured, total_bytes, piece)
    if captured < header_bytes:
        return TRUNCATED_IP
    return decode_transport(ip + header_bytes, captured - header_bytes, total_bytes - header_bytes, packet)


cdef inline Reject decode_ipv6(
    const uint8_t* ip, uint32_t captured, uint32_t length, Packet* packet, Piece* piece
) noexcept nogil:
    """RFC 8200, extension headers followed to the transport header."""
    cdef uint32_t offset = 40, total_bytes, extension_bytes, named_at = 6
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
        if following == 44 and be16(ip + offset + 2) & 0xFFF9:
            piece.id = be32(ip + offset + 4)
            piece.protocol = ip[offset]
            piece.offset = be16(ip + offset + 2) & 0xFFF8
            piece.more = ip[offset + 3] & 1
            piece.next_header_at = named_at
            return note_fragment(ip, offset, offset + 8, captured, total_bytes, piece)
        if following == 44:
            extension_bytes = 8
        elif following == 51:
            extension_bytes = (ip[offset + 1] + 2) * 4
        else:
            extension_bytes = (ip[offset + 1] + 1) * 8
        following = ip[offset]
        named_at = offset
        offset += extension_bytes
        headers += 1
        if offset > total_bytes or headers > MAX_EXTENSION_HEADERS:
            return BAD_IP
        if offset > captured:
            return TRUNCATED_IP
    packet.protocol = following
    return decode_transport(ip + offset, captured - offset, total_bytes - offset, packet)


cdef Reject note_fragment(
    const uint8_t* ip, uint32_t header_bytes, uint32_t data_at, uint32_t captured, uint32_t total_bytes, Piece* piece
) noexcept nogil:
    """Describe a fragment's header and data. The first fragment's header is needed whole."""
    if piece.offset == 0 and captured < data_at:
        return TRUNCATED_IP
    piece.header = ip
    piece.header_bytes = header_bytes
    piece.data_bytes = total_bytes - data_at
    piece.captured = captured - data_at if captured > data_at else 0
    piece.data = ip + data_at if piece.captured else NULL
    piece.depth = 0
    return FRAGMENT


cdef inline Reject decode_transport(
    const uint8_t* at, uint32_t captured, uint32_t length, Packet* packet
) noexcept nogil:
    """TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443); ENCAPSULATED for what is a tunnel."""
    cdef uint32_t header_bytes
    cdef Reject outcome = ACCEPTED
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
        if be16(at + 2) in (PORT_VXLAN, PORT_GENEVE):
            outcome = ENCAPSULATED
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
    elif packet.protocol in (PROTO_GRE, PROTO_IPV4, PROTO_IPV6):
        packet.payload_bytes = length
        take_content(packet, at, 0, captured)
        return ENCAPSULATED
    else:
        return OTHER_PROTOCOL
    packet.source_port = be16(at)
    packet.destination_port = be16(at + 2)
    packet.payload_bytes = length - header_bytes
    take_content(packet, at, header_bytes, captured)
    return outcome


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
    cdef Piece piece
    cdef Reject reason
    cdef const uint8_t* at = &frame[0] if frame.shape[0] else NULL
    memset(&packet, 0, sizeof(packet))
    reason = decode_frame(link_type, at, <uint32_t> frame.shape[0],
                          <uint32_t> (frame.shape[0] if length is None else length), &packet, &piece)
    return describe(reason, &packet)


cdef dict describe(Reject reason, Packet* packet):
    """Return the packet's fields, or the reason why there is none."""
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
