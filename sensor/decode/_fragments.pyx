# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""IP fragments put together (RFC 791, RFC 8200), within bounds of datagrams, bytes and time.

A datagram counts as one packet, when its last missing fragment comes; its other fragments are counted in
``fragments``.  Those of a datagram that is given up move to a reject reason: ``fragment_incomplete`` when
time or room ran out, ``fragment_bad`` when its fragments contradict each other.

Lengths come from the headers.  Bytes that were not captured are not made up: the datagram ends, for the
decoder, before the first of them.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from sensor.decode._fragments cimport Datagram, Part
from sensor.decode._frame cimport (
    ACCEPTED, FRAGMENT, FRAGMENT_BAD, FRAGMENT_INCOMPLETE, NO_MEMORY, REJECT_COUNT, Packet, Piece, Reject,
    decode_datagram, decode_frame, describe,
)

cdef enum:
    MAX_PARTS = 256             # of a datagram
    LARGEST = 65535             # IPv4's total length, and IPv6's payload length
    IPV6_HEADER_BYTES = 40
    WHOLE_BYTES = LARGEST + IPV6_HEADER_BYTES
    OVERHEAD_BYTES = 16         # of an allocation, about
    MAX_NESTED = 8              # datagrams that turn out to be fragments themselves

cdef int64_t SECOND = 1000000000

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t tw_mix(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t tw_mix(uint64_t a, uint64_t b) noexcept nogil


cdef class Reassembler:
    """The datagrams that wait for fragments, oldest first. ``seed`` keys the hash of what names them."""

    def __cinit__(
        self,
        *,
        uint32_t max_datagrams=1024,
        uint64_t max_bytes=4 << 20,
        int64_t timeout_ns=30 * SECOND,
        bint vlan_in_key=True,
        bytes seed=b"\0" * 32,
    ):
        if len(seed) != 32:
            raise ValueError("the hash seed has 32 bytes")
        if not 1 <= max_datagrams <= 1 << 20:
            raise ValueError("max_datagrams is 1 to 1048576")
        if max_bytes < 1 << 18:
            raise ValueError("max_bytes is 262144 or more: room for one datagram in many parts")
        self.max_datagrams = max_datagrams
        self.max_bytes = max_bytes
        self.timeout_ns = timeout_ns
        self.vlan_in_key = vlan_in_key
        memcpy(self.seed, <const char*> seed, 32)
        self.bucket_mask = (1 << (max_datagrams - 1).bit_length()) - 1
        self.buckets = <Datagram**> calloc(<size_t> self.bucket_mask + 1, sizeof(Datagram*))
        self.whole = <uint8_t*> malloc(WHOLE_BYTES)
        if self.buckets == NULL or self.whole == NULL:
            raise MemoryError()

    def __dealloc__(self):
        while self.oldest != NULL:
            self.forget(self.oldest)
        free(self.buckets)
        free(self.whole)

    def decode(self, int link_type, int64_t time_ns, const uint8_t[::1] frame not None, length=None):
        """Return what the decoder sees in a frame as ``_frame.decode`` does, or in the datagram that it completes."""
        cdef Packet packet
        cdef Piece piece
        cdef Reject reason
        cdef uint64_t[REJECT_COUNT] rejected
        cdef const uint8_t* at = &frame[0] if frame.shape[0] else NULL
        memset(&packet, 0, sizeof(packet))
        memset(rejected, 0, sizeof(rejected))
        reason = decode_frame(link_type, at, <uint32_t> frame.shape[0],
                              <uint32_t> (frame.shape[0] if length is None else length), &packet, &piece)
        if reason == FRAGMENT:
            reason = self.add(time_ns, &packet, &piece, rejected)
        return describe(reason, &packet)

    cdef Reject add(self, int64_t time_ns, Packet* packet, Piece* piece, uint64_t* rejected) noexcept nogil:
        """Take a fragment. FRAGMENT: it waits for others; ACCEPTED: ``packet`` is the whole datagram.

        The packet's content is in memory that the next fragment changes.  ``rejected`` counts packets by
        reason; what is given up moves there.
        """
        cdef uint32_t captured = 0, length = 0
        cdef int _nested
        cdef Reject reason
        for _nested in range(MAX_NESTED):
            reason = self.take(time_ns, packet, piece, rejected, &captured, &length)
            if reason != ACCEPTED:
                return reason
            reason = decode_datagram(self.whole, captured, length, piece.depth, packet, piece)
            if reason != FRAGMENT:
                return reason
        return FRAGMENT_BAD

    cdef Reject take(
        self, int64_t time_ns, Packet* packet, Piece* piece, uint64_t* rejected, uint32_t* captured, uint32_t* length
    ) noexcept nogil:
        """Take a fragment; ACCEPTED: its datagram is in ``whole``."""
        cdef Datagram* datagram
        cdef Reject reason
        cdef uint32_t end = piece.offset + piece.data_bytes
        cdef uint32_t header_bytes = piece.header_bytes - (IPV6_HEADER_BYTES if packet.ip_version == 6 else 0)
        cdef uint32_t hash_ = self.hash(packet, piece)
        self.expire(time_ns, rejected)
        if piece.data_bytes == 0 or end > LARGEST - header_bytes:
            return FRAGMENT_BAD
        if packet.ip_version == 6 and piece.more and piece.data_bytes & 7:
            return FRAGMENT_BAD
        datagram = self.find(packet, piece, hash_)
        if datagram == NULL:
            datagram = self.begin(time_ns, packet, piece, hash_, rejected)
            if datagram == NULL:
                return NO_MEMORY
        if datagram.refused:
            return FRAGMENT_BAD
        reason = self.insert(datagram, piece, rejected)
        if reason != ACCEPTED:
            self.give_up(datagram, FRAGMENT_INCOMPLETE if reason == NO_MEMORY else FRAGMENT_BAD, rejected)
            return reason
        datagram.packets += 1
        self.fragments += 1
        if not datagram.ends or datagram.have != datagram.end or datagram.header == NULL:
            return FRAGMENT
        self.fragments -= 1     # the last of them is the packet
        datagram.packets -= 1
        length[0] = datagram.header_bytes + datagram.end
        if length[0] > (LARGEST if packet.ip_version == 4 else WHOLE_BYTES):    # the first header was a longer one
            self.give_up(datagram, FRAGMENT_BAD, rejected)
            return FRAGMENT_BAD
        captured[0] = self.put_together(datagram)
        self.forget(datagram)
        return ACCEPTED

    # -- datagrams -------------------------------------------------------------------------------

    cdef uint32_t hash(self, Packet* packet, Piece* piece) noexcept nogil:
        """A keyed hash by folded multiplication, as the flow table's."""
        cdef uint64_t tail = <uint64_t> piece.id << 32 | piece.depth
        cdef uint64_t mixed = tw_mix(packet.source[0] ^ self.seed[0], packet.destination[0] ^ self.seed[1])
        mixed ^= tw_mix(packet.source[1] ^ self.seed[2], packet.destination[1] ^ self.seed[3])
        if self.vlan_in_key:
            tail |= <uint64_t> packet.vlan << 16
        if packet.ip_version == 4:
            tail |= <uint64_t> piece.protocol << 8
        mixed = tw_mix(mixed ^ self.seed[1], tail ^ self.seed[2])
        return <uint32_t> (tw_mix(mixed ^ self.seed[3], <uint64_t> 0x9E3779B97F4A7C15) >> 16)

    cdef Datagram* find(self, Packet* packet, Piece* piece, uint32_t hash_) noexcept nogil:
        """Return the datagram that a fragment belongs to. IPv6 tells datagrams apart by id alone."""
        cdef Datagram* datagram = self.buckets[hash_ & self.bucket_mask]
        while datagram != NULL:
            if (
                datagram.hash == hash_ and datagram.id == piece.id and datagram.ip_version == packet.ip_version
                and datagram.source[0] == packet.source[0] and datagram.source[1] == packet.source[1]
                and datagram.destination[0] == packet.destination[0]
                and datagram.destination[1] == packet.destination[1]
                and (datagram.protocol == piece.protocol or packet.ip_version == 6)
                and (datagram.vlan == packet.vlan or not self.vlan_in_key) and datagram.depth == piece.depth
            ):
                return datagram
            datagram = datagram.next_in_bucket
        return NULL

    cdef Datagram* begin(
        self, int64_t time_ns, Packet* packet, Piece* piece, uint32_t hash_, uint64_t* rejected
    ) noexcept nogil:
        cdef Datagram* datagram
        if self.datagrams >= self.max_datagrams:
            self.give_up(self.oldest, FRAGMENT_INCOMPLETE, rejected)
        datagram = <Datagram*> self.allocate(sizeof(Datagram), NULL, rejected)
        if datagram == NULL:
            return NULL
        memset(datagram, 0, sizeof(Datagram))
        datagram.held_bytes = sizeof(Datagram) + OVERHEAD_BYTES
        memcpy(datagram.source, packet.source, 16)
        memcpy(datagram.destination, packet.destination, 16)
        datagram.id = piece.id
        datagram.hash = hash_
        datagram.vlan = packet.vlan
        datagram.protocol = piece.protocol
        datagram.ip_version = packet.ip_version
        datagram.depth = piece.depth
        datagram.start_ns = time_ns
        datagram.next_in_bucket = self.buckets[hash_ & self.bucket_mask]
        self.buckets[hash_ & self.bucket_mask] = datagram
        datagram.older = self.newest
        if self.newest == NULL:
            self.oldest = datagram
        else:
            self.newest.newer = datagram
        self.newest = datagram
        self.datagrams += 1
        return datagram

    cdef void expire(self, int64_t now_ns, uint64_t* rejected) noexcept nogil:
        """Give up what waits too long; also what began in a future that the clock has stepped back from."""
        cdef int64_t age_ns
        while self.oldest != NULL:
            age_ns = now_ns - self.oldest.start_ns
            if -self.timeout_ns <= age_ns <= self.timeout_ns:
                return
            if self.oldest.refused:
                self.forget(self.oldest)
            else:
                self.give_up(self.oldest, FRAGMENT_INCOMPLETE, rejected)

    cdef void give_up_all(self, uint64_t* rejected) noexcept nogil:
        """Nothing more comes."""
        while self.oldest != NULL:
            self.give_up(self.oldest, FRAGMENT_INCOMPLETE, rejected)

    cdef void give_up(self, Datagram* datagram, Reject reason, uint64_t* rejected) noexcept nogil:
        """Count a datagram's fragments as rejected. What comes of a bad IPv6 one is refused until it times out."""
        self.fragments -= datagram.packets
        rejected[<int> reason] += datagram.packets
        datagram.packets = 0
        if reason == FRAGMENT_BAD and datagram.ip_version == 6:     # RFC 5722
            datagram.refused = 1
            self.empty(datagram)
        else:
            self.forget(datagram)

    cdef void forget(self, Datagram* datagram) noexcept nogil:
        cdef Datagram** link = &self.buckets[datagram.hash & self.bucket_mask]
        while link[0] != datagram:
            link = &link[0].next_in_bucket
        link[0] = datagram.next_in_bucket
        if datagram.older == NULL:
            self.oldest = datagram.newer
        else:
            datagram.older.newer = datagram.newer
        if datagram.newer == NULL:
            self.newest = datagram.older
        else:
            datagram.newer.older = datagram.older
        self.datagrams -= 1
        self.empty(datagram)
        self.held_bytes -= datagram.held_bytes
        free(datagram)

    # -- parts -----------------------------------------------------------------------------------

    cdef Reject insert(self, Datagram* datagram, Piece* piece, uint64_t* rejected) noexcept nogil:
        """Add what a fragment brings that is new. IPv4: what came first stays; IPv6: no overlap but an exact repeat."""
        cdef uint32_t start = piece.offset, end = start + piece.data_bytes
        cdef Part** link = &datagram.first
        cdef Part* part
        cdef Reject reason
        if end > datagram.end and datagram.ends or end != datagram.end and datagram.ends and not piece.more:
            return FRAGMENT_BAD
        if end < datagram.end and not piece.more:
            return FRAGMENT_BAD
        if end > datagram.end:
            datagram.end = end
        if not piece.more:
            datagram.ends = 1
        if start == 0 and datagram.header == NULL and not self.keep_header(datagram, piece, rejected):
            return NO_MEMORY
        if datagram.last != NULL and datagram.last.end <= start:
            link = &datagram.last.next
        while link[0] != NULL and link[0].start < end:
            part = link[0]
            if part.end <= start:
                link = &part.next
                continue
            if datagram.ip_version == 6:
                return ACCEPTED if part.start == start and part.end == end else FRAGMENT_BAD
            if start < part.start:
                reason = self.insert_part(datagram, link, piece, start, part.start, rejected)
                if reason != ACCEPTED:
                    return reason
            if part.end >= end:
                return ACCEPTED
            start = part.end
            link = &part.next
        return self.insert_part(datagram, link, piece, start, end, rejected)

    cdef Reject insert_part(
        self, Datagram* datagram, Part** link, Piece* piece, uint32_t start, uint32_t end, uint64_t* rejected
    ) noexcept nogil:
        """Keep the bytes [start, end) of a fragment, before the part that ``link`` points at."""
        cdef uint32_t captured = 0
        cdef Part* part
        if datagram.part_count >= MAX_PARTS:
            return FRAGMENT_BAD
        if piece.offset + piece.captured > start:
            captured = piece.offset + piece.captured - start
            if captured > end - start:
                captured = end - start
        part = <Part*> self.allocate(sizeof(Part) + captured, datagram, rejected)
        if part == NULL:
            return NO_MEMORY
        part.start = start
        part.end = end
        part.captured = captured
        if captured:
            memcpy(<uint8_t*> part + sizeof(Part), piece.data + (start - piece.offset), captured)
        part.next = link[0]
        link[0] = part
        if part.next == NULL:
            datagram.last = part
        datagram.part_count += 1
        datagram.have += end - start
        return ACCEPTED

    cdef bint keep_header(self, Datagram* datagram, Piece* piece, uint64_t* rejected) noexcept nogil:
        datagram.header = <uint8_t*> self.allocate(piece.header_bytes, datagram, rejected)
        if datagram.header == NULL:
            return False
        memcpy(datagram.header, piece.header, piece.header_bytes)
        datagram.header_bytes = piece.header_bytes
        datagram.next_header_at = piece.next_header_at
        datagram.first_protocol = piece.protocol
        return True

    cdef void* allocate(self, uint32_t size, Datagram* datagram, uint64_t* rejected) noexcept nogil:
        """Take memory for a datagram, giving up older ones where there is no room."""
        cdef Datagram* victim
        cdef void* memory
        size += OVERHEAD_BYTES
        while self.held_bytes + size > self.max_bytes:
            victim = self.oldest if self.oldest != datagram else datagram.newer
            if victim == NULL:
                return NULL
            self.give_up(victim, FRAGMENT_INCOMPLETE, rejected)
        memory = malloc(size)
        if memory != NULL:
            self.held_bytes += size
            if datagram != NULL:
                datagram.held_bytes += size
        return memory

    cdef void empty(self, Datagram* datagram) noexcept nogil:
        """Free the header and the parts."""
        cdef Part* part
        while datagram.first != NULL:
            part = datagram.first
            datagram.first = part.next
            free(part)
        free(datagram.header)
        datagram.header = NULL
        datagram.last = NULL
        self.held_bytes -= datagram.held_bytes - sizeof(Datagram) - OVERHEAD_BYTES
        datagram.held_bytes = sizeof(Datagram) + OVERHEAD_BYTES

    cdef uint32_t put_together(self, Datagram* datagram) noexcept nogil:
        """Write the datagram as it was before it was cut; return the bytes of it up to the first not captured."""
        cdef uint8_t* header = self.whole
        cdef uint32_t payload_bytes, header_bytes = datagram.header_bytes
        cdef Part* part = datagram.first
        memcpy(header, datagram.header, header_bytes)
        if datagram.ip_version == 4:
            payload_bytes = header_bytes + datagram.end
            header[2] = <uint8_t> (payload_bytes >> 8)
            header[3] = <uint8_t> payload_bytes
            header[6] = header[7] = 0
        else:
            payload_bytes = header_bytes - IPV6_HEADER_BYTES + datagram.end
            header[4] = <uint8_t> (payload_bytes >> 8)
            header[5] = <uint8_t> payload_bytes
            header[datagram.next_header_at] = datagram.first_protocol
        while part != NULL:
            memcpy(header + header_bytes + part.start, <uint8_t*> part + sizeof(Part), part.captured)
            if part.captured < part.end - part.start:
                return header_bytes + part.start + part.captured
            part = part.next
        return header_bytes + datagram.end
