# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The callback of live capture: frames that pypcap hands over, counted into a flow table."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

cimport cython

from sensor.decode._frame cimport UNKNOWN_LENGTH
from sensor.flow._table cimport LINE_HIGH, PENDING, FlowTable


@cython.no_gc
@cython.final
cdef class FrameFeed:
    """Counts frames of one link type into a table; what pypcap calls for each packet.

    Packets wait in the table's line longer than pypcap keeps their frames, so these are kept until others take
    their places.  ``settle`` at the end of a turn counts those in line.  ``last_ns`` is the time of the latest frame.
    """

    cdef FlowTable table
    cdef int link_type
    cdef uint32_t snap_length
    cdef list kept
    cdef readonly int64_t last_ns

    def __cinit__(self, FlowTable table not None, int link_type, uint32_t snap_length):
        self.table = table
        self.link_type = link_type
        self.snap_length = snap_length
        self.kept = [None] * PENDING

    def __dealloc__(self):
        if self.table is not None:
            self.table.settle()

    def __call__(self, int64_t time_ns, bytes frame not None):
        cdef FlowTable table = self.table
        cdef uint32_t place = table.taken_in % PENDING
        cdef uint32_t captured = <uint32_t> len(frame)
        # pypcap keeps the length on the wire to itself: a frame as long as the snap length may be longer.
        cdef uint32_t length = captured if captured < self.snap_length else UNKNOWN_LENGTH
        self.last_ns = time_ns
        if table.take_in(self.link_type, time_ns, <const uint8_t*> (<const char*> frame), captured, length):
            self.kept[place] = frame
            # Many at once: what pypcap does for a packet and what the table does take turns in the caches.
            if table.taken_in - table.counted >= LINE_HIGH:
                table.catch_up()
        if table.wants_drain():
            table.relieve()

    cpdef settle(self):
        """Count the packets that wait in line."""
        self.table.settle()
        if self.table.wants_drain():
            self.table.relieve()
