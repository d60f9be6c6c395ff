"""Protocols of lines in their first bytes: SSH's banner, mail and FTP greetings, replies and commands, IRC. Inline."""

from libc.stdint cimport uint8_t, uint32_t

from sensor.inspect._app cimport (
    FTP, FTP_OR_POP3, FTP_OR_SMTP, IMAP, IRC, LIKELY, MAYBE, NO, POP3, SMTP, SOFT, UNDECIDED, YES, App, Verdict,
    begins, holds, is_digit, is_letter, is_line_end, is_text, is_text_line, is_word_end, line_end,
)

cdef enum:
    LONGEST_BANNER = 255        # RFC 4253, 4.2
    BANNER_WITHIN = 512         # of lines that may come before it
    LONGEST_TAG = 16
    MOST_COMMANDS = 8           # lines that are looked at


# ---- SSH ---------------------------------------------------------------------------------------

cdef inline Verdict ssh_banner(const uint8_t* data, uint32_t length, uint32_t start) noexcept nogil:
    """SSH-1.x- or SSH-2.0-, and the software's name."""
    cdef uint32_t at, end
    cdef Verdict verdict = begins(data, length, start, b"SSH-", 0)
    if verdict != YES:
        return verdict
    at = start + 4
    if at < length and data[at] != c'1' and data[at] != c'2':
        return NO
    if at + 1 < length and data[at + 1] != c'.':
        return NO
    at += 2
    while at < length and at < start + 9 and is_digit(data[at]):
        at += 1
    if at >= length:
        return MAYBE if at < start + 6 else LIKELY
    if data[at] != c'-' or data[at - 1] == c'.':
        return NO
    end = line_end(data, length, at)
    if end - start > LONGEST_BANNER or not is_text_line(data, at, end):
        return NO
    return YES if end < length else LIKELY


cdef inline Verdict ssh_after_lines(const uint8_t* data, uint32_t length) noexcept nogil:
    """A server may send lines of text before its banner (RFC 4253, 4.2)."""
    cdef uint32_t start = 0, end
    cdef Verdict verdict
    while start < length and start < BANNER_WITHIN:
        verdict = ssh_banner(data, length, start)
        if verdict != NO:
            return verdict
        end = line_end(data, length, start)
        if not is_text_line(data, start, end):
            return NO
        start = end + 1
    return MAYBE if length < BANNER_WITHIN else NO


# ---- greetings and replies of SMTP and FTP --------------------------------------------------------

cdef inline bint says_smtp(const uint8_t* data, uint32_t start, uint32_t end) noexcept nogil:
    return (
        holds(data, start, end, b"SMTP") or holds(data, start, end, b"LMTP") or holds(data, start, end, b"POSTFIX")
        or holds(data, start, end, b"SENDMAIL") or holds(data, start, end, b"EXIM")
    )


cdef inline bint says_ftp(const uint8_t* data, uint32_t start, uint32_t end) noexcept nogil:
    return holds(data, start, end, b"FTP") or holds(data, start, end, b"FILEZILLA")


cdef inline bint is_code(const uint8_t* data, uint32_t start, const char* code) noexcept nogil:
    return data[start] == <uint8_t> code[0] and data[start + 1] == <uint8_t> code[1] and (
        data[start + 2] == <uint8_t> code[2]
    )


cdef inline App told_by_reply(const uint8_t* data, uint32_t length, uint32_t start) noexcept nogil:
    """Tell the two apart by the reply after the greeting: the codes that only one of them has there."""
    if length - start < 4 or not is_digit(data[start]):
        return FTP_OR_SMTP
    if (
        is_code(data, start, b"331") or is_code(data, start, b"230") or is_code(data, start, b"332")
        or is_code(data, start, b"215") or is_code(data, start, b"211") or is_code(data, start, b"234")
        or is_code(data, start, b"530") or is_code(data, start, b"227") or is_code(data, start, b"229")
        or is_code(data, start, b"257") or is_code(data, start, b"200")
    ):
        return FTP
    if (
        is_code(data, start, b"250") or is_code(data, start, b"354") or is_code(data, start, b"235")
        or is_code(data, start, b"334") or is_code(data, start, b"252")
    ):
        return SMTP
    return FTP_OR_SMTP


cdef inline bint has_enhanced_code(const uint8_t* data, uint32_t length) noexcept nogil:
    """4.x.x or 5.x.x after the code (RFC 3463)."""
    return (
        length > 9 and data[4] == data[0] and data[5] == c'.' and is_digit(data[6])
        and (data[7] == c'.' and is_digit(data[8]) or is_digit(data[7]) and data[8] == c'.')
    )


cdef inline Verdict greeting(const uint8_t* data, uint32_t length, App* app) noexcept nogil:
    """220, 421 or 554 and text (RFC 5321, 4.2; RFC 959, 4.2), on several lines perhaps."""
    cdef uint32_t start = 0, end = 0
    cdef bint smtp = False, ftp = False, over = False, service
    cdef Verdict verdict = begins(data, length, 0, b"220", 0)
    service = verdict != NO
    if not service:
        verdict = begins(data, length, 0, b"421", 0)
    if verdict == NO:
        verdict = begins(data, length, 0, b"554", 0)
    if verdict != YES or length == 3:
        return MAYBE if verdict == YES else verdict
    if not (data[3] == c' ' or data[3] == c'-' or service and is_line_end(data[3])):
        return NO
    while start < length and not over:
        end = line_end(data, length, start)
        if not is_text_line(data, start, end):
            return NO
        smtp = smtp or says_smtp(data, start, end)
        ftp = ftp or says_ftp(data, start, end)
        over = end < length and end - start >= 3 and is_code(data, start, <const char*> data) and (
            data[start + 3] != c'-'
        )
        start = end + 1
    if not service and not smtp and not ftp:
        if not has_enhanced_code(data, length):
            return NO if over else MAYBE
        smtp = True
    app[0] = FTP_OR_SMTP if smtp == ftp else SMTP if smtp else FTP
    if over and app[0] == FTP_OR_SMTP and start < length:
        app[0] = told_by_reply(data, length, start)
    return YES if over else LIKELY if length > 4 else MAYBE


# ---- POP3 and IMAP servers -----------------------------------------------------------------------

cdef inline Verdict pop3_greeting(const uint8_t* data, uint32_t length, App other) noexcept nogil:
    """+OK and text (RFC 1939, 4).  Others say a bare +OK, or -ERR, too: these need POP3's client."""
    cdef bint asked = other == POP3 or other == FTP_OR_POP3
    cdef uint32_t end = line_end(data, length, 0)
    cdef Verdict verdict = begins(data, length, 0, b"+OK", 0)
    if verdict == NO:
        verdict = begins(data, length, 0, b"-ERR", 0)
        if verdict != YES:
            return verdict
        return NO if not is_text_line(data, 0, end) else YES if asked and end < length else MAYBE
    if verdict == MAYBE or length == 3:
        return MAYBE
    if not is_word_end(data[3]) or not is_text_line(data, 0, end):
        return NO
    if end <= 5:
        return YES if asked else MAYBE
    return YES if end < length else LIKELY if length > 4 else MAYBE


cdef inline Verdict imap_greeting(const uint8_t* data, uint32_t length) noexcept nogil:
    """RFC 9051, 7.1: untagged OK, PREAUTH or BYE, and text."""
    cdef uint32_t end = line_end(data, length, 0), size = 5
    cdef Verdict verdict = begins(data, length, 0, b"* OK ", SOFT)
    if verdict == NO:
        size = 10
        verdict = begins(data, length, 0, b"* PREAUTH ", SOFT)
    if verdict == NO:
        size = 6
        verdict = begins(data, length, 0, b"* BYE ", SOFT)
    if verdict != YES:
        return verdict
    if not is_text_line(data, size, end):
        return NO
    return YES if end < length else LIKELY


cdef inline Verdict command(const uint8_t* data, uint32_t length, uint32_t start, const char* text) noexcept nogil:
    """A word of a line, in whatever case, that ends there.  MAYBE: the bytes end within it or right behind."""
    cdef Verdict verdict = begins(data, length, start, text, SOFT)
    if verdict != YES:
        return verdict
    while text[0]:
        text += 1
        start += 1
    if start == length:
        return MAYBE
    return YES if is_word_end(data[start]) else NO


cdef inline Verdict any_command(
    const uint8_t* data, uint32_t length, uint32_t start, const char* const* words
) noexcept nogil:
    """The best that one of several words makes; the list ends with NULL."""
    cdef Verdict best = NO, verdict
    while words[0] != NULL:
        verdict = command(data, length, start, words[0])
        if verdict > best:
            best = verdict
            if best == YES:
                break
        words += 1
    return best


cdef extern from *:
    """
    static const char *const tw_imap_commands[] = {
        "CAPABILITY", "LOGIN", "STARTTLS", "AUTHENTICATE", "NOOP", "LOGOUT", "ID", "SELECT", "EXAMINE", "LIST",
        "NAMESPACE", "ENABLE", 0
    };
    static const char *const tw_smtp_commands[] = {"EHLO", "HELO", "LHLO", 0};
    static const char *const tw_pop3_commands[] = {"CAPA", "STLS", "APOP", "UIDL", 0};
    static const char *const tw_ftp_commands[] = {
        "AUTH TLS", "AUTH SSL", "AUTH GSSAPI", "FEAT", "SYST", "PASV", "EPSV", "PORT", "EPRT", "TYPE", "CWD", "PWD",
        "OPTS", "PBSZ", "PROT", "STOR", "NLST", "MLSD", "HOST", "CLNT", 0
    };
    static const char *const tw_irc_commands[] = {"NICK", "CAP LS", "CAP REQ", "CAP END", "CAP LIST", 0};
    static const char *const tw_shared_commands[] = {"USER", "PASS", "AUTH", "QUIT", "NOOP", 0};
    static const char *const tw_irc_words[] = {
        "NOTICE", "PRIVMSG", "CAP", "PING", "ERROR", "AUTHENTICATE", "JOIN", "MODE", 0
    };
    """
    const char* const* tw_imap_commands
    const char* const* tw_smtp_commands
    const char* const* tw_pop3_commands
    const char* const* tw_ftp_commands
    const char* const* tw_irc_commands
    const char* const* tw_shared_commands
    const char* const* tw_irc_words


cdef inline Verdict imap_command(const uint8_t* data, uint32_t length) noexcept nogil:
    """A tag that holds a digit, as every program's does, or is a dot, as people's, and a command (RFC 9051, 2.2.1)."""
    cdef uint32_t at = 0, end
    cdef bint numbered = False
    cdef Verdict verdict
    while at < length and at < LONGEST_TAG and (is_digit(data[at]) or is_letter(data[at]) or c'-' <= data[at] <= c'.'):
        numbered = numbered or is_digit(data[at])
        at += 1
    numbered = numbered or at == 1 and data[0] == c'.'
    if at == length:
        return MAYBE if at < LONGEST_TAG else NO
    if not numbered or data[at] != c' ':
        return NO
    verdict = any_command(data, length, at + 1, tw_imap_commands)
    if verdict != YES:
        return verdict
    end = line_end(data, length, at)
    if not is_text_line(data, at, end):
        return NO
    return YES if end < length else LIKELY


# ---- commands of SMTP, POP3, FTP and IRC clients ---------------------------------------------------

cdef inline uint32_t words_in(const uint8_t* data, uint32_t start, uint32_t end) noexcept nogil:
    cdef uint32_t count = 0, i
    for i in range(start, end):
        if not is_word_end(data[i]) and (i == start or is_word_end(data[i - 1])):
            count += 1
    return count


cdef inline Verdict own_command(const uint8_t* data, uint32_t length, uint32_t start, App* app) noexcept nogil:
    """A command that only one of the protocols has."""
    cdef Verdict verdict = any_command(data, length, start, tw_smtp_commands), next_verdict
    app[0] = SMTP
    if verdict == YES:
        return YES
    next_verdict = any_command(data, length, start, tw_ftp_commands)
    if next_verdict > verdict:
        verdict = next_verdict
        app[0] = FTP
    next_verdict = any_command(data, length, start, tw_pop3_commands) if verdict != YES else NO
    if next_verdict > verdict:
        verdict = next_verdict
        app[0] = POP3
    next_verdict = any_command(data, length, start, tw_irc_commands) if verdict != YES else NO
    if next_verdict > verdict:
        verdict = next_verdict
        app[0] = IRC
    return verdict


cdef inline Verdict client_commands(const uint8_t* data, uint32_t length, App* app) noexcept nogil:
    """The first command that tells; USER and what goes with it are FTP's or POP3's until one does."""
    cdef uint32_t start = 0, end, _line
    cdef bint user = False
    cdef Verdict verdict, shared
    for _line in range(MOST_COMMANDS):
        end = line_end(data, length, start)
        verdict = own_command(data, length, start, app)
        if verdict == YES:
            if not is_text_line(data, start, end):
                return NO
            return YES if end < length or user else LIKELY
        shared = any_command(data, length, start, tw_shared_commands)
        if shared != YES:
            break
        if not is_text_line(data, start, end):
            return NO
        if begins(data, length, start, b"USER", SOFT) == YES:
            if words_in(data, start, end) > 4:      # name, two that are nothing today, the real name
                app[0] = IRC
                return YES if end < length else LIKELY
            user = end < length and words_in(data, start, end) == 2
        start = end + 1
        if start >= length:
            verdict = MAYBE
            break
    if user:
        app[0] = FTP_OR_POP3
        return YES
    return MAYBE if verdict == MAYBE or shared == MAYBE else NO


# ---- IRC servers -----------------------------------------------------------------------------------

cdef inline Verdict irc_message(const uint8_t* data, uint32_t length) noexcept nogil:
    """``:server NOTICE``, ``:server 001`` and their like, or the same without a server (RFC 2812, 2.3.1)."""
    cdef uint32_t at = 0, end = line_end(data, length, 0)
    cdef Verdict verdict
    if data[0] == c':':
        at = 1
        while at < length and at < 80 and is_text(data[at]) and data[at] != c' ':
            at += 1
        if at == length:
            return MAYBE if at < 80 else NO
        if at == 1 or data[at] != c' ':
            return NO
        at += 1
        if at < length and is_digit(data[at]):
            return irc_numeric(data, length, at, end)
        verdict = any_command(data, length, at, tw_irc_words)
    else:
        verdict = unprefixed(data, length)
    if verdict != YES:
        return verdict
    if not is_text_line(data, at, end):
        return NO
    return YES if end < length else LIKELY


cdef inline Verdict irc_numeric(const uint8_t* data, uint32_t length, uint32_t at, uint32_t end) noexcept nogil:
    """Three digits and whom they are for."""
    cdef uint32_t i
    for i in range(at, at + 3 if at + 3 < length else length):
        if not is_digit(data[i]):
            return NO
    if at + 3 >= length:
        return MAYBE
    if data[at + 3] != c' ' or not is_text_line(data, at, end):
        return NO
    return YES if end < length else LIKELY


cdef inline Verdict unprefixed(const uint8_t* data, uint32_t length) noexcept nogil:
    cdef Verdict best = begins(data, length, 0, b"NOTICE AUTH :", 0), verdict
    verdict = begins(data, length, 0, b"NOTICE * :", 0)
    best = verdict if verdict > best else best
    verdict = begins(data, length, 0, b"PING :", 0)
    best = verdict if verdict > best else best
    verdict = begins(data, length, 0, b"ERROR :Closing Link", 0)
    return verdict if verdict > best else best
