"""What a flow carries, as its record has it: names, the host, facts, and what does not fit. Inline, no state here."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, strlen

from sensor.flow._msgpack cimport put_big_endian, put_count, put_nil, put_text
from sensor.inspect._app cimport NOTHING, TLS, UNDECIDED, UNKNOWN, App
from sensor.inspect._content cimport CONNECT, LATE, LOOKING, WEBSOCKET, Content, Start
from sensor.inspect._identify cimport identify, settle
from sensor.inspect._mismatch cimport CLIENT_PART, SERVER_PART, disagree, is_protocol, odd_port

cdef extern from *:
    """
    /* In the order of App; the first two are no names. */
    static const char *const tw_app_names[] = {
        "", "", "http", "http2", "tls", "ssh", "smtp", "pop3", "imap", "ftp", "ftp-or-smtp",
        "ftp-or-pop3", "dns", "rdp", "vnc", "smb", "socks4", "socks5", "irc", "bittorrent", "openvpn", "telnet",
        "windows-shell", "unix-shell", "printable", "random", "unknown",
    };
    /* In the order of Anomaly's bits. */
    static const char *const tw_anomalies[] = {
        "directions-disagree", "odd-port", "client-speaks-server", "server-speaks-client",
        "connect-not-tls", "connect-odd-port", "connect-other-name", "websocket-protocol",
        "inside-directions-disagree", "inside-odd-port", "inside-client-speaks-server", "inside-server-speaks-client",
    };
    """
    const char* const* tw_app_names
    const char* const* tw_anomalies

cdef enum Anomaly:
    DIRECTIONS_DISAGREE = 1
    ODD_PORT = 2
    CLIENT_SPEAKS_SERVER = 4
    SERVER_SPEAKS_CLIENT = 8
    CONNECT_NOT_TLS = 16
    CONNECT_ODD_PORT = 32
    CONNECT_OTHER_NAME = 64
    WEBSOCKET_PROTOCOL = 128
    INSIDE_DISAGREE = 256
    INSIDE_ODD_PORT = 512
    INSIDE_CLIENT_SPEAKS_SERVER = 1024
    INSIDE_SERVER_SPEAKS_CLIENT = 2048
    ANOMALY_COUNT = 12

cdef enum:
    HTTPS = 443


cdef inline App alone(Content* content, uint8_t side, uint32_t inside) noexcept nogil:
    """Return what a direction speaks; while that is undecided, what it would be if no more came."""
    cdef Start* start = &content.start[side]
    cdef App app = <App> start.app[inside]
    if app != UNDECIDED or start.phase != LOOKING or not start.filled or start.marks & LATE:
        return app
    if content.stands != inside or inside and content.asked == WEBSOCKET:
        return app
    return identify(start.head, start.filled, True, side, <App> content.start[1 - side].app[inside])


cdef inline App spoken(Content* content, uint8_t side, uint32_t inside) noexcept nogil:
    """The same, with what the other direction tells about it."""
    cdef App app = alone(content, side, inside)
    return settle(app, alone(content, 1 - side, inside)) if app > NOTHING else UNDECIDED


cdef inline uint32_t out_of_place(Content* content, uint32_t inside, uint16_t port, bint oriented) noexcept nogil:
    """Return the first four anomalies, of the connection or of what is inside; see docs/identification.md."""
    cdef App out = spoken(content, 0, inside), in_ = spoken(content, 1, inside)
    cdef uint8_t out_role = content.start[0].role[inside], in_role = content.start[1].role[inside]
    cdef uint32_t found = 0
    if not (content.start[0].marks | content.start[1].marks) & LATE and disagree(out, in_):
        found |= DIRECTIONS_DISAGREE
    # What is known is told by one direction alone; what is not by both, if there are two.
    if is_protocol(out) or is_protocol(in_):
        if is_protocol(out) and odd_port(out, port) or is_protocol(in_) and odd_port(in_, port):
            found |= ODD_PORT
    elif odd_port(out, port) and (in_ == UNDECIDED or odd_port(in_, port)) or (
        out == UNDECIDED and odd_port(in_, port)
    ):
        found |= ODD_PORT
    if oriented:
        if out_role == SERVER_PART and in_role != SERVER_PART:
            found |= CLIENT_SPEAKS_SERVER
        if in_role == CLIENT_PART and out_role != CLIENT_PART:
            found |= SERVER_SPEAKS_CLIENT
    return found


cdef inline uint32_t anomalies_of(Content* content, uint16_t server_port, bint oriented) noexcept nogil:
    """Return what does not fit, as bits of Anomaly."""
    cdef uint32_t found = out_of_place(content, 0, server_port, oriented), inside
    cdef App out, in_
    if content.asked == CONNECT:
        if content.port != HTTPS:
            found |= CONNECT_ODD_PORT
        if content.other_name:
            found |= CONNECT_OTHER_NAME
    if not content.stands:
        return found
    out = spoken(content, 0, 1)
    in_ = spoken(content, 1, 1)
    inside = out_of_place(content, 1, content.port if content.asked == CONNECT else server_port, oriented)
    if content.asked != CONNECT:
        inside &= <uint32_t> ~ODD_PORT      # there is no port of its own
        if content.asked == WEBSOCKET and (is_protocol(out) or is_protocol(in_)):
            found |= WEBSOCKET_PROTOCOL
    elif out == UNDECIDED and (in_ == UNDECIDED or in_ == UNKNOWN):
        inside = 0      # a few bytes of a server that nobody answered
    elif (in_ if out == UNDECIDED else out) != TLS:
        found |= CONNECT_NOT_TLS
    if inside & DIRECTIONS_DISAGREE:
        found |= INSIDE_DISAGREE
    if inside & ODD_PORT:
        found |= INSIDE_ODD_PORT
    if inside & CLIENT_SPEAKS_SERVER:
        found |= INSIDE_CLIENT_SPEAKS_SERVER
    if inside & SERVER_SPEAKS_CLIENT:
        found |= INSIDE_SERVER_SPEAKS_CLIENT
    return found


# ---- as msgpack ------------------------------------------------------------------------------------

cdef inline uint8_t* put_words(uint8_t* at, const char* text) noexcept nogil:
    return put_text(at, text, <uint32_t> strlen(text))


cdef inline uint8_t* put_app(uint8_t* at, App app) noexcept nogil:
    return put_words(at, tw_app_names[<int> app]) if app > NOTHING else put_nil(at)


cdef inline uint8_t* put_apps(uint8_t* at, Content* content) noexcept nogil:
    """Write the fields ``app_out`` and ``app_in``."""
    return put_app(put_app(at, spoken(content, 0, 0)), spoken(content, 1, 0))


cdef inline uint8_t* put_told(uint8_t* at, Content* content, uint16_t server_port, bint oriented) noexcept nogil:
    """Write the fields ``host``, ``facts`` and ``anomalies``."""
    at = put_nil(at) if content.host == NULL else put_text(at, <const char*> content.host, content.host_bytes)
    at = put_facts(at, content)
    return put_anomalies(at, anomalies_of(content, server_port, oriented))


cdef inline uint8_t* put_facts(uint8_t* at, Content* content) noexcept nogil:
    cdef App out = spoken(content, 0, 1), in_ = spoken(content, 1, 1)
    cdef uint32_t count = (
        content.pair_count + (content.status != 0) + (out != UNDECIDED) + (in_ != UNDECIDED)
    )
    if count == 0:
        return put_nil(at)
    at = put_big_endian(at, 0xDE, count, 2)
    if content.pair_count:
        memcpy(at, content.pairs, content.pairs_bytes)
        at += content.pairs_bytes
    if content.status:
        at = put_count(put_words(at, b"http_status"), content.status)
    if out != UNDECIDED:
        at = put_app(put_words(at, b"inside_out"), out)
    if in_ != UNDECIDED:
        at = put_app(put_words(at, b"inside_in"), in_)
    return at


cdef inline uint8_t* put_anomalies(uint8_t* at, uint32_t found) noexcept nogil:
    cdef uint32_t i, count = 0
    for i in range(ANOMALY_COUNT):
        count += found >> i & 1
    if count == 0:
        return put_nil(at)
    at[0] = 0x90 | <uint8_t> count
    at += 1
    for i in range(ANOMALY_COUNT):
        if found >> i & 1:
            at = put_words(at, tw_anomalies[i])
    return at
