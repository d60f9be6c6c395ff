# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The callback of live capture: frames that pypcap hands over, counted into a flow table."""

from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t

cimport cython

from sensor.decode._frame cimport UNKNOWN_LENGTH
from sensor.flow._table cimport FlowTable

cdef enum:
    # Frames kept at a time: with more, they push each other and the flows out of the nearest cache.
    KEPT = 8


@cython.no_gc
@cython.final
cdef class FrameFeed:
    """Counts frames of one link type into a table; what pypcap calls for each packet.

    Packets wait in the table's line with pointers into their frames, so the frames are kept until the
    line is settled: when there are KEPT of them, and by ``settle`` at the end of a turn.
    ``last_ns`` is the time of the latest frame.
    """

    cdef FlowTable table
    cdef int link_type
    cdef uint32_t snap_length
    cdef PyObject* kept[KEPT]
    cdef uint32_t kept_count
    cdef readonly int64_t last_ns

    def __cinit__(self, FlowTable table not None, int link_type, uint32_t snap_length):
        self.table = table
        self.link_type = link_type
        self.snap_length = snap_length

    def __dealloc__(self):
        if self.table is not None:
            self.table.settle()
        self.release()

    def __call__(self, int64_t time_ns, bytes frame not None):
        cdef FlowTable table = self.table
        cdef uint32_t waiting = table.pending_count
        cdef uint32_t captured = <uint32_t> len(frame)
        # pypcap keeps the length on the wire to itself: a frame as long as the snap length may be longer.
        cdef uint32_t length = captured if captured < self.snap_length else UNKNOWN_LENGTH
        self.last_ns = time_ns
        table.count_frame(self.link_type, time_ns, <const uint8_t*> (<const char*> frame), captured, length)
        if table.pending_count == waiting:
            return  # rejected: nothing points into the frame
        Py_INCREF(frame)
        self.kept[self.kept_count] = <PyObject*> frame
        self.kept_count += 1
        if self.kept_count == KEPT:
            self.settle()

    cpdef settle(self):
        """Count the packets that wait in line, and let go of their frames."""
        self.table.settle()
        self.release()
        if self.table.wants_drain():
            self.table.relieve()

    cdef void release(self) noexcept:
        cdef uint32_t i
        for i in range(self.kept_count):
            Py_DECREF(<object> self.kept[i])
        self.kept_count = 0
