"""Rounds of frames, for the writer of capture files."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fuzz._mutate cimport Dice, Frame, Heading

cdef enum:
    BURST = 64

cdef struct Seed:
    Frame frame
    uint32_t capture        # its number; the frames of one lie together

cdef class Corpus:
    cdef Seed* seeds
    cdef readonly uint32_t count
    cdef uint32_t* members          # the numbers of flows' frames, flow after flow
    cdef uint32_t* flow_starts      # where each flow's members begin, and the end of the last
    cdef readonly uint32_t flow_count
    cdef Heading* headings
    cdef uint32_t heading_count

cdef struct Ready:
    # A frame as it is handed over: in memory of exactly its size.
    Frame frame
    uint8_t* memory

cdef class Round:
    cdef Corpus corpus
    cdef Dice dice
    cdef Frame work, pieces
    cdef Ready[BURST] burst
    cdef uint32_t ready, position
    cdef readonly uint64_t number_of_first, made, frames
    cdef uint64_t[::1] state
    cdef uint64_t planted_at
    cdef int planted
    cdef bint wild
    cdef int64_t now_ns

    cdef bint next_burst(self)
    cdef void release(self) noexcept
    cdef void take(self, uint32_t seed) noexcept
    cdef void emit(self) noexcept
    cdef int64_t next_time(self) noexcept
    cdef void alter(self) noexcept
    cdef void make_singles(self) noexcept
    cdef void make_stretch(self) noexcept
    cdef void make_flow(self) noexcept
    cdef void make_fragments(self) noexcept
    cdef void cut_ipv4(self, uint32_t ip, uint32_t from_, uint32_t size, bint more) noexcept
    cdef void cut_ipv6(self, uint32_t ip, uint32_t from_, uint32_t size, bint more) noexcept
    cdef void shuffle(self) noexcept
    cdef void misbehave(self, Ready* ready) except *
