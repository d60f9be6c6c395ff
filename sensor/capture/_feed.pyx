# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The callback of live capture: frames that pypcap hands over, counted into a flow table."""

from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t

cimport cython

from sensor.decode._frame cimport UNKNOWN_LENGTH
from sensor.flow._table cimport PENDING, FlowTable


@cython.no_gc
@cython.final
cdef class FrameFeed:
    """Counts frames of one link type into a table; what pypcap calls for each packet.

    Packets wait in the table's line with pointers into their frames, so a frame is kept until PENDING more
    have come: the line is no longer than that.  ``settle`` at the end of a turn counts those in line.
    ``last_ns`` is the time of the latest frame.
    """

    cdef FlowTable table
    cdef int link_type
    cdef uint32_t snap_length
    cdef PyObject* kept[PENDING]
    cdef readonly int64_t last_ns

    def __cinit__(self, FlowTable table not None, int link_type, uint32_t snap_length):
        self.table = table
        self.link_type = link_type
        self.snap_length = snap_length

    def __dealloc__(self):
        cdef uint32_t i
        if self.table is not None:
            self.table.settle()
        for i in range(PENDING):
            Py_XDECREF(self.kept[i])

    def __call__(self, int64_t time_ns, bytes frame not None):
        cdef FlowTable table = self.table
        cdef uint32_t place = table.taken_in
        cdef uint32_t captured = <uint32_t> len(frame)
        # pypcap keeps the length on the wire to itself: a frame as long as the snap length may be longer.
        cdef uint32_t length = captured if captured < self.snap_length else UNKNOWN_LENGTH
        cdef PyObject* counted
        self.last_ns = time_ns
        table.count_frame(self.link_type, time_ns, <const uint8_t*> (<const char*> frame), captured, length)
        if table.taken_in != place:     # else it was rejected, and nothing points into the frame
            counted = self.kept[place % PENDING]
            Py_INCREF(frame)
            self.kept[place % PENDING] = <PyObject*> frame
            Py_XDECREF(counted)
        if table.wants_drain():
            table.relieve()

    cpdef settle(self):
        """Count the packets that wait in line."""
        self.table.settle()
        if self.table.wants_drain():
            self.table.relieve()
