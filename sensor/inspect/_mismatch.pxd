"""What does not fit: two directions that speak different protocols, a port of another, a client in server's part."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor.inspect._app cimport (
    DNS, FTP, FTP_OR_POP3, FTP_OR_SMTP, HTTP, HTTP2, IMAP, IRC, NOTHING, OPENVPN, POP3, PRINTABLE, RANDOM, RDP, SMB,
    SMTP, SOCKS4, SOCKS5, SSH, TELNET, TLS, UNDECIDED, UNIX_SHELL, UNKNOWN, VNC, WINDOWS_SHELL, BITTORRENT, YES, App,
    be16, be32, begins, holds, is_digit, line_end,
)

cdef enum Role:
    # Whose part of a protocol a direction plays. The order is that of ROLE_NAMES in _identify.pyx.
    EITHER = 0
    CLIENT_PART
    SERVER_PART

cdef struct Usual:
    App app
    uint16_t first
    uint16_t last


cdef extern from *:
    """
    /* Software that is a client only, or a server only; what is both, as OpenSSH and Dropbear, is in neither. */
    static const char *const tw_ssh_clients[] = {
        "PUTTY", "WINSCP", "FILEZILLA", "LIBSSH2", "JSCH", "SECURECRT", "SECUREFX", "TTSSH", "CYBERDUCK",
        "RENCI.SSHNET", "SSHJ", "GANYMED", "TRILEAD", "BITVISE SSH CLIENT", "XSHELL", "MOBAXTERM", "CONNECTBOT",
        "TERMIUS", "RUBY/NET::SSH", "PHPSECLIB", 0
    };
    static const char *const tw_ssh_servers[] = {
        "MOD_SFTP", "BABELD", "GITLAB-SSHD", "GERRITCODEREVIEW", "AWS_SFTP", "CRUSHFTPSSHD", "WINSSHD",
        "BITVISE SSH SERVER", "SERV-U", "SFTPGO", "CERBERUSFTPSERVER", "XLIGHTFTPD", "WS_FTP-SSH", "GLOBALSCAPE", 0
    };
    """
    const char* const* tw_ssh_clients
    const char* const* tw_ssh_servers


# ---- two directions ------------------------------------------------------------------------------

cdef inline bint is_protocol(App app) noexcept nogil:
    """Tell whether it is one by name."""
    return HTTP <= app < PRINTABLE


cdef inline bint is_shell(App app) noexcept nogil:
    return app == WINDOWS_SHELL or app == UNIX_SHELL


cdef inline bint fits_either(App either, App app) noexcept nogil:
    """Tell whether a protocol is one of the two that a direction may speak."""
    if either == FTP_OR_SMTP:
        return app == FTP or app == SMTP or app == FTP_OR_POP3
    return either == FTP_OR_POP3 and (app == FTP or app == POP3 or app == FTP_OR_SMTP or app == IRC)


cdef inline bint disagree(App out, App in_) noexcept nogil:
    """Tell whether two directions cannot belong together.  Both have to be decided, and have said something.

    A protocol by name never goes with another.  With text, random or unknown bytes it may: the rest of a connection
    that was picked up late, an answer that is not known here.  TLS and SSH, which both sides begin alike, may not.
    """
    if out <= NOTHING or in_ <= NOTHING or out == in_:
        return False
    if is_protocol(out) and is_protocol(in_):
        if (out == HTTP or out == HTTP2) and (in_ == HTTP or in_ == HTTP2):
            return False
        return not fits_either(out, in_) and not fits_either(in_, out)
    return out == TLS or in_ == TLS or out == SSH or in_ == SSH


# ---- ports -----------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* The ports of docs/identification.md, where a test compares them; the unit of a row is (App, first, last). */
    static const unsigned short tw_http_ports[] = {
        80, 80, 81, 81, 591, 591, 631, 631, 3000, 3000, 3128, 3128, 5000, 5000, 5985, 5985, 8000, 8000, 8008, 8008,
        8080, 8082, 8088, 8088, 8118, 8118, 8123, 8123, 8888, 8888, 9000, 9000, 9090, 9090, 9200, 9200, 0
    };
    static const unsigned short tw_tls_ports[] = {
        261, 261, 443, 443, 448, 448, 465, 465, 563, 563, 614, 614, 636, 636, 684, 684, 695, 695, 832, 832, 853, 853,
        989, 995, 2083, 2083, 2087, 2087, 2096, 2096, 2376, 2376, 3269, 3269, 4433, 4433, 5061, 5061, 5223, 5223,
        5228, 5230, 5349, 5349, 5671, 5671, 5986, 5986, 6443, 6443, 6514, 6514, 6679, 6679, 6697, 6697, 8443, 8443,
        8883, 8883, 9443, 9443, 0
    };
    static const unsigned short tw_http2_ports[] = {80, 80, 443, 443, 8080, 8080, 50051, 50051, 0};
    static const unsigned short tw_ssh_ports[] = {22, 22, 830, 830, 0};
    static const unsigned short tw_smtp_ports[] = {24, 26, 465, 465, 587, 587, 2525, 2525, 10024, 10025, 0};
    static const unsigned short tw_pop3_ports[] = {109, 110, 0};
    static const unsigned short tw_imap_ports[] = {143, 143, 220, 220, 0};
    static const unsigned short tw_ftp_ports[] = {21, 21, 2121, 2121, 0};
    static const unsigned short tw_dns_ports[] = {53, 53, 5353, 5353, 0};
    static const unsigned short tw_rdp_ports[] = {3389, 3389, 0};
    static const unsigned short tw_vnc_ports[] = {5500, 5500, 5800, 5999, 0};
    static const unsigned short tw_smb_ports[] = {139, 139, 445, 445, 0};
    static const unsigned short tw_socks_ports[] = {1080, 1080, 9050, 9050, 9150, 9150, 0};
    static const unsigned short tw_irc_ports[] = {194, 194, 6660, 6669, 7000, 7000, 0};
    static const unsigned short tw_bittorrent_ports[] = {1024, 65535, 0};
    static const unsigned short tw_openvpn_ports[] = {1194, 1195, 0};
    static const unsigned short tw_telnet_ports[] = {23, 23, 992, 992, 2323, 2323, 0};
    static const unsigned short tw_no_ports[] = {0};
    /* Ports where anything is known by its first bytes, so that what is not known does not belong there. */
    static const unsigned short tw_named_ports[] = {
        21, 23, 25, 25, 53, 53, 80, 80, 110, 110, 143, 143, 443, 443, 445, 445, 465, 465, 587, 587, 636, 636, 853, 853,
        993, 993, 995, 995, 3389, 3389, 8080, 8080, 8443, 8443, 0
    };
    """
    const unsigned short* tw_http_ports
    const unsigned short* tw_tls_ports
    const unsigned short* tw_http2_ports
    const unsigned short* tw_ssh_ports
    const unsigned short* tw_smtp_ports
    const unsigned short* tw_pop3_ports
    const unsigned short* tw_imap_ports
    const unsigned short* tw_ftp_ports
    const unsigned short* tw_dns_ports
    const unsigned short* tw_rdp_ports
    const unsigned short* tw_vnc_ports
    const unsigned short* tw_smb_ports
    const unsigned short* tw_socks_ports
    const unsigned short* tw_irc_ports
    const unsigned short* tw_bittorrent_ports
    const unsigned short* tw_openvpn_ports
    const unsigned short* tw_telnet_ports
    const unsigned short* tw_no_ports
    const unsigned short* tw_named_ports


cdef inline const unsigned short* ports_of(App app) noexcept nogil:
    """Return a protocol's usual ports as pairs of first and last, up to a 0; a shell has none."""
    if app == HTTP:
        return tw_http_ports
    if app == TLS:
        return tw_tls_ports
    if app == HTTP2:
        return tw_http2_ports
    if app == SSH:
        return tw_ssh_ports
    if app == SMTP:
        return tw_smtp_ports
    if app == POP3:
        return tw_pop3_ports
    if app == IMAP:
        return tw_imap_ports
    if app == FTP:
        return tw_ftp_ports
    if app == DNS:
        return tw_dns_ports
    if app == RDP:
        return tw_rdp_ports
    if app == VNC:
        return tw_vnc_ports
    if app == SMB:
        return tw_smb_ports
    if app == SOCKS4 or app == SOCKS5:
        return tw_socks_ports
    if app == IRC:
        return tw_irc_ports
    if app == BITTORRENT:
        return tw_bittorrent_ports
    if app == OPENVPN:
        return tw_openvpn_ports
    return tw_telnet_ports if app == TELNET else tw_no_ports


cdef inline bint is_among(const unsigned short* ranges, uint16_t port) noexcept nogil:
    while ranges[0]:
        if ranges[0] <= port <= ranges[1]:
            return True
        ranges += 2
    return False


cdef inline bint odd_port(App app, uint16_t port) noexcept nogil:
    """Tell whether a protocol is not usual on a server's port; nothing known is odd on a port of known protocols."""
    if app <= NOTHING:
        return False
    if not is_protocol(app):
        return is_among(tw_named_ports, port)
    if app == FTP_OR_SMTP:
        return odd_port(FTP, port) and odd_port(SMTP, port)
    if app == FTP_OR_POP3:
        return odd_port(FTP, port) and odd_port(POP3, port)
    return not is_among(ports_of(app), port)


# ---- parts -----------------------------------------------------------------------------------------

cdef inline bint server_speaks_client(Role out, Role in_) noexcept nogil:
    """Tell whether the client plays the server's part: a reverse shell, a server behind a connection it opened."""
    return out == SERVER_PART and in_ != SERVER_PART or in_ == CLIENT_PART and out != CLIENT_PART


cdef inline Role part_of(App app, const uint8_t* data, uint32_t length) noexcept nogil:
    """Return whose part of a protocol the first bytes of a direction are, where they tell."""
    cdef uint8_t first = data[0] if length else 0
    if length < 4:
        return SERVER_PART if is_shell(app) else EITHER
    if is_shell(app):
        return SERVER_PART
    if app == HTTP:
        return SERVER_PART if begins(data, length, 0, b"HTTP/", 0) == YES else CLIENT_PART
    if app == HTTP2:
        return CLIENT_PART if first == c'P' else SERVER_PART
    if app == SSH:
        return part_of_ssh(data, length)
    if app == SMTP or app == FTP or app == FTP_OR_SMTP or app == FTP_OR_POP3:
        return SERVER_PART if is_digit(first) else CLIENT_PART
    if app == POP3:
        return SERVER_PART if first == c'+' or first == c'-' else CLIENT_PART
    if app == IMAP:
        return SERVER_PART if first == c'*' else CLIENT_PART
    if app == IRC:
        return SERVER_PART if first == c':' or begins(data, length, 0, b"NOTICE", 0) == YES or (
            begins(data, length, 0, b"PING", 0) == YES or begins(data, length, 0, b"ERROR", 0) == YES
        ) else CLIENT_PART
    if app == SOCKS4:
        return CLIENT_PART if first == 4 else SERVER_PART
    return part_of_octets(app, data, length)


cdef inline Role part_of_octets(App app, const uint8_t* data, uint32_t length) noexcept nogil:
    """The same for what begins with a binary header."""
    cdef uint8_t kind
    if length < 18 and app != RDP:
        return EITHER
    if app == TLS:
        kind = data[5] if data[0] == 22 else data[2] if data[0] & 0x80 else 0
        return CLIENT_PART if kind == 1 else SERVER_PART if kind == 2 or kind == 4 else EITHER
    if app == DNS:
        return SERVER_PART if data[4] & 0x80 else CLIENT_PART
    if app == RDP:
        return EITHER if length < 6 else CLIENT_PART if data[5] == 0xE0 else SERVER_PART
    if app == SMB:
        if data[0]:
            return CLIENT_PART if data[0] == 0x81 else SERVER_PART
        kind = data[13] & 0x80 if data[4] == 0xFF else data[4] == 0xFE and length > 20 and data[20] & 1
        return EITHER if data[4] == 0xFD else SERVER_PART if kind else CLIENT_PART
    if app == OPENVPN:
        return SERVER_PART if data[2] >> 3 in (2, 8) else CLIENT_PART
    return EITHER


cdef inline bint holds_any(const uint8_t* data, uint32_t start, uint32_t end, const char* const* texts) noexcept nogil:
    while texts[0] != NULL:
        if holds(data, start, end, texts[0]):
            return True
        texts += 1
    return False


cdef inline Role part_of_ssh(const uint8_t* data, uint32_t length) noexcept nogil:
    """By the software's name; or by the key exchange after the banner, whose marks are a client's or a server's.

    RFC 8308 has ext-info-c of clients and ext-info-s of servers, OpenSSH kex-strict-c and kex-strict-s.
    """
    cdef uint32_t start = 0, end = 0, size
    while start + 4 < length:
        end = line_end(data, length, start)
        if begins(data, length, start, b"SSH-", 0) == YES:
            break
        start = end + 1
    if start + 4 >= length:
        return EITHER
    if holds_any(data, start + 4, end, tw_ssh_clients):
        return CLIENT_PART
    if holds_any(data, start + 4, end, tw_ssh_servers):
        return SERVER_PART
    start = end + 1
    # KEXINIT (RFC 4253, 7.1): length, padding, 20, a cookie of 16 bytes, and the names of key exchanges.
    if length < start + 26 or data[start + 5] != 20:
        return EITHER
    size = be32(data + start + 22)
    end = start + 26 + size if size < length - start - 26 else length
    if holds(data, start + 26, end, b"EXT-INFO-C") or holds(data, start + 26, end, b"KEX-STRICT-C"):
        return CLIENT_PART
    if holds(data, start + 26, end, b"EXT-INFO-S") or holds(data, start + 26, end, b"KEX-STRICT-S"):
        return SERVER_PART
    return EITHER
