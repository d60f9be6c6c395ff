"""The names of what a direction may speak, how sure a look at its first bytes is, and how such looks read bytes."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum App:
    # What one direction speaks. The order is that of APP_NAMES in _identify.pyx.
    UNDECIDED = 0           # more bytes could tell
    NOTHING                 # not a byte was sent
    HTTP
    HTTP2
    TLS
    SSH
    SMTP
    POP3
    IMAP
    FTP
    FTP_OR_SMTP             # what both say alike; the other direction may tell, see settle()
    FTP_OR_POP3
    DNS
    RDP
    VNC
    SMB
    SOCKS4
    SOCKS5
    IRC
    BITTORRENT
    OPENVPN
    TELNET
    WINDOWS_SHELL
    UNIX_SHELL
    PRINTABLE               # text of nothing known
    RANDOM                  # nothing known, and looks random
    UNKNOWN                 # neither
    APP_COUNT

cdef enum Verdict:
    # How well bytes fit a protocol.
    NO = 0
    MAYBE                   # so far; it says little
    LIKELY                  # so far, and enough to say so when nothing more comes
    YES

cdef enum:
    FROM_CLIENT = 0         # directions, as sensor.stream.events has them
    FROM_SERVER = 1
    SOFT = 1                # reader flags: letters' case does not matter

ctypedef struct Found:
    Verdict verdict
    App app


cdef inline bint note(Found* found, Verdict verdict, App app) noexcept nogil:
    """Keep the best of several looks; True when nothing better can come."""
    if verdict > found.verdict:
        found.verdict = verdict
        found.app = app
    return verdict == YES


cdef inline uint16_t be16(const uint8_t* at) noexcept nogil:
    return <uint16_t> (at[0] << 8 | at[1])


cdef inline uint32_t be32(const uint8_t* at) noexcept nogil:
    return <uint32_t> at[0] << 24 | <uint32_t> at[1] << 16 | <uint32_t> at[2] << 8 | at[3]


cdef inline bint is_zero(const uint8_t* at, uint32_t size) noexcept nogil:
    cdef uint32_t i
    for i in range(size):
        if at[i]:
            return False
    return True


cdef inline bint is_digit(uint8_t byte) noexcept nogil:
    return <uint8_t> (byte - c'0') < 10


cdef inline bint is_letter(uint8_t byte) noexcept nogil:
    return <uint8_t> ((byte | 0x20) - c'a') < 26


cdef inline bint is_printable(uint8_t byte) noexcept nogil:
    return <uint8_t> (byte - 0x20) < 0x5F


cdef inline bint is_line_end(uint8_t byte) noexcept nogil:
    return byte == c'\r' or byte == c'\n'


cdef inline bint is_word_end(uint8_t byte) noexcept nogil:
    return byte == c' ' or is_line_end(byte)


cdef inline bint is_text(uint8_t byte) noexcept nogil:
    """A byte that a line of text may hold: no control character but tab; other alphabets are none."""
    return byte >= 0x20 and byte != 0x7F or byte == c'\t'


cdef inline bint is_text_line(const uint8_t* data, uint32_t start, uint32_t end) noexcept nogil:
    """Tell whether [start, end) is text, but for the CR that may end it."""
    cdef uint32_t i
    for i in range(start, end):
        if not is_text(data[i]) and not (data[i] == c'\r' and i + 1 == end):
            return False
    return True


cdef inline uint32_t line_end(const uint8_t* data, uint32_t length, uint32_t start) noexcept nogil:
    """Return where the LF is that ends the line, or ``length``."""
    while start < length and data[start] != c'\n':
        start += 1
    return start


cdef inline Verdict begins(
    const uint8_t* data, uint32_t length, uint32_t start, const char* text, int flags
) noexcept nogil:
    """YES: the text is there; MAYBE: the bytes end within it.  With SOFT the text is in capitals."""
    cdef uint8_t byte
    while text[0]:
        if start >= length:
            return MAYBE
        byte = data[start]
        if flags & SOFT and <uint8_t> (byte - c'a') < 26:
            byte &= 0xDF
        if byte != <uint8_t> text[0]:
            return NO
        start += 1
        text += 1
    return YES


cdef inline bint holds(
    const uint8_t* data, uint32_t start, uint32_t end, const char* text
) noexcept nogil:
    """Tell whether a text in capitals is anywhere in [start, end), whatever its case there."""
    cdef uint8_t first = <uint8_t> text[0]
    while start < end:
        if (data[start] & 0xDF) == first and begins(data, end, start, text, SOFT) == YES:
            return True
        start += 1
    return False
