# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What the flows of a table carry: the first bytes of each direction, until they have told what they are.

Most directions tell it in their first segment, which is looked at where it is.  Bytes are kept while they do not
suffice: at most HEAD_BYTES of a direction, which come in order or behind one gap, and ``memory_bytes`` of all
flows together with what they told.  What asks for a tunnel through a proxy, or for a WebSocket, is looked at
again from where that begins.

Python is asked once for each hello, banner and head, for the facts in it (``sensor.inspect.facts``).
"""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

from sensor.decode._frame cimport TCP_SYN, Packet
from sensor.inspect._app cimport (
    FROM_SERVER, HTTP, SSH, TLS, UNDECIDED, YES, App, be16, be32, begins, is_digit, line_end,
)
from sensor.inspect._content cimport (
    BEGUN, COLLECTING, CONNECT, CUT, DONE, HEAD_BYTES, HOST_BYTES, LATE, LOOKING, MOST_PAIRS, NOT_ASKED, PAIRS_BYTES,
    SKIPPING, WAITING, WEBSOCKET, Content, Start,
)
from sensor.inspect._identify cimport identify
from sensor.inspect._mismatch cimport SERVER_PART, part_of
from sensor.inspect._websocket cimport frames_payload

from msgpack import packb

from sensor.inspect import facts
from sensor.inspect._identify import APP_NAMES
from sensor.inspect.messages import inflated, shell_in

cdef enum:
    FIRST_ROOM = 256
    MOST_TRIES = 4              # for a tunnel; heads that a direction may have
    FAR = 1 << 16               # so many bytes behind a gap, it is one for good
    WINDOW = 1 << 30            # no two bytes in flight are further apart (RFC 7323, 2.3)
    LONGEST_PACKET = 35000      # RFC 4253, 6.1


# ---- whether bytes suffice -----------------------------------------------------------------------

cdef inline bint is_hello(const uint8_t* data, uint32_t length) noexcept nogil:
    return length > 5 and data[0] == 22 and 1 <= data[5] <= 2


cdef inline uint32_t whole(App app, const uint8_t* data, uint32_t length) noexcept nogil:
    """Return how many bytes a direction's hello, banner or head has, 0 when more of them are to come."""
    if app == HTTP:
        return whole_head(data, length)
    if app == TLS and is_hello(data, length):
        return whole_hello(data, length)
    return whole_ssh(data, length) if app == SSH else length


cdef inline uint32_t whole_head(const uint8_t* data, uint32_t length) noexcept nogil:
    """HTTP's: to the empty line (RFC 9112, 2.1).  HTTP/0.9 has a line and no more: its end is not waited for."""
    cdef uint32_t at = 0, end
    while at < length and (data[at] == c'\r' or data[at] == c'\n'):
        at += 1
    while at < length:
        end = line_end(data, length, at)
        if end == length:
            return 0
        if end == at or end == at + 1 and data[at] == c'\r':
            return end + 1
        at = end + 1
    return 0


cdef inline uint16_t status_of(const uint8_t* data) noexcept nogil:
    """Return a response's status, of a status line that was told to be one: HTTP/x.y NNN."""
    return <uint16_t> ((data[9] - c'0') * 100 + (data[10] - c'0') * 10 + data[11] - c'0')


cdef inline uint32_t whole_hello(const uint8_t* data, uint32_t length) noexcept nogil:
    """TLS': as many records as the first handshake message takes (RFC 8446, 5.1)."""
    cdef uint32_t at = 0, size, message = 0, wanted = 0
    while length - at >= 5:
        size = be16(data + at + 3)
        if data[at] != 22 or not size:
            return length
        if at == 0:
            if size < 4:
                return length
            if length < 9:
                return 0
            wanted = 4 + (be32(data + 5) & 0xFFFFFF)
        message += size
        at += 5 + size
        if at > length:
            return 0
        if message >= wanted:
            return at
    return 0


cdef inline uint32_t whole_ssh(const uint8_t* data, uint32_t length) noexcept nogil:
    """SSH's: the banner and the packet behind it, whose key exchange tells the client from the server."""
    cdef uint32_t at = 0, end, size
    while at < length:
        end = line_end(data, length, at)
        if end == length:
            return 0
        if begins(data, length, at, b"SSH-", 0) == YES:
            if length - end - 1 < 4:
                return 0
            size = be32(data + end + 1)
            if size > LONGEST_PACKET:
                return length
            return end + 5 + size if length - end - 5 >= size else 0
        at = end + 1
    return 0


@cython.final
cdef class Inspector:
    """Tells what a FlowTable's flows carry: ``FlowTable(inspector=Inspector())``.

    ``memory_bytes`` bounds the first bytes that are kept and the facts of open flows.  ``facts_of`` is asked as
    ``sensor.inspect.facts.told_by`` is.  ``told`` counts how often it was, ``failed`` how often it could not answer,
    and ``given_up`` the directions, and the facts, for which there was no room.
    """

    def __cinit__(self, *, uint64_t memory_bytes=1 << 26, facts_of=None):
        self.memory_bytes = memory_bytes
        self.facts_of = facts.told_by if facts_of is None else facts_of

    # -- from the flow table ---------------------------------------------------------------------

    cdef Content* begin(self) noexcept nogil:
        """Begin with a flow at its first payload; NULL when there is no memory."""
        cdef Content* content = <Content*> calloc(1, sizeof(Content))
        if content == NULL:
            self.given_up += 1
        return content

    cdef bint segment(
        self, Content* content, uint8_t side, uint32_t first, bint late, Packet* packet
    ) noexcept nogil:
        """Take a TCP segment with payload; return whether no more of its direction is wanted.

        ``first`` is the sequence number of the direction's first byte, ``late`` tells that nobody knows it.
        """
        cdef Start* start = &content.start[side]
        cdef const uint8_t* data = packet.content
        cdef uint32_t payload = packet.payload_bytes, length = packet.content_bytes, behind
        cdef int32_t ahead
        if start.phase == DONE:
            return True
        if not start.marks & BEGUN:
            start.next_sequence = first
            start.marks = BEGUN | LATE if late else BEGUN
        if length > payload:
            length = payload
        ahead = <int32_t> (packet.sequence + (1 if packet.tcp_flags & TCP_SYN else 0) - start.next_sequence)
        if ahead > WINDOW or ahead < -WINDOW:
            return False
        if ahead < 0:
            behind = <uint32_t> -ahead
            if behind >= payload:
                return False
            payload -= behind
            behind = behind if behind < length else length
            data += behind
            length -= behind
        elif ahead > 0:
            if start.phase == SKIPPING:
                start.next_sequence += <uint32_t> ahead + payload
            else:
                self.fill_ahead(content, side, <uint32_t> ahead, data, length)
            return start.phase == DONE
        start.next_sequence += payload
        if length < payload:
            start.marks |= CUT      # a short snap length: nobody will see the rest
        return self.fill(content, side, data, length, (start.marks & CUT) != 0)

    cdef void conclude(self, Content* content) noexcept nogil:
        """Decide all that is left to decide: nothing more comes."""
        cdef Start* client = &content.start[0]
        cdef Start* server = &content.start[1]
        cdef uint8_t side, turn
        if client.phase == WAITING and client.filled and not server.marks & BEGUN:
            # Only the client's direction was seen; no client goes on without the answer that it asked for.
            content.stands = True
            client.phase = LOOKING
        for turn in range(3):       # the answer of a server may be what the client's rest waits for
            side = turn & 1
            if content.start[side].filled:
                self.look_again(content, side, True)
        self.finish(client)
        self.finish(server)

    cdef void discard(self, Content* content) noexcept nogil:
        """Free a flow's content."""
        self.finish(&content.start[0])
        self.finish(&content.start[1])
        self.used_bytes -= content.pairs_bytes + content.host_bytes
        free(content.pairs)
        free(content.host)
        free(content)

    # -- the bytes that are kept -----------------------------------------------------------------

    cdef bint fill(
        self, Content* content, uint8_t side, const uint8_t* data, uint32_t length, bint complete
    ) noexcept nogil:
        """Take bytes that come next, and what is behind them now; return whether no more are wanted."""
        cdef Start* start = &content.start[side]
        cdef uint32_t size
        if start.head == NULL:
            self.advance(content, side, data, length, complete)
        elif not self.make_room(start, start.filled + length):
            self.advance(content, side, start.head, start.filled, True)
            self.finish(start)
        else:
            while length and start.filled < HEAD_BYTES:
                if start.ahead_to and start.filled == start.ahead_from:
                    size = start.ahead_to - start.ahead_from    # those came first, so they are right
                    start.filled = start.ahead_to
                    start.ahead_to = 0
                    if size >= length:
                        start.next_sequence += size - length
                        length = 0
                    else:
                        data += size
                        length -= size
                    continue
                size = (start.ahead_from if start.ahead_to else HEAD_BYTES) - start.filled
                size = size if size < length else length
                memcpy(start.head + start.filled, data, size)
                start.filled += <uint16_t> size
                data += size
                length -= size
            if length:
                start.marks |= CUT
            if start.ahead_to and start.filled == start.ahead_from:
                start.next_sequence += start.ahead_to - start.ahead_from
                start.filled = start.ahead_to
                start.ahead_to = 0
            self.advance(content, side, start.head, start.filled, complete)
        if complete and (start.phase == LOOKING or start.phase == COLLECTING) and start.marks & CUT:
            self.finish(start)
        return start.phase == DONE

    cdef void fill_ahead(
        self, Content* content, uint8_t side, uint32_t ahead, const uint8_t* data, uint32_t length
    ) noexcept nogil:
        """Take bytes that came before those in front of them; of two such stretches only the first is kept."""
        cdef Start* start = &content.start[side]
        cdef uint32_t begin = start.filled + ahead, end
        if ahead >= FAR:
            if start.filled:
                self.look_again(content, side, True)
            self.finish(start)
            return
        if begin >= HEAD_BYTES or not length:
            return
        end = begin + length if length < HEAD_BYTES - begin else HEAD_BYTES
        if start.ahead_to == 0:
            if not self.make_room(start, end):
                return
            memcpy(start.head + begin, data, end - begin)
            start.ahead_from = <uint16_t> begin
            start.ahead_to = <uint16_t> end
        elif start.ahead_from <= begin <= start.ahead_to < end:
            if not self.make_room(start, end):
                return
            memcpy(start.head + start.ahead_to, data + (start.ahead_to - begin), end - start.ahead_to)
            start.ahead_to = <uint16_t> end
        elif begin < start.ahead_from <= end:
            memcpy(start.head + begin, data, start.ahead_from - begin)
            start.ahead_from = <uint16_t> begin

    cdef bint make_room(self, Start* start, uint32_t wanted) noexcept nogil:
        """See that the head has room for so many bytes, as far as a head may; False when there is no memory."""
        cdef uint32_t room = start.room if start.room else FIRST_ROOM
        cdef uint8_t* head
        if wanted > HEAD_BYTES:
            wanted = HEAD_BYTES
        while room < wanted:
            room *= 2
        if room == start.room:
            return True
        head = NULL
        if self.used_bytes + (room - start.room) <= self.memory_bytes:
            head = <uint8_t*> realloc(start.head, room)
        if head == NULL:
            self.given_up += 1
            return False
        self.used_bytes += room - start.room
        start.head = head
        start.room = <uint16_t> room
        return True

    cdef void drop_head(self, Start* start) noexcept nogil:
        free(start.head)
        self.used_bytes -= start.room
        start.head = NULL
        start.room = start.filled = start.ahead_to = 0

    cdef void finish(self, Start* start) noexcept nogil:
        self.drop_head(start)
        start.phase = DONE

    # -- what they tell --------------------------------------------------------------------------

    cdef void advance(
        self, Content* content, uint8_t side, const uint8_t* data, uint32_t length, bint complete
    ) noexcept nogil:
        """Look at a direction's bytes, which are all of its head where it has one, and keep what is still needed."""
        cdef Start* start = &content.start[side]
        cdef Start* other = &content.start[1 - side]
        cdef bint kept = start.head != NULL, stood = content.stands
        cdef uint8_t phase = start.phase
        cdef uint32_t used, all_ = 0
        if length >= HEAD_BYTES:
            complete = True
        while all_ < length:
            used = self.consider(content, side, data + all_, length - all_, complete)
            if start.phase == DONE or used == 0:
                break
            all_ += used
        if start.phase != DONE:
            length -= all_
            if length == 0:
                start.marks &= <uint8_t> ~CUT
            if not kept:
                if length and self.make_room(start, length):
                    start.filled = <uint16_t> (length if length < HEAD_BYTES else HEAD_BYTES)
                    memcpy(start.head, data + all_, start.filled)
                    if length > HEAD_BYTES:
                        start.marks |= CUT
                elif length:
                    self.consider(content, side, data + all_, length, True)
                    self.finish(start)
            elif all_:
                start.filled -= <uint16_t> all_
                if start.ahead_to:
                    start.ahead_from -= <uint16_t> all_
                    start.ahead_to -= <uint16_t> all_
                if start.filled or start.ahead_to:
                    memmove(start.head, start.head + all_, start.ahead_to if start.ahead_to else start.filled)
                else:
                    self.drop_head(start)
        if other.filled and other.phase < WAITING and (start.phase != phase or content.stands != stood):
            self.look_again(content, 1 - side, False)

    cdef void look_again(self, Content* content, uint8_t side, bint complete) noexcept nogil:
        """Look at what is kept of a direction, for there is something new about it."""
        cdef Start* start = &content.start[side]
        self.advance(content, side, start.head, start.filled, complete or (start.marks & CUT) != 0)

    cdef uint32_t consider(
        self, Content* content, uint8_t side, const uint8_t* data, uint32_t length, bint complete
    ) noexcept nogil:
        """Take a direction's bytes one step further; return how many are not needed any more."""
        cdef Start* start = &content.start[side]
        cdef App app
        cdef uint32_t size
        if start.phase == WAITING:
            return 0
        if start.phase == SKIPPING:
            return length
        if content.stands:
            self.consider_inside(content, side, data, length, complete)
            return 0
        if start.phase == LOOKING:
            app = identify(
                data, length, complete and not start.marks & LATE, side, <App> content.start[1 - side].app[0]
            )
            if start.marks & LATE and app != TLS and app != HTTP:
                # Little else is sure to be a beginning.
                self.finish(start)
                return 0
            if app == UNDECIDED:
                return 0
            start.app[0] = <uint8_t> app
            start.phase = COLLECTING
        app = <App> start.app[0]
        start.role[0] = <uint8_t> part_of(app, data, length)
        size = whole(app, data, length)
        if size == 0:
            if not complete:
                return 0
            size = length
        self.tell(content, side, app, data, size)
        if app == HTTP:
            return self.after_http(content, side, size)
        if side == FROM_SERVER and content.start[0].phase == WAITING:
            self.finish(&content.start[0])
        self.finish(start)
        return 0

    cdef void consider_inside(
        self, Content* content, uint8_t side, const uint8_t* data, uint32_t length, bint complete
    ) noexcept nogil:
        """The same for what a tunnel carries."""
        cdef Start* start = &content.start[side]
        cdef uint8_t[2 * HEAD_BYTES] payload
        cdef bint compressed
        cdef App app
        if length > HEAD_BYTES:
            length = HEAD_BYTES
        if content.asked == WEBSOCKET:
            length = frames_payload(data, length, payload, &compressed)
            data = payload
            if length and compressed:
                length = self.inflate(payload, length)
            if length == 0:
                if complete:
                    self.finish(start)
                return
            if start.phase == LOOKING and data[0] < 0x80 and self.find_shell(start, data, length):
                self.finish(start)
                return
        if start.phase == LOOKING:
            app = identify(data, length, complete, side, <App> content.start[1 - side].app[1])
            if app == UNDECIDED:
                return
            start.app[1] = <uint8_t> app
            start.phase = COLLECTING
        app = <App> start.app[1]
        start.role[1] = <uint8_t> part_of(app, data, length)
        if whole(app, data, length) == 0 and not complete:
            return
        self.tell(content, side, app, data, length)
        self.finish(start)

    cdef uint32_t inflate(self, uint8_t* data, uint32_t length) noexcept with gil:
        """Put what compressed messages stand for in their place; return how much that is."""
        cdef bytes stream = (<const char*> data)[:length]
        cdef bytes found
        try:
            found = inflated(stream)
            length = <uint32_t> min(len(found), HEAD_BYTES)
            memcpy(data, <const char*> found, length)
            return length
        except Exception:
            self.failed += 1
            return 0

    cdef bint find_shell(self, Start* start, const uint8_t* data, uint32_t length) noexcept nogil:
        """Tell whether the messages are JSON that holds a shell's prompt, and take that as what is spoken."""
        if data[0] == c"[" or data[0] == c"{" or is_digit(data[0]) and length > 3 and (
            data[1] == c"[" or data[2] == c"["
        ):
            return self.ask_for_shell(start, data, length)
        return False

    cdef bint ask_for_shell(self, Start* start, const uint8_t* data, uint32_t length) noexcept with gil:
        cdef bytes messages = (<const char*> data)[:length]
        try:
            name = shell_in(messages)
        except Exception:
            self.failed += 1
            return False
        if name is None:
            return False
        start.app[1] = <uint8_t> <int> APP_NAMES.index(name)
        start.role[1] = <uint8_t> SERVER_PART
        return True

    cdef uint32_t after_http(self, Content* content, uint8_t side, uint32_t head_bytes) noexcept nogil:
        """Go on behind a head that was told; return its length when more of the direction is wanted."""
        cdef Start* client = &content.start[0]
        cdef Start* server = &content.start[1]
        if side != FROM_SERVER:
            if content.asked == NOT_ASKED or server.phase == DONE:
                self.finish(client)
                return 0
            client.phase = WAITING
            if server.phase == SKIPPING:
                server.phase = COLLECTING
            return head_bytes
        if 100 <= content.status < 200 and content.status != 101 and content.tries < MOST_TRIES:
            content.tries += 1      # the answer itself follows (RFC 9110, 15.2)
            return head_bytes
        if content.asked != NOT_ASKED and client.phase == WAITING:
            if 200 <= content.status < 300 if content.asked == CONNECT else content.status == 101:
                content.stands = True
                client.phase = server.phase = LOOKING
                return head_bytes
            if content.asked == CONNECT and content.tries < MOST_TRIES:
                content.tries += 1
                client.phase = COLLECTING
                server.phase = SKIPPING
                return head_bytes
            self.finish(client)
        self.finish(server)
        return 0

    cdef void tell(
        self, Content* content, uint8_t side, App app, const uint8_t* data, uint32_t length
    ) noexcept nogil:
        """Have the facts of a hello, banner or head taken; a response has its status, and no more than that."""
        if app == HTTP and not content.stands and length >= 12 and begins(data, length, 0, b"HTTP/", 0) == YES:
            if side == FROM_SERVER:
                content.status = status_of(data)
        elif app == HTTP or app == SSH or app == TLS and is_hello(data, length):
            self.take_facts(content, side, app, data, length)

    cdef void take_facts(
        self, Content* content, uint8_t side, App app, const uint8_t* data, uint32_t length
    ) noexcept with gil:
        cdef uint32_t limit = length if length < HEAD_BYTES else HEAD_BYTES
        cdef bint inside = content.stands
        self.told += 1
        try:
            told = self.facts_of(APP_NAMES[<int> app], side == FROM_SERVER, inside, (<const char*> data)[:limit])
            if told is None:
                return
            if app == HTTP and not inside and side != FROM_SERVER:
                content.asked = told.tunnel
                content.port = told.port
            if inside and content.asked == CONNECT and content.host != NULL and told.host:
                content.other_name = facts.is_other_name(content.host[:content.host_bytes].decode(), told.host)
            if told.facts and (inside or not content.tries):
                self.add_pairs(content, packb(told.facts)[1:], <uint32_t> len(told.facts))
            if told.host and content.host == NULL:
                self.add_host(content, told.host.encode())
        except Exception:       # whatever strangers send: the flow goes on without these facts
            self.failed += 1

    cdef bint add_pairs(self, Content* content, bytes pairs, uint32_t count):
        """Add encoded facts, fewer than 16; False when there is no room."""
        cdef uint32_t size = <uint32_t> len(pairs)
        cdef uint8_t* all_ = NULL
        if content.pair_count + count <= MOST_PAIRS and content.pairs_bytes + size <= PAIRS_BYTES:
            if self.used_bytes + size <= self.memory_bytes:
                all_ = <uint8_t*> realloc(content.pairs, content.pairs_bytes + size)
        if all_ == NULL:
            self.given_up += 1
            return False
        memcpy(all_ + content.pairs_bytes, <const char*> pairs, size)
        content.pairs = all_
        content.pairs_bytes += <uint16_t> size
        content.pair_count += <uint8_t> count
        self.used_bytes += size
        return True

    cdef bint add_host(self, Content* content, bytes host):
        cdef uint32_t size = <uint32_t> len(host)
        if size > HOST_BYTES:
            return False
        if self.used_bytes + size <= self.memory_bytes:
            content.host = <uint8_t*> realloc(NULL, size)
        if content.host == NULL:
            self.given_up += 1
            return False
        memcpy(content.host, <const char*> host, size)
        content.host_bytes = <uint8_t> size
        self.used_bytes += size
        return True

    @property
    def content_bytes(self):
        """Memory that one flow with payload takes here at least, beside ``memory_bytes``."""
        return sizeof(Content)
