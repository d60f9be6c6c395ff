# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The callback of live capture: frames that pypcap hands over, counted into a flow table."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from sensor.decode._frame cimport UNKNOWN_LENGTH
from sensor.flow._table cimport FlowTable


cdef class FrameFeed:
    """Counts frames of one link type into a table; the callback that live capture calls per packet."""

    cdef FlowTable table
    cdef int link_type
    cdef uint32_t snap_length

    def __cinit__(self, FlowTable table not None, int link_type, uint32_t snap_length):
        self.table = table
        self.link_type = link_type
        self.snap_length = snap_length

    def __call__(self, int64_t time_ns, bytes frame not None):
        cdef uint32_t captured = <uint32_t> len(frame)
        # pypcap keeps the length on the wire to itself: a frame as long as the snap length may be longer.
        cdef uint32_t length = captured if captured < self.snap_length else UNKNOWN_LENGTH
        self.table.count_frame(self.link_type, time_ns, <const uint8_t*> (<const char*> frame), captured, length)
        self.table.settle()
        if self.table.wants_drain():
            self.table.relieve()
