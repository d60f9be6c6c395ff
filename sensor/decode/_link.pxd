"""Link layers and what stands between them and IP, taken off one by one. Inline, no state here."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor.decode._frame cimport (
    ACCEPTED, ENCRYPTED, ETHERTYPE_BY_VERSION, ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_LLC,
    ETHERTYPE_MPLS, ETHERTYPE_MPLS_MULTICAST, ETHERTYPE_PPP, ETHERTYPE_PPPOE, ETHERTYPE_QINQ, ETHERTYPE_QINQ_OLD,
    ETHERTYPE_VLAN, NO_VLAN, NOT_IP, TRUNCATED_IP, TRUNCATED_LINK, UNKNOWN_LINK_TYPE, Layer, Packet, Reject,
)

cdef enum:
    MAX_LAYERS = 12         # between the link layer and IP
    MAX_TAGS = 8            # VLAN tags, or MPLS labels
    MAX_ATTRIBUTES = 64     # of an NFLOG or PPI header
    PRISM_HEADER_BYTES = 144
    NFULA_PAYLOAD = 9
    PPI_80211_COMMON = 2
    LINK_80211 = 105


cdef inline uint16_t be16(const uint8_t* at) noexcept nogil:
    return <uint16_t> ((at[0] << 8) | at[1])


cdef inline uint32_t be32(const uint8_t* at) noexcept nogil:
    return (<uint32_t> at[0] << 24) | (<uint32_t> at[1] << 16) | (<uint32_t> at[2] << 8) | at[3]


cdef inline uint16_t le16(const uint8_t* at) noexcept nogil:
    return <uint16_t> ((at[1] << 8) | at[0])


cdef inline uint32_t le32(const uint8_t* at) noexcept nogil:
    return (<uint32_t> at[3] << 24) | (<uint32_t> at[2] << 16) | (<uint32_t> at[1] << 8) | at[0]


cdef inline bint skip(Layer* layer, uint32_t count) noexcept nogil:
    """Step over a header; return whether all of it was captured."""
    if layer.captured < count:
        return False
    layer.at += count
    layer.captured -= count
    layer.length -= count
    return True


cdef inline void shorten(Layer* layer, uint32_t length) noexcept nogil:
    """Leave off what a header says is not the layer's own: padding, check sequences."""
    if layer.length > length:
        layer.length = length
    if layer.captured > layer.length:
        layer.captured = layer.length


cdef inline Reject open_ethernet(Layer* layer) noexcept nogil:
    if not skip(layer, 14):
        return TRUNCATED_LINK
    layer.ether_type = be16(layer.at - 2)
    return ACCEPTED


cdef inline Reject open_link(int link_type, Layer* layer) noexcept nogil:
    """Open any supported link layer, by its LINKTYPE_ number."""
    cdef Reject reason
    if link_type == 192:
        reason = open_ppi(layer, &link_type)
        if reason != ACCEPTED:
            return reason
    if link_type == 1:
        return open_ethernet(layer)
    if link_type in (12, 14, 101, 228, 229):
        layer.ether_type = ETHERTYPE_BY_VERSION
        return ACCEPTED
    if link_type in (0, 108):
        # The address family is in the byte order of the capturing host and differs among systems;
        # what follows says itself which IP it is.
        layer.ether_type = ETHERTYPE_BY_VERSION
        return ACCEPTED if skip(layer, 4) else TRUNCATED_LINK
    if link_type in (113, 276):
        return open_cooked(layer, link_type == 276)
    if link_type in (9, 50, 51, 104, 166, 204):
        return open_serial(link_type, layer)
    if link_type in (LINK_80211, 119, 127, 163):
        return open_wireless(link_type, layer)
    if link_type == 239:
        return open_nflog(layer)
    return UNKNOWN_LINK_TYPE


cdef inline Reject open_cooked(Layer* layer, bint second) noexcept nogil:
    """Linux's cooked captures (LINKTYPE_LINUX_SLL and _SLL2)."""
    if not skip(layer, 20 if second else 16):
        return TRUNCATED_LINK
    layer.ether_type = be16(layer.at - (20 if second else 2))
    if layer.ether_type == 4:
        layer.ether_type = ETHERTYPE_LLC
    elif layer.ether_type < 0x600:      # other frames without an EtherType
        return NOT_IP
    return ACCEPTED


cdef inline Reject open_serial(int link_type, Layer* layer) noexcept nogil:
    """PPP by itself, with a direction before it, PPPoE, and Cisco's HDLC (RFC 1547, 4.3.1)."""
    if layer.captured == 0:
        return TRUNCATED_LINK
    layer.ether_type = ETHERTYPE_PPP
    if link_type == 51:
        layer.ether_type = ETHERTYPE_PPPOE
    elif link_type == 104 or link_type == 50 and layer.at[0] in (0x0F, 0x8F):
        if not skip(layer, 4):
            return TRUNCATED_LINK
        layer.ether_type = be16(layer.at - 2)
        if layer.ether_type < 0x600:
            return NOT_IP
    elif link_type in (166, 204):
        # The direction stands before the address field, or in its place.
        skip(layer, 2 if layer.captured > 1 and layer.at[1] == 0x03 else 1)
    return ACCEPTED


cdef inline Reject open_ppp(Layer* layer) noexcept nogil:
    """RFC 1661 and 1662: address and control may be left out, and the first byte of the protocol, if it is zero."""
    cdef uint32_t protocol
    if layer.captured >= 2 and layer.at[0] == 0xFF and layer.at[1] == 0x03:
        skip(layer, 2)
    if layer.captured < 1:
        return TRUNCATED_LINK
    if layer.at[0] & 1:
        protocol = layer.at[0]
        skip(layer, 1)
    elif skip(layer, 2):
        protocol = be16(layer.at - 2)
    else:
        return TRUNCATED_LINK
    if protocol == 0x0021:
        layer.ether_type = ETHERTYPE_IPV4
    elif protocol == 0x0057:
        layer.ether_type = ETHERTYPE_IPV6
    elif protocol in (0x0281, 0x0283):
        layer.ether_type = ETHERTYPE_MPLS
    elif protocol == 0x00FD and layer.captured and layer.at[0] & 0x10:      # MPPE, RFC 3078
        return ENCRYPTED
    else:
        return NOT_IP
    return ACCEPTED


cdef inline Reject open_llc(Layer* layer) noexcept nogil:
    """IEEE 802.2, with SNAP or with the service access point of IP."""
    if layer.captured < 3:
        return TRUNCATED_LINK
    if layer.at[0] == 0x06 and layer.at[1] == 0x06 and layer.at[2] == 0x03:
        skip(layer, 3)
        layer.ether_type = ETHERTYPE_IPV4
        return ACCEPTED
    if layer.at[0] & 0xFE != 0xAA or layer.at[1] & 0xFE != 0xAA or layer.at[2] != 0x03:
        return NOT_IP
    if not skip(layer, 8):
        return TRUNCATED_LINK
    layer.ether_type = be16(layer.at - 2)
    # RFC 1042, and 802.1H's for protocols that need it.
    if be16(layer.at - 5) or layer.at[-3] not in (0x00, 0xF8) or layer.ether_type < 0x600:
        return NOT_IP
    return ACCEPTED


cdef inline Reject open_mpls(Layer* layer) noexcept nogil:
    """RFC 3032: labels to the bottom of the stack."""
    cdef int _labels
    for _labels in range(MAX_TAGS + 1):
        if not skip(layer, 4):
            return TRUNCATED_LINK
        if layer.at[-2] & 1:
            layer.ether_type = ETHERTYPE_BY_VERSION
            return ACCEPTED
    return NOT_IP


cdef inline Reject open_layers(Layer* layer, Packet* packet) noexcept nogil:
    """Take off what stands before an IP header: tags, labels, PPP, LLC, an Ethernet header inside."""
    cdef int tags = 0, _layers
    cdef Reject reason
    for _layers in range(MAX_LAYERS):
        reason = ACCEPTED
        if layer.ether_type in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
            return ACCEPTED
        if layer.ether_type in (ETHERTYPE_VLAN, ETHERTYPE_QINQ, ETHERTYPE_QINQ_OLD):
            if not skip(layer, 4):
                return TRUNCATED_LINK
            if packet.vlan == NO_VLAN and be16(layer.at - 4) & 0x0FFF:      # 0 only carries a priority
                packet.vlan = be16(layer.at - 4) & 0x0FFF
            layer.ether_type = be16(layer.at - 2)
            tags += 1
            if tags > MAX_TAGS:
                return NOT_IP
        elif layer.ether_type == ETHERTYPE_BY_VERSION:
            if layer.captured == 0:
                return TRUNCATED_IP
            if layer.at[0] >> 4 not in (4, 6):
                return NOT_IP
            layer.ether_type = ETHERTYPE_IPV4 if layer.at[0] >> 4 == 4 else ETHERTYPE_IPV6
        elif layer.ether_type in (ETHERTYPE_MPLS, ETHERTYPE_MPLS_MULTICAST):
            reason = open_mpls(layer)
        elif layer.ether_type == ETHERTYPE_PPPOE:
            reason = open_ppp(layer) if skip(layer, 6) else TRUNCATED_LINK
        elif layer.ether_type == ETHERTYPE_PPP:
            reason = open_ppp(layer)
        elif layer.ether_type == ETHERTYPE_ETHERNET:
            reason = open_ethernet(layer)
        elif layer.ether_type == ETHERTYPE_LLC:
            reason = open_llc(layer)
        elif layer.ether_type < 0x600:
            shorten(layer, layer.ether_type)
            reason = open_llc(layer)
        else:
            return NOT_IP
        if reason != ACCEPTED:
            return reason
    return NOT_IP


# -- wireless ----------------------------------------------------------------------------------------


cdef inline Reject measure_header(Layer* layer, uint32_t* header_bytes) noexcept nogil:
    """Read the length of a header as radiotap and PPI begin it: version 0, a byte, and the length."""
    if layer.captured < 8:
        return TRUNCATED_LINK
    header_bytes[0] = le16(layer.at + 2)
    if layer.at[0] != 0 or header_bytes[0] < 8:
        return NOT_IP
    return TRUNCATED_LINK if layer.captured < header_bytes[0] else ACCEPTED


cdef inline Reject open_wireless(int link_type, Layer* layer) noexcept nogil:
    """IEEE 802.11 with the header of its driver: radiotap (127), Prism (119), AVS (163), or none (105)."""
    cdef uint32_t header_bytes = 0
    cdef bint padded = False
    cdef Reject reason
    if link_type == 127:
        reason = measure_header(layer, &header_bytes)
        if reason != ACCEPTED:
            return reason
        padded = read_radiotap_flags(layer, header_bytes)
    elif link_type in (119, 163):
        if layer.captured < 8:
            return TRUNCATED_LINK
        if be32(layer.at) >> 12 == 0x80211:       # AVS is found under Prism's number, too
            header_bytes = be32(layer.at + 4)
        elif link_type == 119:
            header_bytes = PRISM_HEADER_BYTES
        else:
            return NOT_IP
    if not skip(layer, header_bytes):
        return TRUNCATED_LINK
    return open_80211(layer, padded)


cdef inline bint read_radiotap_flags(Layer* layer, uint32_t header_bytes) noexcept nogil:
    """Leave off the frame's check sequence where the flags say that there is one; return whether data is padded."""
    cdef uint32_t present = le32(layer.at + 4), at = 4
    cdef uint8_t flags
    while at + 4 <= header_bytes and le32(layer.at + at) >> 31:     # further words of fields
        at += 4
    at += 4
    if not present & 2:
        return False
    if present & 1:         # the time, aligned to its eight bytes
        at = ((at + 7) & ~(<uint32_t> 7)) + 8
    if at >= header_bytes:
        return False
    flags = layer.at[at]
    if flags & 0x10 and layer.length - header_bytes >= 4:
        shorten(layer, layer.length - 4)
    return flags & 0x20 != 0


cdef inline Reject open_80211(Layer* layer, bint padded) noexcept nogil:
    """IEEE 802.11: data frames with their LLC header; not aggregates (A-MSDU), which hold several packets."""
    cdef uint32_t header_bytes = 24
    cdef uint8_t control, flags
    if layer.captured < 2:
        return TRUNCATED_LINK
    control = layer.at[0]
    flags = layer.at[1]
    if control & 0x0F != 0x08 or control & 0x40:    # version 0, type data; subtypes from 4 hold none
        return NOT_IP
    if flags & 0x03 == 0x03:    # four addresses
        header_bytes += 6
    if control & 0x80:          # quality of service
        header_bytes += 6 if flags & 0x80 else 2    # with HT control
        if layer.captured < header_bytes:
            return TRUNCATED_LINK
        if layer.at[30 if flags & 0x03 == 0x03 else 24] & 0x80:
            return NOT_IP
    if layer.captured < header_bytes:
        return TRUNCATED_LINK
    if flags & 0x40:
        return ENCRYPTED
    if layer.at[22] & 0x0F:     # a fragment other than the first
        return NOT_IP
    if padded:
        header_bytes = (header_bytes + 3) & ~(<uint32_t> 3)
    layer.ether_type = ETHERTYPE_LLC
    return ACCEPTED if skip(layer, header_bytes) else TRUNCATED_LINK


# -- headers with attributes -------------------------------------------------------------------------


cdef inline Reject open_ppi(Layer* layer, int* link_type) noexcept nogil:
    """Per-packet information (PPI 1.0.7): a header of fields, and the link type of what follows."""
    cdef uint32_t header_bytes = 0, at = 8, size
    cdef int _fields
    cdef bint checked = False
    cdef Reject reason
    reason = measure_header(layer, &header_bytes)
    if reason != ACCEPTED:
        return reason
    link_type[0] = <int> (le32(layer.at + 4) & 0xFFFF)
    for _fields in range(MAX_ATTRIBUTES):
        if at + 4 > header_bytes:
            break
        size = le16(layer.at + at + 2)
        if le16(layer.at + at) == PPI_80211_COMMON and size >= 10 and at + 14 <= header_bytes:
            checked = layer.at[at + 12] & 1     # the frame ends in its check sequence
        at += 4 + size
        if layer.at[1] & 1:     # fields are aligned
            at = (at + 3) & ~(<uint32_t> 3)
    skip(layer, header_bytes)
    if checked and link_type[0] == LINK_80211 and layer.length >= 4:
        shorten(layer, layer.length - 4)
    return ACCEPTED


cdef inline Reject open_nflog(Layer* layer) noexcept nogil:
    """Linux's NFLOG: attributes in the capturing host's byte order, one of them the packet."""
    cdef Reject reason
    if layer.captured < 4:
        return TRUNCATED_LINK
    if layer.at[1] != 0 or layer.at[0] not in (2, 10):      # version; AF_INET, AF_INET6
        return NOT_IP
    layer.ether_type = ETHERTYPE_BY_VERSION
    reason = find_nflog_payload(layer, False)
    return find_nflog_payload(layer, True) if reason == NOT_IP else reason


cdef inline Reject find_nflog_payload(Layer* layer, bint big_endian) noexcept nogil:
    """Move to the packet, or leave the layer as it is and return why."""
    cdef uint32_t at = 4, size, kind
    cdef int _attributes
    for _attributes in range(MAX_ATTRIBUTES):
        if layer.captured < at + 4:
            return TRUNCATED_LINK if layer.length > layer.captured else NOT_IP
        size = be16(layer.at + at) if big_endian else le16(layer.at + at)
        kind = be16(layer.at + at + 2) if big_endian else le16(layer.at + at + 2)
        if size < 4 or size > layer.length - at:
            return NOT_IP
        if kind == NFULA_PAYLOAD:
            skip(layer, at + 4)
            shorten(layer, size - 4)
            return ACCEPTED
        at += (size + 3) & ~(<uint32_t> 3)
    return NOT_IP
