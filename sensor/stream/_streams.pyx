# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""TCP streams put together from segments, within bounds; the flow table feeds them, and they hand out events.

Bytes go out in the order of their sequence numbers, each once.  Where two segments disagree about a byte,
the one that came first is right.  What comes too early is held; bytes in front of it that never come are a
gap: when the receiver has acknowledged them and a second has passed, when more is held than may be, or when
the flow ends.  A stream whose SYN was not seen waits a moment for what may lie before its first segment.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from sensor.decode._frame cimport NO_VLAN, TCP_ACK, TCP_SYN, Packet
from sensor.inspect._app cimport LIKELY, MAYBE, YES, Verdict
from sensor.inspect._http cimport http_request, http_response
from sensor.stream._streams cimport Assembly, Half, Held, Names, Note

from sensor.stream.events import Began, Data, Ended, Gap, Skipped

# What a NamedTuple's own constructor ends in, without the way there.
cdef object make = tuple.__new__

cdef enum:
    # Note.kind
    BEGAN = 0
    DATA
    GAP
    SKIPPED
    ENDED

cdef enum:
    BYTES_HIGH = 1 << 21        # a walker stops here
    NOTES_HIGH = 1 << 14
    BYTES_FIRST = 1 << 22
    NOTES_FIRST = 1 << 15
    # Half.known
    FLOATING = 1                # no SYN was seen: what comes may lie before what came
    FIXED = 2
    FLOATING_BYTES = 1 << 16    # of a direction, while its beginning is waited for
    WINDOW = 1 << 30            # no two bytes in flight are further apart (RFC 7323, 2.3)
    # Whatever is asked for: one packet or the end of one flow gives no more than what is held.
    MOST_HELD_BYTES = 1 << 24

cdef int64_t PATIENCE_NS = 1000000000
# With http, an event's bytes came within this time, so that the ends of messages have times.
cdef int64_t TOGETHER_NS = 10000000


cdef inline int32_t distance(uint32_t later, uint32_t earlier) noexcept nogil:
    return <int32_t> (later - earlier)


@cython.final
cdef class Streams:
    """Follows the payload of a FlowTable's flows: ``FlowTable(streams=Streams())``, then ``drain`` after each stretch.

    ``held_bytes`` and ``held_pieces`` bound what one direction holds, ``total_bytes`` what all do.  ``most_bytes``
    is how much of a direction is handed out, 0 for all.  With ``datagrams`` the payload of UDP, ICMP and all else is
    handed out too.  With ``apart`` each packet's bytes are an event of their own.  With ``http`` a flow is followed
    from the first packet on that begins as a message of HTTP/1 does, and ``leave_out`` tells what
    nobody wants of it.
    """

    def __cinit__(
        self,
        *,
        uint32_t held_bytes=1 << 18,
        uint32_t held_pieces=256,
        uint64_t total_bytes=1 << 26,
        uint64_t most_bytes=0,
        bint datagrams=False,
        bint apart=False,
        bint http=False,
    ):
        if held_bytes < 1 or held_bytes > MOST_HELD_BYTES or held_pieces < 1 or held_pieces > 65536:
            raise ValueError("held_bytes is 1 to 16777216, held_pieces 1 to 65536")
        self.held_bytes = held_bytes
        self.held_pieces = held_pieces
        self.total_bytes = total_bytes
        self.most_bytes = most_bytes
        self.datagrams = datagrams
        self.apart = apart
        self.http = http
        self.stash = []
        self.open = {}
        self.bytes_capacity = BYTES_FIRST
        self.note_capacity = NOTES_FIRST
        self.bytes = <uint8_t*> malloc(BYTES_FIRST)
        self.notes = <Note*> malloc(NOTES_FIRST * sizeof(Note))
        if self.bytes == NULL or self.notes == NULL:
            raise MemoryError()

    def __dealloc__(self):
        self.bury()
        free(self.bytes)
        free(self.notes)

    cdef bint is_full(self) noexcept nogil:
        return self.bytes_used >= BYTES_HIGH or self.note_count >= NOTES_HIGH

    # -- from the flow table ---------------------------------------------------------------------

    cdef bint wants(self, Packet* packet, uint8_t side, bint first) noexcept nogil:
        """Tell whether a flow is to be followed from this packet on; ``first``: its direction begins with it.

        Little of a message's beginning is enough at the beginning of a direction alone.
        """
        cdef uint32_t length = packet.content_bytes
        cdef Verdict verdict
        if not self.http:
            return True
        if length > packet.payload_bytes:
            length = packet.payload_bytes
        verdict = http_response(packet.content, length) if side else http_request(packet.content, length)
        return verdict == YES or verdict == LIKELY or (verdict == MAYBE and first)

    cdef Assembly* begin(self, Names* names) noexcept nogil:
        """Follow a flow from its first payload on; NULL when there is no memory."""
        cdef Assembly* assembly = <Assembly*> malloc(sizeof(Assembly))
        cdef Note* note
        if assembly == NULL:
            self.lost += 1
            return NULL
        memset(assembly, 0, sizeof(Assembly))
        assembly.flow_id = names.flow_id
        self.followed += 1
        note = self.note(names.flow_id, BEGAN, names.start_ns)
        if note == NULL:
            free(assembly)
            return NULL
        note.assembly = assembly
        note.names = names[0]
        return assembly

    cdef void segment(
        self, Assembly* assembly, uint8_t side, uint32_t first, bint from_syn, Packet* packet
    ) noexcept nogil:
        """Take a TCP segment; ``first`` is the sequence number of its direction's first byte, if the SYN was seen."""
        cdef Half* half = &assembly.half[side]
        cdef Half* other = &assembly.half[1 - side]
        cdef const uint8_t* data = packet.content
        cdef uint32_t start = packet.sequence + (1 if packet.tcp_flags & TCP_SYN else 0)
        cdef uint32_t length = packet.content_bytes, missing
        cdef int32_t ahead
        if other.known == FLOATING and other.first != NULL and (
            packet.time_ns - other.first.time_ns > PATIENCE_NS
            or (packet.tcp_flags & TCP_ACK and distance(packet.acknowledgement, other.next_sequence) > 0)
        ):
            self.fix(assembly, 1 - side)
        if half.known == FLOATING and packet.tcp_flags & TCP_SYN and distance(start, half.next_sequence) <= 0:
            half.next_sequence = start
            self.fix(assembly, side)
        if (
            other.first != NULL and packet.tcp_flags & TCP_ACK and packet.time_ns - other.first.time_ns > PATIENCE_NS
            and distance(packet.acknowledgement, other.first.start) >= 0
        ):
            self.give_up(assembly, 1 - side)
        if not packet.payload_bytes or half.full:
            return
        if not half.known:
            half.known = FIXED if from_syn else FLOATING
            half.next_sequence = first
        if length > packet.payload_bytes:
            length = packet.payload_bytes
        missing = packet.payload_bytes - length
        if half.known == FLOATING and (
            self.floats(assembly, side, start, data, length, packet) or half.full
        ):
            return
        ahead = distance(start, half.next_sequence)
        if ahead > WINDOW or ahead < -WINDOW:
            self.far += 1
            return
        if ahead < 0:
            if distance(start + packet.payload_bytes, half.next_sequence) <= 0:
                return
            if <uint32_t> -ahead >= length:
                missing -= <uint32_t> -ahead - length
                length = 0
            else:
                data += -ahead
                length += ahead
            start = half.next_sequence
        if start == half.next_sequence and half.first == NULL:
            if length:
                self.put(assembly, side, data, length, packet.time_ns)
            if missing and not half.full:       # a short snap length: nobody will see the rest
                self.skip(assembly, side, missing, packet.time_ns)
            return
        self.hold(half, start, data, length, packet.time_ns)
        self.release(assembly, side)
        while half.first != NULL and (
            half.held_bytes > self.held_bytes or half.held_pieces > self.held_pieces or self.held > self.total_bytes
        ):
            self.give_up(assembly, side)

    cdef bint floats(
        self, Assembly* assembly, uint8_t side, uint32_t start, const uint8_t* data, uint32_t length, Packet* packet
    ) noexcept nogil:
        """Hold a segment that may still not be the first of its direction; False where it is to be taken as others."""
        cdef Half* half = &assembly.half[side]
        cdef int32_t ahead = distance(start, half.next_sequence)
        if length < packet.payload_bytes or ahead > <int32_t> FLOATING_BYTES or ahead < -<int32_t> FLOATING_BYTES or (
            half.first != NULL and packet.time_ns - half.first.time_ns > PATIENCE_NS
        ):
            self.fix(assembly, side)
            return False
        if ahead < 0:
            if length == 1:     # a keep-alive (RFC 9293, 3.8.4)
                return True
            half.next_sequence = start
        self.hold(half, start, data, length, packet.time_ns)
        if (
            half.held_bytes > min(<uint32_t> FLOATING_BYTES, self.held_bytes)
            or half.held_pieces > self.held_pieces or self.held > self.total_bytes
        ):
            self.fix(assembly, side)
        return True

    cdef void fix(self, Assembly* assembly, uint8_t side) noexcept nogil:
        """Let a direction begin with the first byte that is held, and hand out what is in order."""
        cdef Half* half = &assembly.half[side]
        half.known = FIXED
        self.release(assembly, side)
        while half.first != NULL and (
            half.held_bytes > self.held_bytes or half.held_pieces > self.held_pieces or self.held > self.total_bytes
        ):
            self.give_up(assembly, side)

    cdef void datagram(self, Assembly* assembly, uint8_t side, Packet* packet) noexcept nogil:
        """Take a datagram, whose bytes follow those of the one before it."""
        cdef Half* half = &assembly.half[side]
        cdef uint32_t length = packet.content_bytes
        assembly.apart = True
        if length > packet.payload_bytes:
            length = packet.payload_bytes
        if length and not half.full:
            self.put(assembly, side, packet.content, length, packet.time_ns)
        if packet.payload_bytes > length and not half.full:
            self.skip(assembly, side, packet.payload_bytes - length, packet.time_ns)

    cdef void end(
        self, Assembly* assembly, int64_t time_ns, uint8_t end_reason, uint64_t packets_out, uint64_t packets_in
    ) noexcept nogil:
        """Hand out what is held, with its gaps, and the end; the assembly is gone."""
        cdef Note* note
        cdef uint8_t side
        for side in range(2):
            if assembly.half[side].known == FLOATING:
                self.fix(assembly, side)
            while assembly.half[side].first != NULL:
                self.give_up(assembly, side)
            self.tell_skipped(assembly, side)
        note = self.note(assembly.flow_id, ENDED, time_ns)
        if note != NULL:
            note.end_reason = end_reason
            note.names.client[0] = packets_out
            note.names.server[0] = packets_in
            note.names.client[1] = assembly.half[0].wire_bytes
            note.names.server[1] = assembly.half[1].wire_bytes
        if not self.http:
            free(assembly)
        elif note != NULL:      # without its event it stays open, and so its memory has to
            assembly.next_dead = self.dead
            self.dead = assembly

    cdef void discard(self, Assembly* assembly) noexcept nogil:
        """Free an assembly whose table is going."""
        self.abandoned = True
        self.drop_held(&assembly.half[0])
        self.drop_held(&assembly.half[1])
        free(assembly)

    # -- what is held ----------------------------------------------------------------------------

    cdef void hold(
        self, Half* half, uint32_t start, const uint8_t* data, uint32_t length, int64_t time_ns
    ) noexcept nogil:
        """Keep those of these bytes that are not held yet."""
        cdef Held** link = &half.first
        cdef Held* held
        cdef uint32_t room, known
        while length:
            while link[0] != NULL and distance(link[0].start + link[0].length, start) <= 0:
                link = &link[0].next
            held = link[0]
            if held != NULL and distance(start, held.start) >= 0:
                known = held.start + held.length - start
                if known >= length:
                    return
                start += known
                data += known
                length -= known
                continue
            room = length
            if held != NULL and distance(start + length, held.start) > 0:
                room = held.start - start
            held = self.keep(half, start, data, room, time_ns)
            if held == NULL:
                self.lost += 1
                return
            held.next = link[0]
            link[0] = held
            start += room
            data += room
            length -= room

    cdef Held* keep(
        self, Half* half, uint32_t start, const uint8_t* data, uint32_t length, int64_t time_ns
    ) noexcept nogil:
        cdef Held* held = <Held*> malloc(sizeof(Held) + length)
        if held == NULL:
            return NULL
        held.time_ns = time_ns
        held.start = start
        held.length = length
        memcpy(<uint8_t*> held + sizeof(Held), data, length)
        half.held_bytes += length
        half.held_pieces += 1
        self.held += length
        return held

    cdef void release(self, Assembly* assembly, uint8_t side) noexcept nogil:
        """Hand out what is held and in order now."""
        cdef Half* half = &assembly.half[side]
        cdef Held* held = half.first
        while held != NULL and held.start == half.next_sequence:
            self.put(assembly, side, <uint8_t*> held + sizeof(Held), held.length, held.time_ns)
            half.first = held.next
            half.held_bytes -= held.length
            half.held_pieces -= 1
            self.held -= held.length
            free(held)
            held = half.first
            if half.full:
                self.drop_held(half)
                return

    cdef void give_up(self, Assembly* assembly, uint8_t side) noexcept nogil:
        """Go on with what is held, behind a gap."""
        cdef Half* half = &assembly.half[side]
        self.skip(assembly, side, half.first.start - half.next_sequence, half.first.time_ns)
        self.release(assembly, side)

    cdef void drop_held(self, Half* half) noexcept nogil:
        cdef Held* held = half.first
        while held != NULL:
            half.first = held.next
            self.held -= held.length
            free(held)
            held = half.first
        half.held_bytes = half.held_pieces = 0

    # -- events out ------------------------------------------------------------------------------

    cdef Note* note(self, uint64_t flow_id, uint8_t kind, int64_t time_ns) noexcept nogil:
        """Return a new event, NULL when there is no memory for it."""
        cdef Note* more
        if self.note_count == self.note_capacity:
            more = <Note*> realloc(self.notes, 2 * self.note_capacity * sizeof(Note))
            if more == NULL:
                self.lost += 1
                return NULL
            self.notes = more
            self.note_capacity *= 2
        more = &self.notes[self.note_count]
        self.note_count += 1
        more.kind = kind
        more.names.flow_id = flow_id
        more.names.start_ns = time_ns
        return more

    cdef uint8_t* room(self, uint64_t length) noexcept nogil:
        """Return where so many bytes may be written, NULL when there is no memory for them."""
        cdef uint64_t capacity = self.bytes_capacity
        cdef uint8_t* more
        if self.bytes_used + length > capacity:
            while self.bytes_used + length > capacity:
                capacity *= 2
            more = <uint8_t*> realloc(self.bytes, capacity)
            if more == NULL:
                return NULL
            self.bytes = more
            self.bytes_capacity = capacity
        return self.bytes + self.bytes_used

    cdef void put(
        self, Assembly* assembly, uint8_t side, const uint8_t* data, uint64_t length, int64_t time_ns
    ) noexcept nogil:
        """Hand out the next bytes of a direction, up to the limit for one."""
        cdef Half* half = &assembly.half[side]
        cdef Note* note
        cdef uint8_t* room
        cdef uint64_t wanted
        if half.offset < half.unwanted_until:
            wanted = self.pass_by(assembly, side, length, time_ns)
            data += wanted
            length -= wanted
            if not length:
                return
        wanted = length
        if self.most_bytes and half.offset + length >= self.most_bytes:
            half.full = True
            wanted = self.most_bytes - half.offset if half.offset < self.most_bytes else 0
            self.cut_bytes += length - wanted
            if not wanted:      # what was left out reached the limit
                return
        room = self.room(wanted)
        note = NULL if room == NULL else self.data_note(assembly, side, time_ns)
        if note == NULL:
            self.lost += 1
            self.skip(assembly, side, length, time_ns)
            return
        memcpy(room, data, wanted)
        note.length += wanted
        self.bytes_used += wanted
        self.data_bytes += wanted
        half.next_sequence += <uint32_t> length
        half.offset += length

    cdef Note* data_note(self, Assembly* assembly, uint8_t side, int64_t time_ns) noexcept nogil:
        """Return the event that bytes go into: the last one when they continue it."""
        cdef Note* note
        cdef uint64_t offset = assembly.half[side].offset
        if self.note_count and not (self.apart or assembly.apart):
            note = &self.notes[self.note_count - 1]
            if note.kind == DATA and note.names.flow_id == assembly.flow_id and (
                note.direction == side and note.offset + note.length == offset
                and (not self.http or time_ns - note.names.start_ns <= TOGETHER_NS)
            ):
                return note
        note = self.note(assembly.flow_id, DATA, time_ns)
        if note != NULL:
            note.direction = side
            note.offset = offset
            note.at = self.bytes_used
            note.length = 0
        return note

    cdef uint64_t pass_by(self, Assembly* assembly, uint8_t side, uint64_t length, int64_t time_ns) noexcept nogil:
        """Leave out the bytes that nobody wants; return how many of the next ones these are."""
        cdef Half* half = &assembly.half[side]
        if length > half.unwanted_until - half.offset:
            length = half.unwanted_until - half.offset
        half.next_sequence += <uint32_t> length
        half.offset += length
        half.skipped += length
        half.skipped_ns = time_ns
        self.skipped_bytes += length
        if half.offset == half.unwanted_until:
            self.tell_skipped(assembly, side)
        return length

    cdef void tell_skipped(self, Assembly* assembly, uint8_t side) noexcept nogil:
        """Hand out how much was left out."""
        cdef Half* half = &assembly.half[side]
        cdef Note* note
        if not half.skipped:
            return
        note = self.note(assembly.flow_id, SKIPPED, half.skipped_ns)
        if note != NULL:
            note.direction = side
            note.offset = half.offset - half.skipped
            note.length = half.skipped
        half.skipped = 0

    cdef void skip(self, Assembly* assembly, uint8_t side, uint64_t length, int64_t time_ns) noexcept nogil:
        """Hand out a gap."""
        cdef Half* half = &assembly.half[side]
        cdef Note* note
        self.tell_skipped(assembly, side)
        note = self.note(assembly.flow_id, GAP, time_ns)
        self.gap_bytes += length
        half.next_sequence += <uint32_t> length
        if note != NULL:
            note.direction = side
            note.offset = half.offset
            note.length = length
        half.offset += length
        if self.most_bytes and half.offset >= self.most_bytes:
            half.full = True
            self.drop_held(half)

    cdef void bury(self) noexcept nogil:
        """Free the assemblies of flows whose end was handed out."""
        cdef Assembly* assembly = self.dead
        while assembly != NULL:
            self.dead = assembly.next_dead
            free(assembly)
            assembly = self.dead

    cdef relieve(self):
        """Make room while Python is the one who feeds."""
        self.stash = self.drain()

    def leave_out(self, uint64_t flow_id, uint8_t direction, uint64_t until):
        """Hand out no more bytes of a direction before this offset, but a Skipped that says how many they were.

        With ``http`` alone; a flow that is over, or none, is passed over.
        """
        cdef Half* half
        cdef object found = self.open.get(flow_id)
        if found is None or self.abandoned or direction > 1:
            return
        half = &(<Assembly*> <uintptr_t> found).half[direction]
        if until > half.unwanted_until:
            half.unwanted_until = until

    def drain(self):
        """Return what happened since the last call, as a list of ``sensor.stream.events.Event``."""
        cdef uint64_t i
        cdef Note* note
        cdef list events = self.stash
        self.stash = []
        for i in range(self.note_count):
            note = &self.notes[i]
            if note.kind == DATA:
                events.append(make(Data, (
                    note.names.flow_id, note.direction, note.offset, note.names.start_ns,
                    PyBytes_FromStringAndSize(<char*> self.bytes + note.at, <Py_ssize_t> note.length),
                )))
            elif note.kind == GAP:
                events.append(Gap(
                    note.names.flow_id, note.direction, note.offset, note.names.start_ns, note.length
                ))
            elif note.kind == SKIPPED:
                events.append(Skipped(
                    note.names.flow_id, note.direction, note.offset, note.names.start_ns, note.length
                ))
            elif note.kind == BEGAN:
                if self.http:
                    self.open[note.names.flow_id] = <uintptr_t> note.assembly
                events.append(began(&note.names))
            else:
                self.open.pop(note.names.flow_id, None)
                events.append(make(Ended, (
                    note.names.flow_id, note.names.start_ns, note.end_reason,
                    note.names.client[0], note.names.server[0], note.names.client[1], note.names.server[1],
                )))
        self.note_count = self.bytes_used = 0
        self.bury()
        return events


cdef began(Names* names):
    cdef Py_ssize_t length = 4 if names.ip_version == 4 else 16
    return Began(
        names.flow_id, names.start_ns, names.protocol, None if names.vlan == NO_VLAN else names.vlan,
        PyBytes_FromStringAndSize(<char*> names.client, length), names.client_port,
        PyBytes_FromStringAndSize(<char*> names.server, length), names.server_port,
    )
