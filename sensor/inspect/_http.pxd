"""HTTP in its first bytes: a request line, a status line, HTTP/2's preface and its server's SETTINGS frame. Inline."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, strlen

from sensor.inspect._app cimport (
    HTTP2, LIKELY, MAYBE, NO, YES, App, Verdict, be16, be32, begins, is_digit, is_letter, is_line_end,
)

cdef extern from *:
    """
    /* The methods that are known by themselves, most frequent first; any other token needs its version behind it. */
    static const char *const tw_http_methods[] = {
        "GET", "POST", "CONNECT", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "PROPFIND", "PROPPATCH",
        "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR", "MKACTIVITY", "CHECKOUT",
        "MERGE", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "M-SEARCH", "BCOPY", "BDELETE", "BMOVE", "BPROPFIND",
        "BPROPPATCH", "POLL", "PURGE", "RPC_IN_DATA", "RPC_OUT_DATA", "BITS_POST", "CCM_POST", "SOURCE", 0
    };
    static const char tw_token_marks[] = "!#$%&'*+-.^_`|~";
    """
    const char* const* tw_http_methods
    const char* tw_token_marks

cdef enum:
    LONGEST_METHOD = 32
    FRAME_BYTES = 9             # RFC 9113, 4.1
    LARGEST_FRAME = 16384
    FRAME_DATA = 0
    FRAME_SETTINGS = 4
    FRAME_LAST_TYPE = 12
    MOST_SETTINGS = 32


cdef inline bint is_token(uint8_t byte) noexcept nogil:
    """RFC 9110, 5.6.2."""
    cdef const char* mark = tw_token_marks
    if is_letter(byte) or is_digit(byte):
        return True
    while mark[0] and <uint8_t> mark[0] != byte:
        mark += 1
    return mark[0] != 0


cdef inline bint is_known_method(const uint8_t* at, uint32_t size) noexcept nogil:
    cdef const char* const* method = tw_http_methods
    while method[0] != NULL:
        if <uint8_t> method[0][0] == at[0] and strlen(method[0]) == size and memcmp(method[0], at, size) == 0:
            return True
        method += 1
    return False


cdef inline Verdict http_request(const uint8_t* data, uint32_t length) noexcept nogil:
    """A method, a target, a version (RFC 9112, 3), after empty lines perhaps; HTTP/0.9 has no version."""
    cdef uint32_t at = 0, start
    cdef bint known
    while at < length and at < 4 and is_line_end(data[at]):
        at += 1
    start = at
    while at < length and at - start < LONGEST_METHOD and is_token(data[at]):
        at += 1
    if at == length:
        return MAYBE
    if at == start or data[at] != c' ':
        return NO
    known = is_known_method(data + start, at - start)
    return request_target(data, length, at + 1, known)


cdef inline Verdict request_target(const uint8_t* data, uint32_t length, uint32_t start, bint known) noexcept nogil:
    """The rest of a request line.  A known method's target may hold spaces: careless clients send such."""
    cdef uint32_t at = start
    cdef bint has_colon = False, has_space = False
    cdef Verdict verdict
    while at < length:
        if data[at] == c' ' and at > start:
            if data[start] != c'/' and data[start] != c'*' and not has_colon:
                return NO
            verdict = http_version(data, length, at + 1)
            if verdict != NO or not known:
                return LIKELY if verdict == MAYBE and known else verdict
            has_space = True
        elif is_line_end(data[at]):
            # Without a version it is HTTP/0.9's: GET alone, and a path.
            return YES if known and not has_space and data[start] == c'/' and data[start - 2] == c'T' and (
                data[start - 4] == c'G'
            ) else NO
        elif data[at] <= 0x20 or data[at] == 0x7F:
            return NO
        elif data[at] == c':':
            has_colon = True
        at += 1
    if at > start and data[start] != c'/' and data[start] != c'*' and not is_letter(data[start]):
        return MAYBE if is_digit(data[start]) or data[start] == c'[' else NO
    return LIKELY if known and at > start else MAYBE


cdef inline Verdict http_version(const uint8_t* data, uint32_t length, uint32_t at) noexcept nogil:
    """HTTP/1.x, and the end of the line."""
    cdef Verdict verdict = begins(data, length, at, b"HTTP/1.", 0)
    if verdict == NO:
        verdict = begins(data, length, at, b"HTTP/0.", 0)
    if verdict != YES:
        return verdict
    at += 7
    if at == length:
        return LIKELY
    if not is_digit(data[at]):
        return NO
    if at + 1 == length:
        return LIKELY
    return YES if is_line_end(data[at + 1]) or data[at + 1] == c' ' else NO


cdef inline Verdict http_response(const uint8_t* data, uint32_t length) noexcept nogil:
    """A status line: a version 0.x, 1.x or 2.x, and three digits (RFC 9112, 4)."""
    cdef uint32_t i
    cdef Verdict verdict = begins(data, length, 0, b"HTTP/", 0)
    if verdict != YES or length < 6:
        return MAYBE if verdict == YES else verdict
    if data[5] > c'2' or not is_digit(data[5]):
        return NO
    for i in range(6, length if length < 13 else 13):
        if i == 6 and data[i] != c'.' or i == 7 and not is_digit(data[i]) or i == 8 and data[i] != c' ':
            return NO
        if i == 9 and <uint8_t> (data[i] - c'1') > 8 or 9 < i < 12 and not is_digit(data[i]):
            return NO
        if i == 12 and data[i] != c' ' and not is_line_end(data[i]):
            return NO
    return YES if length > 12 else LIKELY if length > 8 else MAYBE


cdef inline Verdict http2_preface(const uint8_t* data, uint32_t length) noexcept nogil:
    """RFC 9113, 3.4."""
    cdef Verdict verdict = begins(data, length, 0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0)
    return LIKELY if verdict == MAYBE and length >= 14 else verdict


cdef inline Verdict http2_settings(const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """A server's first frame (RFC 9113, 3.4 and 6.5): SETTINGS, whose parameters are few and known.

    An empty one is a small number and zeros; so it needs the other direction, or a frame that follows.
    """
    cdef uint32_t i, size, end, seen = length if length < FRAME_BYTES else FRAME_BYTES
    cdef uint16_t setting
    for i in range(seen):
        if (i == 0 or i > 3) and data[i] or i == 3 and data[i] != FRAME_SETTINGS:
            return NO
        if i == 2 and (be16(data + 1) % 6 or be16(data + 1) > 6 * MOST_SETTINGS):
            return NO
    if length < FRAME_BYTES:
        return MAYBE
    size = be16(data + 1)
    end = FRAME_BYTES + size
    for i in range(FRAME_BYTES, end, 6):
        if i + 2 > length:
            return LIKELY if other == HTTP2 else MAYBE
        setting = be16(data + i)
        # RFC 9113, 6.5.2; RFC 8441; RFC 9218; and those made up by RFC 8701's rule.
        if not (1 <= setting <= 16) and setting & 0x0F0F != 0x0A0A and setting >> 8 != 0xFE:
            return NO
    if length < end:
        return LIKELY if other == HTTP2 else MAYBE
    if size or other == HTTP2:
        return YES
    return next_frame(data + end, length - end)


cdef inline Verdict next_frame(const uint8_t* data, uint32_t length) noexcept nogil:
    if length < FRAME_BYTES:
        return MAYBE
    if be32(data) >> 8 > LARGEST_FRAME or data[3] > FRAME_LAST_TYPE or data[3] == FRAME_DATA or data[5] & 0x80:
        return NO
    # On the connection itself: SETTINGS and its acknowledgement, PING, GOAWAY, WINDOW_UPDATE.
    return YES if (data[3] == 4 or 6 <= data[3] <= 8) and be32(data + 5) == 0 and be32(data) else NO
