# cython: language_level=3, boundscheck=False, wraparound=False
"""A filter expression compiled by libpcap for one link type, to run over frames from a file.

Live capture hands the expression to the kernel through pypcap instead; the language is the same.
"""

from libc.stdint cimport uint8_t

from sensor.capture._bpf cimport (
    bpf_filter, pcap_close, pcap_compile, pcap_freecode, pcap_geterr, pcap_open_dead, pcap_t,
)

cdef enum:
    LINKTYPE_RAW = 101          # in files; libpcap's compiler knows raw IP by its own number
    LINKTYPE_RAW_OPENBSD = 14
    DLT_RAW = 12
    SNAP_LENGTH = 262144
    NETMASK_UNKNOWN = 0xFFFFFFFF


cdef class FilterProgram:
    """One expression for one link type. ValueError holds libpcap's own words on a bad expression."""

    def __cinit__(self, str expression not None, int link_type):
        cdef bint raw = link_type in (LINKTYPE_RAW, LINKTYPE_RAW_OPENBSD)
        cdef pcap_t* handle = pcap_open_dead(DLT_RAW if raw else link_type, SNAP_LENGTH)
        if handle == NULL:
            raise MemoryError()
        try:
            text = expression.encode()
            if b"\0" in text:
                raise ValueError("a filter expression holds no NUL character")
            if pcap_compile(handle, &self.program, text, 1, NETMASK_UNKNOWN) != 0:
                raise ValueError((<bytes> pcap_geterr(handle)).decode(errors="replace"))
            self.compiled = True
        finally:
            pcap_close(handle)

    def __dealloc__(self):
        if self.compiled:
            pcap_freecode(&self.program)

    cdef bint matches(self, const uint8_t* frame, unsigned int captured, unsigned int length) noexcept nogil:
        return bpf_filter(self.program.bf_insns, frame, length, captured) != 0

    def match(self, bytes frame not None):
        """Tell whether one whole frame passes."""
        return self.matches(frame, <unsigned int> len(frame), <unsigned int> len(frame))
