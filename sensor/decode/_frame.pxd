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
    FRAGMENT
    OTHER_PROTOCOL
    TRUNCATED_TRANSPORT
    BAD_TRANSPORT
    BAD_TIME
    NO_MEMORY
    REJECT_COUNT

cdef enum:
    NO_VLAN = 0xFFFF
    UNKNOWN_LENGTH = 0x7FFFFFFF     # of a frame whose length on the wire nobody kept
    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04
    TCP_ACK = 0x10
    PROTO_ICMP = 1
    PROTO_TCP = 6
    PROTO_UDP = 17
    PROTO_ICMP6 = 58

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

cdef Reject decode_frame(
    int link_type, const uint8_t* frame, uint32_t captured, uint32_t length, Packet* packet
) noexcept nogil
