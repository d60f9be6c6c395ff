"""What one direction of a TCP connection speaks, from its first bytes and whatever the port. Inline, no state here."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from sensor.inspect._app cimport (
    BITTORRENT, DNS, FROM_CLIENT, FROM_SERVER, FTP, FTP_OR_POP3, FTP_OR_SMTP, HTTP, HTTP2, IMAP, IRC, LIKELY, NO,
    NOTHING, OPENVPN, POP3, PRINTABLE, RANDOM, RDP, SMB, SMTP, SOCKS4, SOCKS5, SSH, TELNET, TLS, UNDECIDED,
    UNIX_SHELL, UNKNOWN, VNC, WINDOWS_SHELL, YES, App, Found, Verdict, is_digit, is_letter, is_line_end,
    is_printable, note,
)
from sensor.inspect._http cimport http2_preface, http2_settings, http_request, http_response
from sensor.inspect._lines cimport (
    client_commands, greeting, imap_command, imap_greeting, irc_message, pop3_greeting, ssh_after_lines, ssh_banner,
)
from sensor.inspect._octets cimport (
    bittorrent, dns, openvpn, rdp, smb, socks4, socks5, sslv2, telnet, tls, vnc,
)
from sensor.inspect._shell cimport unix_shell, windows_shell

cdef enum:
    IDENTIFY_BYTES = 2048       # with so many there is always an answer
    ENOUGH_BYTES = 64           # for what is no protocol's beginning
    LEAST_RANDOM = 16           # below it no statistic says anything
    SAMPLED_BYTES = 256         # of them statistics are made


cdef inline App identify(
    const uint8_t* data, uint32_t length, bint complete, uint8_t direction, App other
) noexcept nogil:
    """Return what the first ``length`` bytes of a direction are, or UNDECIDED when more could tell.

    ``complete``: no more will come, so there is an answer.  ``direction``: FROM_CLIENT or FROM_SERVER.  ``other``:
    what the other direction was found to be, UNDECIDED as long as nobody knows.  Asked again when the other
    direction is known, FTP_OR_SMTP and FTP_OR_POP3 may become one of the two; settle() does it without the bytes.
    """
    cdef Found found
    if length == 0:
        return NOTHING if complete else UNDECIDED
    if length >= IDENTIFY_BYTES:
        length = IDENTIFY_BYTES
        complete = True
    found.verdict = NO
    found.app = UNKNOWN
    if is_printable(data[0]):
        look_at_text(&found, data, length, other)
    else:
        look_at_octets(&found, data, length, direction, other)
    if found.verdict == YES or complete and found.verdict == LIKELY:
        return settle(found.app, other)
    if not complete and (found.verdict != NO or length < ENOUGH_BYTES):
        return UNDECIDED
    return left_over(data, length)


cdef inline App settle(App app, App other) noexcept nogil:
    """Return which of two a direction speaks, when the other direction tells; else what it was."""
    if app == FTP_OR_SMTP:
        if other == FTP or other == SMTP:
            return other
        return FTP if other == FTP_OR_POP3 else app
    if app == FTP_OR_POP3:
        if other == FTP or other == POP3:
            return other
        return FTP if other == FTP_OR_SMTP else app
    return app


cdef inline void look_at_text(Found* found, const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """Try the protocols that begin with a printable byte, most frequent first."""
    cdef uint8_t first = data[0]
    if note(found, http_request(data, length), HTTP):
        return
    if first == c'H' and note(found, http_response(data, length), HTTP):
        return
    if first == c'S' and note(found, ssh_banner(data, length, 0), SSH):
        return
    if first == c'P' and note(found, http2_preface(data, length), HTTP2):
        return
    if first == c'R' and note(found, vnc(data, length), VNC):
        return
    if look_at_lines(found, data, length, other):
        return
    if is_letter(first) and note(found, windows_shell(data, length), WINDOWS_SHELL):
        return
    if note(found, unix_shell(data, length), UNIX_SHELL):
        return
    note(found, ssh_after_lines(data, length), SSH)


cdef inline bint look_at_lines(Found* found, const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """Try mail, FTP and IRC; True when one is sure."""
    cdef uint8_t first = data[0]
    cdef App app = UNKNOWN
    cdef Verdict verdict
    if is_digit(first):
        verdict = greeting(data, length, &app)
        if note(found, verdict, app):
            return True
    if (first == c'+' or first == c'-') and note(found, pop3_greeting(data, length, other), POP3):
        return True
    if first == c'*' and note(found, imap_greeting(data, length), IMAP):
        return True
    if is_letter(first):
        verdict = client_commands(data, length, &app)
        if note(found, verdict, app):
            return True
    if (is_letter(first) or is_digit(first) or first == c'.') and note(found, imap_command(data, length), IMAP):
        return True
    return (first == c':' or is_letter(first)) and note(found, irc_message(data, length), IRC)


cdef inline void look_at_octets(
    Found* found, const uint8_t* data, uint32_t length, uint8_t direction, App other
) noexcept nogil:
    """Try the protocols that begin with no printable byte."""
    cdef uint8_t first = data[0]
    if 20 <= first <= 24:
        note(found, tls(data, length), TLS)
    if first & 0x80 and note(found, sslv2(data, length), TLS):
        return
    if (first == 0 or first & 0xFC == 0x80) and note(found, smb(data, length, other), SMB):
        return
    if first == 0 and note(found, http2_settings(data, length, other), HTTP2):
        return
    if (first == 0 or first == 4) and note(found, socks4(data, length, other), SOCKS4):
        return
    if first == 5 and note(found, socks5(data, length, direction, other), SOCKS5):
        return
    if first == 3 and note(found, rdp(data, length, other), RDP):
        return
    if first == 0x13 and note(found, bittorrent(data, length), BITTORRENT):
        return
    if first == 0xFF and note(found, telnet(data, length), TELNET):
        return
    if first < 0x21 and note(found, dns(data, length), DNS):
        return
    if first < 7 and note(found, openvpn(data, length), OPENVPN):
        return
    if is_line_end(first):
        if note(found, http_request(data, length), HTTP) or note(found, windows_shell(data, length), WINDOWS_SHELL):
            return
        note(found, ssh_after_lines(data, length), SSH)
    elif first == 0x1B:
        note(found, unix_shell(data, length), UNIX_SHELL)


cdef inline App left_over(const uint8_t* data, uint32_t length) noexcept nogil:
    """Return PRINTABLE, RANDOM or UNKNOWN for bytes that are no protocol's beginning.

    Random is what none of four of the GFW's exemptions spares (Wu et al. 2023, rules 1 to 4): 3.4 to 4.6 bits set
    in a byte, the first six bytes not all printable, half of all printable at most, and 20 in a row at most.
    """
    cdef uint32_t i, printable = 0, text = 0, run = 0, longest = 0, is_one, begins_printable = 0
    cdef uint64_t word, ones = 0
    if length > SAMPLED_BYTES:
        length = SAMPLED_BYTES
    for i in range(length):
        is_one = is_printable(data[i])
        printable += is_one
        text += is_one | (<uint8_t> (data[i] - 9) < 5)
        run = (run + 1) & -is_one
        longest = run if run > longest else longest
        begins_printable += is_one & (i < 6)
    if 10 * text >= 9 * length:
        return PRINTABLE
    if length < LEAST_RANDOM or begins_printable == 6 or 2 * printable > length or longest > 20:
        return UNKNOWN
    for i in range(0, length, 8):
        word = 0
        memcpy(&word, data + i, 8 if length - i >= 8 else length - i)
        word -= word >> 1 & <uint64_t> 0x5555555555555555
        word = (word & <uint64_t> 0x3333333333333333) + (word >> 2 & <uint64_t> 0x3333333333333333)
        word = word + (word >> 4) & <uint64_t> 0x0F0F0F0F0F0F0F0F
        ones += word * <uint64_t> 0x0101010101010101 >> 56
    return RANDOM if 34 * length < 10 * ones < 46 * length else UNKNOWN
