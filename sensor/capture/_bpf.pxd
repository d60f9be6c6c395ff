"""libpcap's filter programs, for other compiled modules."""

from libc.stdint cimport uint8_t

cdef extern from "pcap/pcap.h":
    ctypedef unsigned int bpf_u_int32
    ctypedef struct pcap_t:
        pass
    struct bpf_insn:
        pass
    struct bpf_program:
        unsigned int bf_len
        bpf_insn* bf_insns
    pcap_t* pcap_open_dead(int link_type, int snap_length)
    int pcap_compile(pcap_t* handle, bpf_program* program, const char* text, int optimize, bpf_u_int32 netmask)
    char* pcap_geterr(pcap_t* handle)
    void pcap_freecode(bpf_program* program)
    void pcap_close(pcap_t* handle)
    unsigned int bpf_filter(const bpf_insn* program, const uint8_t* frame, unsigned int length,
                            unsigned int captured) nogil

cdef class FilterProgram:
    cdef bpf_program program
    cdef bint compiled
    cdef bint matches(self, const uint8_t* frame, unsigned int captured, unsigned int length) noexcept nogil
