"""Binary protocols in their first bytes: TLS, SOCKS, RDP, VNC, SMB, DNS, BitTorrent, OpenVPN, Telnet. Inline."""

from libc.stdint cimport uint8_t, uint32_t

from sensor.inspect._app cimport (
    DNS, FROM_SERVER, LIKELY, MAYBE, NO, NOTHING, RDP, SMB, SOCKS4, SOCKS5, UNDECIDED, YES, App, Verdict, be16, be32,
    begins, is_digit, is_line_end, is_printable, is_zero,
)

cdef enum:
    RECORD_HEADER = 5           # TLS: RFC 8446, 5.1
    LARGEST_RECORD = 16384 + 2048
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    HEARTBEAT = 24
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    LARGEST_HELLO = 1 << 17
    HELLO_FIXED = 43            # to the length of the session's id: record, handshake, version, random
    DNS_HEADER = 12
    LARGEST_DNS = 8192
    OPENVPN_LEAST = 14
    OPENVPN_MOST = 1600


# ---- TLS ---------------------------------------------------------------------------------------

cdef inline bint is_record(const uint8_t* at) noexcept nogil:
    """Tell whether five bytes are a record's header."""
    cdef uint32_t size = be16(at + 3)
    if not CHANGE_CIPHER_SPEC <= at[0] <= HEARTBEAT or at[1] != 3 or at[2] > 4 or not 0 < size <= LARGEST_RECORD:
        return False
    return size == 1 if at[0] == CHANGE_CIPHER_SPEC else size >= 2 if at[0] == ALERT else True


cdef inline Verdict tls(const uint8_t* data, uint32_t length) noexcept nogil:
    """A hello, or a chain of records as in a connection whose hello was not seen."""
    cdef bint is_hello = length > RECORD_HEADER and data[0] == HANDSHAKE and 1 <= data[5] <= 2
    if not CHANGE_CIPHER_SPEC <= data[0] <= HEARTBEAT or length > 1 and data[1] != 3 or length > 2 and data[2] > 4:
        return NO
    if length < RECORD_HEADER:
        return MAYBE
    if not is_record(data):
        return NO
    return tls_hello(data, length) if is_hello else records(data, length)


cdef inline Verdict tls_hello(const uint8_t* data, uint32_t length) noexcept nogil:
    """ClientHello or ServerHello: lengths that fit each other (RFC 8446, 4.1)."""
    cdef uint32_t record = be16(data + 3), size, at, suites
    if length < 9:
        return MAYBE
    size = be32(data + 5) & 0xFFFFFF
    if size < 38 or size > LARGEST_HELLO or data[5] == SERVER_HELLO and size > LARGEST_RECORD:
        return NO
    if length > 9 and (data[9] != 3 and data[9] != 0x7F or length > 10 and data[9] == 3 and data[10] > 4):
        return NO
    if length <= HELLO_FIXED:
        return MAYBE if length < 11 else LIKELY
    if data[HELLO_FIXED] > 32:
        return NO
    at = HELLO_FIXED + 1 + data[HELLO_FIXED]
    if at + 2 > size + 9:
        return NO
    if data[5] == SERVER_HELLO:
        # A suite, a compression method, and extensions, which may be missing.
        if at + 3 > size + 9:
            return NO
        return YES if length > at + 2 and data[at + 2] <= 1 else LIKELY if length <= at + 2 else NO
    if at + 2 > record + RECORD_HEADER or length < at + 2:      # a hello in several records: the rest is not looked at
        return LIKELY if length < at + 2 else YES
    suites = be16(data + at)
    if suites == 0 or suites & 1 or at + 2 + suites + 2 > size + 9:
        return NO
    return YES


cdef inline Verdict records(const uint8_t* data, uint32_t length) noexcept nogil:
    """Records of any type, one after the other: two headers are sure; so is an alert alone."""
    cdef uint32_t next_ = RECORD_HEADER + be16(data + 3), i
    if data[0] == CHANGE_CIPHER_SPEC and length > RECORD_HEADER and data[RECORD_HEADER] != 1:
        return NO
    if data[0] == ALERT and next_ == 7:
        if length < 7:
            return MAYBE
        if not 1 <= data[5] <= 2 or data[6] > 121:
            return NO
        if length == 7:
            return YES
    if next_ >= length:
        return LIKELY
    for i in range(next_, length if length < next_ + RECORD_HEADER else next_ + RECORD_HEADER):
        if i == next_ and not CHANGE_CIPHER_SPEC <= data[i] <= HEARTBEAT or i == next_ + 1 and data[i] != 3:
            return NO
    if next_ + RECORD_HEADER > length:
        return LIKELY
    return YES if is_record(data + next_) else NO


cdef inline Verdict sslv2(const uint8_t* data, uint32_t length) noexcept nogil:
    """A hello of SSL 2, or of 3 and later in its form (RFC 5246, E.2): the three lengths add up."""
    cdef uint32_t size, sum_
    if data[0] & 0xC0 != 0x80 or length > 2 and data[2] != 1 and data[2] != 4:
        return NO
    if length < 11:
        return MAYBE
    size = be16(data) & 0x7FFF
    if data[2] == 1:
        sum_ = 9 + be16(data + 5) + be16(data + 7) + be16(data + 9)
        if not (data[3] == 3 and data[4] <= 4 or data[3] == 0 and data[4] == 2):
            return NO
        if be16(data + 5) % 3 or not data[6] or be16(data + 7) not in (0, 16, 32) or not 16 <= be16(data + 9) <= 32:
            return NO
        return YES if size == sum_ else NO
    if length < 13:
        return MAYBE
    # ServerHello: hit, certificate's type, version 2, lengths of certificate, ciphers and connection's id.
    sum_ = 11 + be16(data + 7) + be16(data + 9) + be16(data + 11)
    return YES if data[3] <= 1 and data[4] <= 1 and be16(data + 5) == 2 and size == sum_ else NO


# ---- SOCKS -------------------------------------------------------------------------------------

cdef inline Verdict socks4(const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """A request: CONNECT or BIND, a port, an address, a user, with 4A a name; or the answer to one."""
    cdef uint32_t at
    if data[0] == 0:
        if other != SOCKS4 or length > 1 and not 0x5A <= data[1] <= 0x5D:
            return NO
        return MAYBE if length < 8 else YES
    if data[0] != 4 or length > 1 and data[1] != 1 and data[1] != 2:
        return NO
    if length < 9:
        return MAYBE
    if not be16(data + 2) or not data[7]:
        return NO
    at = end_of_string(data, length, 8)
    if at == 0:
        return NO
    if at > length:
        return MAYBE
    if is_zero(data + 4, 3):                # 4A: 0.0.0.x stands for the name that follows
        if at < length and not data[at]:
            return NO
        at = end_of_string(data, length, at)
        if at == 0:
            return NO
        if at > length:
            return MAYBE
    elif data[4] == 0 or data[4] >= 224:
        return NO
    return YES


cdef inline uint32_t end_of_string(const uint8_t* data, uint32_t length, uint32_t at) noexcept nogil:
    """Return the place after a printable string's zero; past ``length`` while it goes on, 0 when it is none."""
    cdef uint32_t start = at
    while at < length and data[at]:
        if not is_printable(data[at]) or at - start >= 255:
            return 0
        at += 1
    return at + 1


cdef inline bint is_method(uint8_t byte) noexcept nogil:
    """Methods that have a number (RFC 1928 and IANA), and those that are in private use."""
    return byte <= 9 and byte != 4 or 0x80 <= byte <= 0x82


cdef inline Verdict socks5(const uint8_t* data, uint32_t length, uint8_t direction, App other) noexcept nogil:
    """RFC 1928: methods, each once; or the choice of one.  What follows has to fit as well."""
    cdef uint32_t i, j, end
    cdef bint answers = other == SOCKS5 or direction == FROM_SERVER and (other == UNDECIDED or other == NOTHING)
    if data[0] != 5:
        return NO
    if length == 1:
        return MAYBE
    if other == SOCKS5 and direction == FROM_SERVER or data[1] == 0 or data[1] > 9:
        return socks5_choice(data, length, other) if answers else NO
    end = 2 + data[1]
    for i in range(2, end if end < length else length):
        if not is_method(data[i]):
            return socks5_choice(data, length, other) if answers else NO
        for j in range(2, i):
            if data[i] == data[j]:
                return NO
    if length < end:
        return MAYBE
    if length == end:
        return YES
    if data[end] == 1:                      # RFC 1929: a name and a password
        return YES if length == end + 1 or data[end + 1] else NO
    if data[end] != 5 or length > end + 1 and not 1 <= data[end + 1] <= 3 or length > end + 2 and data[end + 2]:
        return NO
    return YES if length <= end + 3 or data[end + 3] in (1, 3, 4) else NO


cdef inline Verdict socks5_choice(const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """The server's choice, and its answer to the request."""
    if not is_method(data[1]) and data[1] != 0xFF:
        return NO
    if length == 2:
        return YES if other == SOCKS5 else MAYBE
    if data[1] == 2 and data[2] == 1:       # RFC 1929
        return YES if other == SOCKS5 else MAYBE if length < 6 else YES if data[4] == 5 and data[5] <= 8 else NO
    if data[2] != 5 or length > 3 and data[3] > 8 or length > 4 and data[4]:
        return NO
    if other != SOCKS5 and length < 6:
        return MAYBE
    return YES if length < 6 or data[5] in (1, 3, 4) else NO


# ---- RDP, VNC, SMB -------------------------------------------------------------------------------

cdef inline Verdict rdp(const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """TPKT and X.224: connection request with a cookie or what is negotiated, or its confirmation (MS-RDPBCGR)."""
    cdef uint32_t size
    cdef Verdict verdict
    if data[0] != 3 or length > 1 and data[1] or length > 2 and data[2] > 3:
        return NO
    if length < 6:
        return MAYBE
    size = be16(data + 2)
    if size < 11 or data[4] != size - 5 or data[5] != 0xE0 and data[5] != 0xD0:
        return NO
    if data[5] == 0xE0 and length > 7 and be16(data + 6):
        return NO
    if length < 11:
        return MAYBE
    if data[10]:
        return NO
    if size == 11:                          # without anything more others look the same: ISO on TCP
        return YES if other == RDP else LIKELY if length == 11 else NO
    if length == 11:
        return LIKELY
    if data[5] == 0xE0 and data[11] == c'C':
        verdict = begins(data, length, 11, b"Cookie: mst", 0)
        return LIKELY if verdict == MAYBE else verdict
    if size == 11 + 8 or data[5] == 0xE0 and size == 11 + 8 + 36:
        if data[5] == 0xE0 and data[11] != 1 or data[5] == 0xD0 and data[11] != 2 and data[11] != 3:
            return NO
        if length < 15:
            return LIKELY
        return YES if data[13] == 8 and data[14] == 0 else NO
    if data[5] == 0xE0 and data[11] not in (0xC0, 0xC1, 0xC2):      # a token of a load balancer ends with CRLF
        return YES if size <= length and is_line_end(data[size - 1]) else LIKELY if size > length else NO
    return NO


cdef inline Verdict vnc(const uint8_t* data, uint32_t length) noexcept nogil:
    """RFC 6143, 7.1.1: RFB 003.008, and its like."""
    cdef uint32_t i
    cdef Verdict verdict = begins(data, length, 0, b"RFB 00", 0)
    if verdict != YES:
        return verdict
    for i in range(6, length if length < 12 else 12):
        if i == 7:
            if data[i] != c'.':
                return NO
        elif i == 11:
            if data[i] != c'\n':
                return NO
        elif not is_digit(data[i]):
            return NO
    return YES if length >= 12 else LIKELY if length > 7 else MAYBE


cdef inline Verdict smb(const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """NetBIOS session service (RFC 1002, 4.3): a session request or its answer, or a message of SMB 1, 2 or 3."""
    cdef uint32_t i
    if data[0] == 0x82 or data[0] == 0x83:
        if other != SMB:
            return NO
        return MAYBE if length < 4 else YES if be16(data + 1) == 0 and data[3] == (data[0] & 1) else NO
    if data[0] == 0x81:
        if length > 1 and data[1] or length > 2 and data[2] or length > 4 and data[4] != 0x20:
            return NO
        for i in range(5, length if length < 37 else 37):
            if not c'A' <= data[i] <= c'P':
                return NO
        return MAYBE if length < 12 else LIKELY if length < 37 else YES if length == 37 or data[37] <= 63 else NO
    if data[0] or length > 4 and data[4] != 0xFF and data[4] != 0xFE and data[4] != 0xFD:
        return NO
    if length < 8:
        return MAYBE if length < 6 or begins(data, length, 5, b"SMB", 0) != NO else NO
    if begins(data, length, 5, b"SMB", 0) != YES or be32(data) < 32:
        return NO
    # The header of SMB 2 and 3 tells its own size, 64.
    if data[4] == 0xFE and (length > 8 and data[8] != 64 or length > 9 and data[9]):
        return NO
    return LIKELY if data[4] == 0xFE and length < 10 else YES


# ---- DNS ---------------------------------------------------------------------------------------

cdef inline Verdict dns(const uint8_t* data, uint32_t length) noexcept nogil:
    """A length and one message (RFC 7766, 8): a plausible header, and one question of Internet's."""
    cdef uint32_t size, flags
    if data[0] > LARGEST_DNS >> 8:
        return NO
    if length < 4:
        return MAYBE if length < 2 or DNS_HEADER + 5 <= be16(data) <= LARGEST_DNS else NO
    size = be16(data)
    if not DNS_HEADER + 5 <= size <= LARGEST_DNS or data[4 if length > 4 else 3] & (0x78 if length > 4 else 0):
        return NO                           # operations other than a query: no
    if length < 2 + DNS_HEADER:
        return MAYBE if length < 8 or be16(data + 6) == 1 else NO
    flags = be16(data + 4)
    if be16(data + 6) != 1 or flags & 0x0040 or be16(data + 12) > 255:
        return NO
    if flags & 0x8000:
        if flags & 0x000F > 10:
            return NO
    elif be16(data + 8) or be16(data + 10) or be16(data + 12) > 2 or flags & 0x048F:
        return NO
    return dns_question(data, length, size)


cdef inline Verdict dns_question(const uint8_t* data, uint32_t length, uint32_t size) noexcept nogil:
    """A name of labels, then a type that is not 0 and a class, and it fits into the message."""
    cdef uint32_t at = 2 + DNS_HEADER
    cdef bint alone
    while at < length and data[at]:
        if data[at] > 63 or at - DNS_HEADER > 255:
            return NO
        at += 1 + data[at]
    if at + 5 > size + 2:
        return NO
    if at + 5 > length:
        return LIKELY
    if not be16(data + at + 1) or be16(data + at + 3) not in (1, 3, 4, 255):
        return NO
    alone = is_zero(data + 8, 6)
    return YES if not alone or at + 5 == size + 2 else NO


# ---- BitTorrent, OpenVPN, Telnet -------------------------------------------------------------------

cdef inline Verdict bittorrent(const uint8_t* data, uint32_t length) noexcept nogil:
    """BEP 3: the handshake's name with its length."""
    cdef Verdict verdict = begins(data, length, 0, b"\x13BitTorrent protocol", 0)
    return LIKELY if verdict == MAYBE and length >= 8 else verdict


cdef inline Verdict openvpn(const uint8_t* data, uint32_t length) noexcept nogil:
    """A length and a hard reset, the first packet of either side, in one of the four layouts that there are.

    Plain: nothing is acknowledged, packet 0.  With tls-auth a code of 16 to 64 bytes, and with tls-crypt none yet,
    comes before the packet's number in the session and the time.  The numbers begin at 1.
    """
    cdef uint32_t size, code, end, number
    cdef uint8_t opcode
    if data[0] > OPENVPN_MOST >> 8:
        return NO
    if length < 3:
        return MAYBE if length < 2 or OPENVPN_LEAST <= be16(data) <= OPENVPN_MOST else NO
    size = be16(data)
    opcode = data[2] >> 3
    if not OPENVPN_LEAST <= size <= OPENVPN_MOST or data[2] & 7 or opcode not in (1, 2, 7, 8, 10):
        return NO
    end = 2 + size
    if length > end + 2 and not OPENVPN_LEAST - 4 <= be16(data + end) <= 0x4000:
        return NO
    if length > end + 2 and not 1 <= data[end + 2] >> 3 <= 11:
        return NO
    if length < 16:
        return MAYBE
    if is_zero(data + 3, 8):
        return NO
    if size == 14 or size == 26 and data[11] == 1:
        return reset_tail(data, length, 11)
    number = be32(data + 11) & 0x00FFFFFF
    if size >= 54 and (data[11] == 0 or data[11] == 0x0F) and number == 1:
        return MAYBE if length < 19 else YES if plausible_time(be32(data + 15)) else NO
    for code in range(16, 68, 4):
        if size == 22 + code or size == 34 + code:
            if length < 19 + code:
                return MAYBE
            if be32(data + 11 + code) == 1 and plausible_time(be32(data + 15 + code)):
                return reset_tail(data, length, 19 + code)
    return NO


cdef inline bint plausible_time(uint32_t seconds) noexcept nogil:
    """From 2001 on."""
    return seconds >= 1000000000


cdef inline Verdict reset_tail(const uint8_t* data, uint32_t length, uint32_t at) noexcept nogil:
    """What is acknowledged, none or the other side's packet 0, and this packet's number, 0."""
    cdef uint32_t size = be16(data)
    if at >= length:
        return LIKELY
    if data[at] > 1:
        return NO
    if data[at] == 1:
        if at + 5 <= length and be32(data + at + 1):
            return NO
        at += 12
    if at + 5 != 2 + size:
        return NO
    if at + 5 > length:
        return LIKELY
    return YES if be32(data + at + 1) == 0 else NO


cdef inline Verdict telnet(const uint8_t* data, uint32_t length) noexcept nogil:
    """RFC 854 and 855: options asked for and refused; one alone needs text, or nothing, behind it."""
    cdef uint32_t at = 0, options = 0, i
    while at < length and data[at] == 0xFF:
        if at + 1 < length and not 0xFA <= data[at + 1] <= 0xFE or at == 0 and length > 1 and data[1] == 0xFA:
            return NO
        if at + 2 < length and data[at + 2] > 49:
            return NO                       # of MUDs and of those to come nothing is known here
        if at + 3 > length:
            return MAYBE if not options else YES if options > 1 else LIKELY
        if data[at + 1] == 0xFA:            # a subnegotiation goes on to IAC SE
            while at + 1 < length and not (data[at] == 0xFF and data[at + 1] == 0xF0):
                at += 1
            if at + 1 >= length:
                return YES if options > 1 else LIKELY
            at += 2
        else:
            at += 3
        options += 1
    if options > 1:
        return YES
    if not options:
        return NO
    for i in range(at, at + 8 if at + 8 < length else length):
        if not is_printable(data[i]) and not is_line_end(data[i]):
            return NO
    return YES if at + 4 <= length else LIKELY
