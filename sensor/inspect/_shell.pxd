"""Shells in their first bytes: what cmd.exe, PowerShell and Unix shells say before anybody types. Inline."""

from libc.stdint cimport uint8_t, uint32_t

from sensor.inspect._app cimport (
    LIKELY, MAYBE, NO, YES, Verdict, begins, is_digit, is_letter, is_line_end, is_printable, is_text,
    is_word_end,
)

cdef enum:
    LONGEST_PATH = 260          # Windows' MAX_PATH
    LONGEST_USER = 32
    LONGEST_HOST = 64
    ESC = 0x1B
    BEL = 0x07


cdef extern from *:
    """
    static const char *const tw_windows_banners[] = {
        "Microsoft Windows [", "Microsoft Windows XP [", "Microsoft Windows 2000 [", "Windows PowerShell\\r\\n",
        "Microsoft(R) Windows NT", 0
    };
    static const char *const tw_unix_banners[] = {
        "bash: no job control in this shell", "bash: cannot set terminal process group",
        "sh: no job control in this shell", "sh: can't access tty; job control turned off",
        "sh: 0: can't access tty; job control turned off", "/bin/sh: 0: can't access tty; job control turned off",
        "/bin/sh: can't access tty; job control turned off", "sh: cannot set terminal process group",
        "zsh: can't open terminal",
        /* A terminal in a web page, as terminado sends it (Jupyter's; its documentation, "Using terminado"). */
        "[\\"setup\\", {", "[\\"setup\\",{", "[\\"stdout\\", \\"", "[\\"stdout\\",\\"", 0
    };
    """
    const char* const* tw_windows_banners
    const char* const* tw_unix_banners


cdef inline Verdict any_text(
    const uint8_t* data, uint32_t length, uint32_t start, const char* const* texts
) noexcept nogil:
    """The best that one of several texts makes; the list ends with NULL."""
    cdef Verdict best = NO, verdict
    while texts[0] != NULL and best != YES:
        verdict = begins(data, length, start, texts[0], 0)
        best = verdict if verdict > best else best
        texts += 1
    return best


cdef inline Verdict windows_shell(const uint8_t* data, uint32_t length) noexcept nogil:
    """The banner of cmd.exe or PowerShell, or a prompt: ``C:\\dir>``, ``PS C:\\dir>``; empty lines before it."""
    cdef uint32_t start = 0
    cdef Verdict best, verdict
    while start < length and start < 4 and is_line_end(data[start]):
        start += 1
    if start == length:
        return MAYBE
    best = any_text(data, length, start, tw_windows_banners)
    verdict = begins(data, length, start, b"PS ", 0)
    if verdict == YES:
        start += 3
        if start == length:
            return MAYBE
    elif verdict > best:
        best = verdict
    verdict = windows_prompt(data, length, start)
    return verdict if verdict > best else best


cdef inline Verdict windows_prompt(const uint8_t* data, uint32_t length, uint32_t start) noexcept nogil:
    cdef uint32_t at = start
    if not is_letter(data[start]) or start + 1 < length and data[start + 1] != c':':
        return NO
    if start + 2 < length and data[start + 2] != c'\\':
        return NO
    at += 3
    while at < length and at - start < LONGEST_PATH:
        if data[at] == c'>':
            return YES
        if not is_text(data[at]) or data[at] in (c'"', c'*', c'?', c'<', c'|', c':', c'\t'):
            return NO
        at += 1
    return MAYBE if at >= length else NO


cdef inline uint32_t after_escapes(const uint8_t* data, uint32_t length) noexcept nogil:
    """Skip what a terminal is told before a prompt: CSI sequences and titles."""
    cdef uint32_t at = 0
    while at + 1 < length and at < 256 and data[at] == ESC:
        if data[at + 1] == c'[':
            at += 2
            while at < length and not is_letter(data[at]):
                at += 1
        elif data[at + 1] == c']':
            while at < length and data[at] != BEL:
                at += 1
        else:
            return at
        at += 1
    return at if at < length else length


cdef inline Verdict unix_shell(const uint8_t* data, uint32_t length) noexcept nogil:
    """What a shell without a terminal complains of, a prompt, or the answer of id(1) or uname(1)."""
    cdef uint32_t start
    cdef Verdict best, verdict
    if data[0] == c'$' or data[0] == c'#':
        return bare_prompt(data, length)
    start = after_escapes(data, length)
    if start == length:
        return MAYBE
    best = any_text(data, length, start, tw_unix_banners)
    for look in range(4):
        if best == YES:
            break
        if look == 0:
            verdict = user_prompt(data, length, start)
        elif look == 1:
            verdict = version_prompt(data, length, start)
        elif look == 2:
            verdict = answer_of_id(data, length, start)
        else:
            verdict = answer_of_uname(data, length, start)
        best = verdict if verdict > best else best
    return best


cdef inline Verdict bare_prompt(const uint8_t* data, uint32_t length) noexcept nogil:
    """dash's and busybox' prompt: nothing but it, or once more at the start of a later line.

    Many a file begins with ``# ``; so there the other one has to be the last that was sent.
    """
    cdef uint32_t i
    if length > 1 and data[1] != c' ':
        return NO
    if length < 3:
        return LIKELY if length == 2 else MAYBE
    for i in range(2, length):
        if not is_text(data[i]) and not is_line_end(data[i]):
            return NO
        if i + 2 < length and data[i] == c'\n' and data[i + 1] == data[0] and data[i + 2] == c' ':
            if data[0] == c'$':
                return YES
            if i + 3 == length:
                return LIKELY
    return MAYBE


cdef inline bint is_name(uint8_t byte) noexcept nogil:
    return is_letter(byte) or is_digit(byte) or byte == c'-' or byte == c'.' or byte == c'_'


cdef inline Verdict user_prompt(const uint8_t* data, uint32_t length, uint32_t at) noexcept nogil:
    """user@host:/dir$, [user@host dir]#, user@host dir %."""
    cdef bint bracket = data[at] == c'['
    cdef uint32_t start, end
    cdef uint8_t ends
    at += bracket
    start = at
    while at < length and at - start < LONGEST_USER and is_name(data[at]):
        at += 1
    if at == length:
        return MAYBE
    if at == start or data[at] != c'@':
        return NO
    at += 1
    start = at
    while at < length and at - start < LONGEST_HOST and is_name(data[at]):
        at += 1
    if at == length:
        return MAYBE
    if at == start or data[at] != c' ' and (data[at] != c':' or bracket):
        return NO
    at += 1
    if at < length and data[at] != c'~' and data[at] != c'/' and not bracket:
        return NO
    end = at + LONGEST_PATH if at + LONGEST_PATH < length else length
    while at < end and is_text(data[at]) and data[at] not in (c'$', c'#', c'%', c']'):
        at += 1
    if at < end and bracket and data[at] == c']':
        at += 1
    if at >= length:
        return MAYBE
    ends = data[at]
    if at == end or ends != c'$' and ends != c'#' and ends != c'%':
        return NO
    return LIKELY if at + 1 == length else YES if is_word_end(data[at + 1]) else NO


cdef inline Verdict version_prompt(const uint8_t* data, uint32_t length, uint32_t start) noexcept nogil:
    """sh-5.1$, bash-5.2#."""
    cdef uint32_t at = start + 3
    cdef Verdict verdict = begins(data, length, start, b"sh-", 0)
    if verdict == NO:
        verdict = begins(data, length, start, b"bash-", 0)
        at += 2
    if verdict != YES:
        return verdict
    start = at
    while at < length and at - start < 8 and (is_digit(data[at]) or data[at] == c'.'):
        at += 1
    if at == length:
        return MAYBE
    if at == start or data[at] != c'$' and data[at] != c'#':
        return NO
    return LIKELY if at + 1 == length else YES if is_word_end(data[at + 1]) else NO


cdef inline Verdict answer_of_id(const uint8_t* data, uint32_t length, uint32_t at) noexcept nogil:
    """uid=0(root) gid=0(root)."""
    cdef uint32_t start
    cdef Verdict verdict = begins(data, length, at, b"uid=", 0)
    if verdict != YES:
        return verdict
    at += 4
    start = at
    while at < length and at - start < 10 and is_digit(data[at]):
        at += 1
    if at == length:
        return MAYBE
    if at == start or data[at] != c'(':
        return NO
    at += 1
    start = at
    while at < length and at - start < LONGEST_USER and is_printable(data[at]) and data[at] != c')':
        at += 1
    if at == length:
        return MAYBE
    if data[at] != c')':
        return NO
    verdict = begins(data, length, at, b") gid=", 0)
    return verdict if verdict != MAYBE else LIKELY


cdef inline Verdict answer_of_uname(const uint8_t* data, uint32_t length, uint32_t start) noexcept nogil:
    """``uname -a`` of Linux, as the usual reverse shells send it first: Linux host 6.1.0-17-amd64 #1 SMP."""
    cdef uint32_t at
    cdef Verdict verdict = begins(data, length, start, b"Linux ", 0)
    if verdict != YES:
        return verdict
    at = start + 6
    while at < length and is_printable(data[at]) and at - start < 160:
        if data[at] == c'#':
            verdict = begins(data, length, at - 1, b" #1", 0)
            return verdict if verdict != NO or at + 1 >= length else YES if is_digit(data[at + 1]) else NO
        at += 1
    return MAYBE if at == length else NO
