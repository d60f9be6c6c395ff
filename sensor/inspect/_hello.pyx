# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The parts of TLS' hellos that facts are made of, found in the handshake message's body (RFC 8446, 4.1)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor.inspect._app cimport be16

cdef enum:
    FIXED = 34                  # bytes of version and random, before the session's id
    MOST_EXTENSIONS = 512
    SERVER_NAME = 0
    SIGNATURE_ALGORITHMS = 13
    ALPN = 16
    SUPPORTED_VERSIONS = 43

cdef struct Extensions:
    const uint8_t* name         # of each the first one's data, NULL without one
    const uint8_t* algorithms
    const uint8_t* protocols
    const uint8_t* versions
    uint16_t name_bytes
    uint16_t algorithms_bytes
    uint16_t protocols_bytes
    uint16_t versions_bytes
    uint32_t count              # of types that are no GREASE, which are in ascending order
    uint16_t[MOST_EXTENSIONS] types


cdef inline bint is_grease(uint16_t number) noexcept nogil:
    """RFC 8701."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


cdef inline void note(const uint8_t** data, uint16_t* size, const uint8_t* at, uint16_t length) noexcept nogil:
    if data[0] == NULL:
        data[0] = at
        size[0] = length


cdef bint find_extensions(const uint8_t* body, uint32_t at, uint32_t length, Extensions* found) noexcept nogil:
    """Find a hello's extensions, of which there may be none; False when lengths do not fit, or there are too many."""
    cdef uint32_t end, place
    cdef uint16_t kind, size
    found.name = found.algorithms = found.protocols = found.versions = NULL
    found.name_bytes = found.algorithms_bytes = found.protocols_bytes = found.versions_bytes = 0
    found.count = 0
    if at == length:
        return True
    if length - at < 2:
        return False
    end = at + 2 + be16(body + at)
    at += 2
    if end > length:
        return False
    while at < end:
        if end - at < 4:
            return False
        kind = be16(body + at)
        size = be16(body + at + 2)
        at += 4
        if size > end - at:
            return False
        if kind == SERVER_NAME:
            note(&found.name, &found.name_bytes, body + at, size)
        elif kind == SIGNATURE_ALGORITHMS:
            note(&found.algorithms, &found.algorithms_bytes, body + at, size)
        elif kind == ALPN:
            note(&found.protocols, &found.protocols_bytes, body + at, size)
        elif kind == SUPPORTED_VERSIONS:
            note(&found.versions, &found.versions_bytes, body + at, size)
        at += size
        if is_grease(kind):
            continue
        if found.count == MOST_EXTENSIONS:
            return False
        place = found.count
        while place and found.types[place - 1] > kind:
            found.types[place] = found.types[place - 1]
            place -= 1
        found.types[place] = kind
        found.count += 1
    return True


cdef inline bytes taken(const uint8_t* at, uint32_t size):
    return (<const char*> at)[:size] if at != NULL else None


def client_parts(bytes body not None):
    """Return what a ClientHello offers, or None when its lengths do not fit.

    That is: the version, the suites as they are, the extensions' types (numbers in ascending order without GREASE), and
    the data of server name, ALPN, signature algorithms and supported versions, None where there is none.
    """
    cdef const uint8_t* data = <const uint8_t*> <const char*> body
    cdef uint32_t length = <uint32_t> len(body), at, suites
    cdef Extensions found
    if length <= FIXED:
        return None
    at = FIXED + 1 + data[FIXED]
    if length < at + 2 or be16(data + at) > length - at - 2:
        return None
    suites = at + 2
    at = suites + be16(data + at)
    if length < at + 1 or data[at] > length - at - 1:
        return None
    if not find_extensions(data, at + 1 + data[at], length, &found):
        return None
    return (
        be16(data), taken(data + suites, at - suites), tuple([found.types[i] for i in range(found.count)]),
        taken(found.name, found.name_bytes), taken(found.protocols, found.protocols_bytes),
        taken(found.algorithms, found.algorithms_bytes), taken(found.versions, found.versions_bytes),
    )


def server_parts(bytes body not None):
    """Return what a ServerHello chooses: version, suite, data of ALPN and supported versions; or None."""
    cdef const uint8_t* data = <const uint8_t*> <const char*> body
    cdef uint32_t length = <uint32_t> len(body), at
    cdef Extensions found
    if length <= FIXED:
        return None
    at = FIXED + 1 + data[FIXED]
    if length < at + 3 or not find_extensions(data, at + 3, length, &found):
        return None
    return (
        be16(data), be16(data + at), taken(found.protocols, found.protocols_bytes),
        taken(found.versions, found.versions_bytes),
    )
