# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Rounds of changed frames into a flow table, each frame in memory of exactly its size.

A round is made by its seed and number alone.  Its frames come in bursts of several kinds: single frames,
a stretch of a capture, the frames of one flow, the fragments of one packet.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from fuzz._mutate cimport (
    CAPACITY, Frame, Heading, be32, below, change, find_ip, insert, one_in, put16, put32, throw, transport_at,
)
from fuzz._rounds cimport BURST, Ready, Seed
from sensor.flow._table cimport FlowTable

cdef extern from *:
    """
    #include <stddef.h>
    size_t __sanitizer_get_current_allocated_bytes(void);
    int __lsan_do_recoverable_leak_check(void);
    """
    size_t __sanitizer_get_current_allocated_bytes() nogil
    int __lsan_do_recoverable_leak_check() nogil

cdef int64_t SECOND = 1000000000
cdef int64_t FIRST_NS = 1700000000 * SECOND

# Faults to plant, to see that the harness finds each.
PLANTS = ("over-read", "stale-read", "overflow", "leak", "object-leak", "hang")
cdef enum:
    NOTHING = -1
    OVER_READ = 0
    STALE_READ
    OVERFLOW
    LEAK
    OBJECT_LEAK
    HANG

kept = []


cdef class Exact:
    """Memory of exactly the size of some bytes."""

    cdef uint8_t* memory
    cdef Py_ssize_t size

    def __cinit__(self, const uint8_t[::1] data not None):
        self.size = data.shape[0]
        self.memory = <uint8_t*> malloc(self.size if self.size else 16)
        if self.memory == NULL:
            raise MemoryError()
        if self.size:
            memcpy(self.memory, &data[0], self.size)

    def __dealloc__(self):
        free(self.memory)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.memory + (0 if self.size else 16), self.size, 1, flags)


def exact(data):
    """Return a copy of bytes in memory of exactly their size: a byte read beyond it is seen."""
    return memoryview(Exact(data))


def allocated_bytes():
    """Return what is allocated now, by C and by Python (with PYTHONMALLOC=malloc)."""
    return __sanitizer_get_current_allocated_bytes()


def leaks():
    """Whether memory is allocated now that nothing points at; what it is goes to standard error."""
    return __lsan_do_recoverable_leak_check() != 0


cdef class Corpus:
    """The frames that rounds begin with: (capture, link type, time, frame, bytes beyond it on the wire) each.

    ``flows`` lists the numbers of each flow's frames; ``headings`` are (link type, IP version, header bytes).
    """

    def __cinit__(self, list frames, list flows, list headings):
        cdef uint32_t i, member = 0
        cdef bytes data
        self.count = <uint32_t> len(frames)
        self.flow_count = <uint32_t> len(flows)
        self.heading_count = <uint32_t> len(headings)
        self.seeds = <Seed*> calloc(self.count + 1, sizeof(Seed))
        self.members = <uint32_t*> calloc(sum(map(len, flows)) + 1, sizeof(uint32_t))
        self.flow_starts = <uint32_t*> calloc(self.flow_count + 1, sizeof(uint32_t))
        self.headings = <Heading*> calloc(self.heading_count + 1, sizeof(Heading))
        for i, (capture, link_type, time_ns, data, beyond) in enumerate(frames):
            self.seeds[i].capture = capture
            self.seeds[i].frame.link_type = link_type
            self.seeds[i].frame.time_ns = time_ns
            self.seeds[i].frame.beyond = beyond
            self.seeds[i].frame.captured = <uint32_t> len(data)
            self.seeds[i].frame.bytes = <uint8_t*> malloc(len(data) + 1)
            memcpy(self.seeds[i].frame.bytes, <const char*> data, len(data))
        for i, flow in enumerate(flows):
            for number in flow:
                self.members[member] = number
                member += 1
            self.flow_starts[i + 1] = member
        for i, (link_type, version, data) in enumerate(headings):
            if len(data) > sizeof(self.headings[i].bytes):
                raise ValueError("a heading is too long")
            self.headings[i].link_type = link_type
            self.headings[i].ip_version = version
            self.headings[i].size = <uint32_t> len(data)
            memcpy(self.headings[i].bytes, <const char*> data, len(data))

    def __dealloc__(self):
        cdef uint32_t i
        if self.seeds != NULL:
            for i in range(self.count):
                free(self.seeds[i].frame.bytes)
        free(self.seeds)
        free(self.members)
        free(self.flow_starts)
        free(self.headings)


cdef class Round:
    """The frames of one round. ``state[1]`` always holds the number of the frame that is handed over.

    ``wild`` times jump; ``plant`` misbehaves, in one of PLANTS' ways, at the round's frame ``plant_at``.
    """

    def __cinit__(
        self, Corpus corpus not None, uint64_t seed, uint64_t number, uint64_t frames, uint64_t[::1] state not None,
        bint wild=False, plant=None, uint64_t plant_at=500,
    ):
        self.corpus = corpus
        self.dice.state = seed
        self.dice.state = throw(&self.dice) ^ number * <uint64_t> 0xD1342543DE82EF95
        self.frames = frames
        self.number_of_first = number * frames
        self.state = state
        self.wild = wild
        self.planted = PLANTS.index(plant) if plant else NOTHING
        self.planted_at = plant_at
        self.now_ns = FIRST_NS + <int64_t> below(&self.dice, 86400) * SECOND
        self.work.bytes = <uint8_t*> malloc(CAPACITY)
        self.pieces.bytes = <uint8_t*> malloc(CAPACITY)
        if self.work.bytes == NULL or self.pieces.bytes == NULL or corpus.count == 0:
            raise MemoryError()

    def __dealloc__(self):
        self.release()
        free(self.work.bytes)
        free(self.pieces.bytes)

    def feed(self, FlowTable table not None):
        """Count frames until the round is over (then return False) or the table wants to be drained."""
        cdef Ready* ready
        while True:
            if self.position == self.ready:
                table.settle()
                if not self.next_burst():
                    return False
            while self.position < self.ready:
                if table.wants_drain():
                    table.settle()
                    return True
                ready = &self.burst[self.position]
                self.state[1] = self.number_of_first + self.made
                if self.planted != NOTHING and self.made == self.planted_at:
                    self.misbehave(ready)
                self.made += 1
                self.position += 1
                table.count_frame(
                    ready.frame.link_type, ready.frame.time_ns, ready.frame.bytes, ready.frame.captured,
                    ready.frame.captured + ready.frame.beyond,
                )

    def burst_frames(self):
        """Make the next burst; return its frames as (link type, time, bytes, length on the wire), none at the end."""
        cdef uint32_t i
        cdef Frame* frame
        frames = []
        self.state[1] = self.number_of_first + self.made
        if self.next_burst():
            for i in range(self.ready):
                frame = &self.burst[i].frame
                frames.append((
                    frame.link_type, frame.time_ns, frame.bytes[:frame.captured],
                    <uint32_t> (frame.captured + frame.beyond),
                ))
            self.made += self.ready
            self.position = self.ready
        return frames

    cdef bint next_burst(self):
        """Make the next burst; return False when the round has had its frames."""
        cdef uint32_t kind, left
        self.release()
        if self.made >= self.frames:
            return False
        while self.ready == 0:
            kind = below(&self.dice, 16)
            if kind < 8:
                self.make_singles()
            elif kind < 11:
                self.make_stretch()
            elif kind < 14:
                self.make_flow()
            else:
                self.make_fragments()
        left = <uint32_t> (self.frames - self.made) if self.frames - self.made < BURST else BURST
        while self.ready > left:
            self.ready -= 1
            free(self.burst[self.ready].memory)
        return True

    cdef void release(self) noexcept:
        while self.ready:
            self.ready -= 1
            free(self.burst[self.ready].memory)
        self.position = 0

    # -- frames one by one -----------------------------------------------------------------------------------

    cdef void take(self, uint32_t seed) noexcept:
        """Begin with a frame of the corpus."""
        cdef Frame* frame = &self.corpus.seeds[seed].frame
        cdef uint8_t* bytes_ = self.work.bytes
        self.work = frame[0]
        self.work.bytes = bytes_
        memcpy(bytes_, frame.bytes, frame.captured)

    cdef void emit(self) noexcept:
        """Put the frame in work into the burst, in memory of exactly its size."""
        cdef Ready* ready = &self.burst[self.ready]
        cdef uint32_t captured = self.work.captured
        if self.ready == BURST:
            return
        # malloc(0) would give a byte that may be read.
        ready.memory = <uint8_t*> malloc(captured if captured else 16)
        if ready.memory == NULL:
            return
        self.work.time_ns = self.next_time()
        ready.frame = self.work
        ready.frame.bytes = ready.memory + (0 if captured else 16)
        memcpy(ready.frame.bytes, self.work.bytes, captured)
        self.ready += 1

    cdef int64_t next_time(self) noexcept:
        cdef uint32_t kind = below(&self.dice, 1000)
        cdef int64_t jump
        if kind < 900 or not self.wild and kind < 970:
            self.now_ns += below(&self.dice, 2000000)
        elif kind < 980 or not self.wild:
            self.now_ns += below(&self.dice, 90) * SECOND
        elif kind < 990:
            jump = <int64_t> (throw(&self.dice) % <uint64_t> ((<int64_t> 1 << below(&self.dice, 52)) + 1))
            self.now_ns += jump if one_in(&self.dice, 2) else -jump
            if self.now_ns < 0 or self.now_ns > 4600000000 * SECOND:
                self.now_ns = FIRST_NS
        elif kind < 994:
            return self.now_ns - (55 + <int64_t> below(&self.dice, 10)) * SECOND
        elif kind < 998:
            return self.now_ns + <int64_t> below(&self.dice, 7300) * SECOND
        elif kind == 998:
            return (<int64_t> 1 << 62) - 2 + below(&self.dice, 4)
        else:
            return <int64_t> throw(&self.dice)
        return self.now_ns

    cdef void make_singles(self) noexcept:
        cdef uint32_t _i, _j
        for _i in range(1 + below(&self.dice, 32)):
            self.take(below(&self.dice, self.corpus.count))
            for _j in range(1 + below(&self.dice, 8 if one_in(&self.dice, 4) else 3)):
                self.alter()
            self.emit()

    cdef void alter(self) noexcept:
        change(
            &self.dice, &self.work, &self.corpus.seeds[below(&self.dice, self.corpus.count)].frame,
            self.corpus.headings, self.corpus.heading_count,
        )

    # -- frames that belong together -------------------------------------------------------------------------

    cdef void make_stretch(self) noexcept:
        """Frames of one capture that follow each other, some of them changed, twice or out of order."""
        cdef uint32_t first = below(&self.dice, self.corpus.count), i, odds = 1 + below(&self.dice, 8)
        for i in range(first, first + 4 + below(&self.dice, BURST - 8)):
            if i >= self.corpus.count or self.corpus.seeds[i].capture != self.corpus.seeds[first].capture:
                break
            self.take(i)
            if one_in(&self.dice, odds):
                self.alter()
            self.emit()
            if one_in(&self.dice, 16):
                self.emit()
        if one_in(&self.dice, 2):
            self.shuffle()

    cdef void make_flow(self) noexcept:
        """The frames of one flow, its sequence numbers moved, in an order that a network might make of it."""
        cdef uint32_t flow, first, count, i, at, kind = below(&self.dice, 4)
        cdef uint32_t move = <uint32_t> throw(&self.dice) if kind == 0 else kind * 0x3FFFFF00
        cdef bint moving = one_in(&self.dice, 2)
        if self.corpus.flow_count == 0:
            return
        flow = below(&self.dice, self.corpus.flow_count)
        first = self.corpus.flow_starts[flow]
        count = self.corpus.flow_starts[flow + 1] - first
        if count > BURST:
            first += below(&self.dice, count - BURST)
            count = BURST
        for i in range(count):
            self.take(self.corpus.members[first + i])
            if moving:
                at = find_ip(&self.dice, &self.work)
                at = transport_at(&self.work, at) if at < self.work.captured else at
                if self.work.captured - at >= 20:
                    put32(self.work.bytes + at + 4, be32(self.work.bytes + at + 4) + move)
                if one_in(&self.dice, 8):
                    move += below(&self.dice, 3000)
            if one_in(&self.dice, 12):
                self.alter()
            self.emit()
        if one_in(&self.dice, 2):
            self.shuffle()

    cdef void shuffle(self) noexcept:
        """Change the order, a little or wholly; times stay where they are."""
        cdef uint32_t i, j, reach = 3 if one_in(&self.dice, 2) else BURST
        cdef Ready kept_
        cdef int64_t time_ns
        for i in range(self.ready):
            j = i + below(&self.dice, reach if reach < self.ready - i else self.ready - i)
            kept_ = self.burst[i]
            self.burst[i] = self.burst[j]
            self.burst[j] = kept_
            time_ns = self.burst[i].frame.time_ns
            self.burst[i].frame.time_ns = self.burst[j].frame.time_ns
            self.burst[j].frame.time_ns = time_ns

    cdef void make_fragments(self) noexcept:
        """One packet in pieces: in any order, twice, overlapping, with one missing."""
        cdef uint32_t ip, header, size, step, at, piece, _i
        self.take(below(&self.dice, self.corpus.count))
        for _i in range(below(&self.dice, 3)):
            self.alter()
        self.pieces.captured = self.work.captured
        self.pieces.beyond = self.work.beyond
        self.pieces.link_type = self.work.link_type
        memcpy(self.pieces.bytes, self.work.bytes, self.work.captured)
        ip = find_ip(&self.dice, &self.pieces)
        if ip == self.pieces.captured:
            return
        header = transport_at(&self.pieces, ip)
        size = self.pieces.captured - header
        step = 8 * (1 + below(&self.dice, 8 if size < 512 else 128))
        at = 0
        while at < size and self.ready < BURST - 2:
            piece = step if step < size - at else size - at
            if not one_in(&self.dice, 24):
                if self.pieces.bytes[ip] >> 4 == 4:
                    self.cut_ipv4(ip, header + at, piece, at + piece < size)
                else:
                    self.cut_ipv6(ip, header + at, piece, at + piece < size)
            at += piece
            if at > 8 and one_in(&self.dice, 16):
                at -= 8     # the next one overlaps
        if one_in(&self.dice, 2):
            self.shuffle()

    cdef void cut_ipv4(self, uint32_t ip, uint32_t from_, uint32_t size, bint more) noexcept:
        cdef uint32_t header = transport_at(&self.pieces, ip)
        cdef uint8_t* at = self.work.bytes + ip
        memcpy(self.work.bytes, self.pieces.bytes, header)
        memcpy(self.work.bytes + header, self.pieces.bytes + from_, size)
        self.work.link_type = self.pieces.link_type
        self.work.captured = header + size
        self.work.beyond = 0
        if header - ip >= 20:
            put16(at + 2, header - ip + size)
            put16(at + 6, ((from_ - header) // 8 & 0x1FFF) | (0x2000 if more else 0))
        if one_in(&self.dice, 40):
            self.alter()
        self.emit()
        if one_in(&self.dice, 12):
            self.emit()

    cdef void cut_ipv6(self, uint32_t ip, uint32_t from_, uint32_t size, bint more) noexcept:
        cdef uint8_t[8] header
        memset(header, 0, sizeof(header))
        memcpy(self.work.bytes, self.pieces.bytes, ip + 40)
        memcpy(self.work.bytes + ip + 40, self.pieces.bytes + from_, size)
        self.work.link_type = self.pieces.link_type
        self.work.captured = ip + 40 + size
        self.work.beyond = 0
        header[0] = self.work.bytes[ip + 6]
        put16(header + 2, ((from_ - ip - 40) & 0xFFF8) | (1 if more else 0))
        header[7] = <uint8_t> below(&self.dice, 2)
        insert(&self.work, ip + 40, header, 8)
        self.work.bytes[ip + 6] = 44
        put16(self.work.bytes + ip + 4, 8 + size)
        if one_in(&self.dice, 40):
            self.alter()
        self.emit()
        if one_in(&self.dice, 12):
            self.emit()

    # -- faults on purpose -----------------------------------------------------------------------------------

    cdef void misbehave(self, Ready* ready) except *:
        cdef int32_t largest = 0x7FFFFFFF
        if self.planted == OVER_READ:
            self.state[2] = ready.frame.bytes[ready.frame.captured]
        elif self.planted == STALE_READ:
            free(ready.memory)
            self.state[2] = ready.frame.bytes[0]
        elif self.planted == OVERFLOW:
            self.state[2] = <uint64_t> (largest + <int32_t> ready.frame.link_type + 1)
        elif self.planted == LEAK:
            memset(malloc(40), 0, 40)
        elif self.planted == OBJECT_LEAK:
            kept.append(bytes(1 << 20))
        while self.planted == HANG:
            self.state[2] += 1
