"""Tunnel headers: GRE, VXLAN, Geneve, IP in IP. Inline, no state here."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor.decode._frame cimport (
    ACCEPTED, ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_PPP, NOT_IP, PROTO_GRE, PROTO_IPV4,
    PROTO_IPV6, PROTO_UDP, TRUNCATED_LINK, Layer, Packet, Reject,
)
from sensor.decode._link cimport be16, shorten, skip

cdef enum:
    PORT_VXLAN = 4789
    PORT_GENEVE = 6081
    MAX_TUNNELS = 4         # inside one another
    GRE_CHECKSUM = 0x8000
    GRE_ROUTING = 0x4000
    GRE_KEY = 0x2000
    GRE_SEQUENCE = 0x1000
    GRE_ACKNOWLEDGEMENT = 0x0080
    ERSPAN_2 = 0x88BE
    ERSPAN_3 = 0x22EB


cdef inline Reject open_tunnel(Packet* outer, Layer* layer) noexcept nogil:
    """Step from a tunnel's header to what it carries."""
    if outer.protocol == PROTO_IPV4:
        layer.ether_type = ETHERTYPE_IPV4
        return ACCEPTED
    if outer.protocol == PROTO_IPV6:
        layer.ether_type = ETHERTYPE_IPV6
        return ACCEPTED
    if outer.protocol == PROTO_GRE:
        return open_gre(layer)
    return open_vxlan(layer) if outer.destination_port == PORT_VXLAN else open_geneve(layer)


cdef inline Reject open_vxlan(Layer* layer) noexcept nogil:
    """RFC 7348: a valid network identifier, then an Ethernet frame."""
    if not skip(layer, 8):
        return TRUNCATED_LINK
    layer.ether_type = ETHERTYPE_ETHERNET
    return ACCEPTED if layer.at[-8] & 0x08 else NOT_IP


cdef inline Reject open_geneve(Layer* layer) noexcept nogil:
    """RFC 8926: version 0, options, not a control packet."""
    cdef const uint8_t* header = layer.at
    if not skip(layer, 8):
        return TRUNCATED_LINK
    if header[0] >> 6 != 0 or header[1] & 0x80:
        return NOT_IP
    layer.ether_type = be16(header + 2)
    return ACCEPTED if skip(layer, (header[0] & 0x3F) * 4) else TRUNCATED_LINK


cdef inline Reject open_gre(Layer* layer) noexcept nogil:
    """RFC 2784 with RFC 2890's key and sequence number; version 1 is PPTP's (RFC 2637)."""
    cdef uint16_t flags
    cdef uint32_t header_bytes = 4
    if layer.captured < 4:
        return TRUNCATED_LINK
    flags = be16(layer.at)
    layer.ether_type = be16(layer.at + 2)
    if flags & GRE_ROUTING or flags & 7 > 1 or layer.ether_type < 0x600:
        return NOT_IP
    if flags & 7 == 1:
        return open_pptp(flags, layer)
    if flags & GRE_CHECKSUM:
        header_bytes += 4
    if flags & GRE_KEY:
        header_bytes += 4
    if flags & GRE_SEQUENCE:
        header_bytes += 4
    if not skip(layer, header_bytes):
        return TRUNCATED_LINK
    if layer.ether_type in (ERSPAN_2, ERSPAN_3):
        return open_erspan(layer, flags & GRE_SEQUENCE)
    return ACCEPTED


cdef inline Reject open_pptp(uint16_t flags, Layer* layer) noexcept nogil:
    """RFC 2637, 4.1: the key holds the payload's length; without a sequence number there is no payload."""
    cdef uint32_t length, header_bytes = 12 + (4 if flags & GRE_ACKNOWLEDGEMENT else 0)
    if not flags & GRE_KEY or flags & GRE_CHECKSUM or layer.ether_type != ETHERTYPE_PPP or not flags & GRE_SEQUENCE:
        return NOT_IP
    if layer.captured < header_bytes:
        return TRUNCATED_LINK
    length = be16(layer.at + 4)
    skip(layer, header_bytes)
    shorten(layer, length)
    return ACCEPTED


cdef inline Reject open_erspan(Layer* layer, bint numbered) noexcept nogil:
    """Mirrored frames (draft-foschiano-erspan): type I has no header of its own, II has 8 bytes, III 12 or 20."""
    cdef uint32_t header_bytes = 8 if numbered else 0
    if layer.ether_type == ERSPAN_3:
        if layer.captured < 12:
            return TRUNCATED_LINK
        header_bytes = 20 if layer.at[11] & 1 else 12
    layer.ether_type = ETHERTYPE_ETHERNET
    return ACCEPTED if skip(layer, header_bytes) else TRUNCATED_LINK
