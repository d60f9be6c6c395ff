"""What the decoder hands to the flow table, for other compiled modules."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum Reject:
    # Why a frame is not counted in any flow. The order is that of REJECT_REASONS in _frame.pyx.
    ACCEPTED = 0
    UNKNOWN_LINK_TYPE
    TRUNCATED_LINK
    NOT_IP
    TRUNCATED_IP
    BAD_IP
    FRAGMENT                # to be put together with others, see Piece
    OTHER_PROTOCOL
    TRUNCATED_TRANSPORT
    BAD_TRANSPORT
    BAD_TIME
    NO_MEMORY
    ENCRYPTED
    TOO_DEEP
    FRAGMENT_INCOMPLETE
    FRAGMENT_BAD
    REJECT_COUNT
    ENCAPSULATED            # a tunnel, to be opened next; it never leaves the decoder

cdef enum:
    NO_VLAN = 0xFFFF
    UNKNOWN_LENGTH = 0x7FFFFFFF     # of a frame whose length on the wire nobody kept
    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04
    TCP_ACK = 0x10
    PROTO_ICMP = 1
    PROTO_IPV4 = 4
    PROTO_TCP = 6
    PROTO_UDP = 17
    PROTO_IPV6 = 41
    PROTO_GRE = 47
    PROTO_ICMP6 = 58

cdef enum:
    # What a layer holds: an EtherType, a length below 0x600 (IEEE 802.3), or one of the last two.
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_ETHERNET = 0x6558     # transparent bridging
    ETHERTYPE_VLAN = 0x8100
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_PPP = 0x880B
    ETHERTYPE_MPLS = 0x8847
    ETHERTYPE_MPLS_MULTICAST = 0x8848
    ETHERTYPE_PPPOE = 0x8864
    ETHERTYPE_QINQ = 0x88A8
    ETHERTYPE_QINQ_OLD = 0x9100
    ETHERTYPE_BY_VERSION = 0x10000  # raw IP: the first nibble says which
    ETHERTYPE_LLC = 0x10001         # IEEE 802.2, without the length before it

cdef struct Packet:
    int64_t time_ns
    const uint8_t* content      # what was captured of the payload; in the frame's own memory
    uint32_t content_bytes
    uint64_t source[2]          # address bytes as they came; IPv4 in the first four, the rest zero
    uint64_t destination[2]
    uint32_t wire_bytes         # IP header and all that the IP header says follows
    uint32_t payload_bytes      # transport payload by the headers, never by what was captured
    uint32_t sequence
    uint32_t acknowledgement
    uint16_t source_port        # ICMP: type
    uint16_t destination_port   # ICMP: type of the answer, or the code where there is none
    uint16_t vlan               # outermost tag, NO_VLAN when untagged
    uint16_t window             # TCP's, as it came
    uint8_t ip_version
    uint8_t protocol
    uint8_t tcp_flags

cdef struct Layer:
    # The rest of a frame, from one header on.
    const uint8_t* at
    uint32_t captured
    uint32_t length             # on the wire; never less than captured
    uint32_t ether_type         # of what is at ``at``

cdef struct Piece:
    # A fragment of an IP datagram; its addresses and VLAN are in the Packet.
    const uint8_t* header       # IPv4 header, or IPv6 header and extensions before the fragment header
    const uint8_t* data
    uint32_t header_bytes
    uint32_t next_header_at     # IPv6: offset in the header of the byte that names what follows
    uint32_t data_bytes         # by the headers
    uint32_t captured           # of data
    uint32_t id
    uint32_t offset             # of data in the datagram's payload
    uint8_t more                # whether fragments follow
    uint8_t protocol            # of the payload
    uint8_t depth               # tunnels around it

cdef Reject decode_frame(
    int link_type, const uint8_t* frame, uint32_t captured, uint32_t length, Packet* packet, Piece* piece
) noexcept nogil
cdef Reject decode_datagram(
    const uint8_t* ip, uint32_t captured, uint32_t length, int depth, Packet* packet, Piece* piece
) noexcept nogil
cdef dict describe(Reject reason, Packet* packet)
