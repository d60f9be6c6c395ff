# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The identification of first bytes for Python and for tests; compiled modules use the inline parts directly."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor.inspect._app cimport APP_COUNT, FROM_CLIENT, FROM_SERVER, UNDECIDED, App
from sensor.inspect._identify cimport IDENTIFY_BYTES, identify, settle
from sensor.inspect._mismatch cimport Role, disagree, odd_port, part_of, ports_of, server_speaks_client

# By the numbers of App. The first three are no protocol, the last three none that is known.
APP_NAMES = (
    "undecided", "nothing", "http", "http2", "tls", "ssh", "smtp", "pop3", "imap", "ftp", "ftp-or-smtp",
    "ftp-or-pop3", "dns", "rdp", "vnc", "smb", "socks4", "socks5", "irc", "bittorrent", "openvpn", "telnet",
    "windows-shell", "unix-shell", "printable", "random", "unknown",
)
ROLE_NAMES = ("either", "client", "server")
MOST_BYTES = IDENTIFY_BYTES
assert len(APP_NAMES) == APP_COUNT

cdef dict NUMBERS = {name: number for number, name in enumerate(APP_NAMES)}


cdef uint32_t size_of(bytes data, length) except? 0xFFFFFFFF:
    """Return how many of the bytes are to be looked at."""
    if length is not None and not 0 <= length <= len(data):
        raise ValueError(f"length {length} of {len(data)} bytes")
    return <uint32_t> (len(data) if length is None else length)


def name_of(
    bytes data not None, *, bint complete=True, uint8_t direction=0, str other="undecided", length=None
):
    """Return the name of what a direction's first bytes are; ``other`` is that of the other direction.

    ``length``: only so many of the bytes are there; the rest lies behind them in memory.
    """
    cdef const uint8_t* at = <const uint8_t*> <const char*> data
    return APP_NAMES[identify(at, size_of(data, length), complete, direction, <App> <int> NUMBERS[other])]


def names_of(bytes out not None, bytes in_ not None, *, bint complete=True):
    """Return the names of both directions, each told with the help of the other."""
    cdef const uint8_t* out_at = <const uint8_t*> <const char*> out
    cdef const uint8_t* in_at = <const uint8_t*> <const char*> in_
    cdef App client, server
    client = identify(out_at, <uint32_t> len(out), complete, FROM_CLIENT, UNDECIDED)
    server = identify(in_at, <uint32_t> len(in_), complete, FROM_SERVER, client)
    client = identify(out_at, <uint32_t> len(out), complete, FROM_CLIENT, server)
    return APP_NAMES[client], APP_NAMES[settle(server, client)]


def settled(str app, str other):
    """Return which of two protocols a direction speaks, when the other direction tells."""
    return APP_NAMES[settle(<App> <int> NUMBERS[app], <App> <int> NUMBERS[other])]


def disagreeing(str out, str in_):
    """Tell whether two directions cannot belong together."""
    return bool(disagree(<App> <int> NUMBERS[out], <App> <int> NUMBERS[in_]))


def is_odd_port(str app, uint16_t port):
    """Tell whether a protocol is not usual on a server's port."""
    return bool(odd_port(<App> <int> NUMBERS[app], port))


def usual_ports(str app):
    """Return a protocol's usual ports as pairs of first and last."""
    cdef const unsigned short* ranges = ports_of(<App> <int> NUMBERS[app])
    pairs = []
    while ranges[0]:
        pairs.append((ranges[0], ranges[1]))
        ranges += 2
    return pairs


def role_of(str app, bytes data not None, *, length=None):
    """Return whose part of its protocol a direction plays: client, server, or either. ``length``: as above."""
    cdef const uint8_t* at = <const uint8_t*> <const char*> data
    return ROLE_NAMES[<int> part_of(<App> <int> NUMBERS[app], at, size_of(data, length))]


def is_reversed(str out, str in_):
    """Tell from the parts that the directions play whether the client plays the server's."""
    return bool(server_speaks_client(<Role> <int> ROLE_NAMES.index(out), <Role> <int> ROLE_NAMES.index(in_)))


def repeat(list samples not None, uint32_t rounds):
    """Identify each of the samples so many times, for a measurement; return how many had an answer."""
    cdef uint32_t i, decided = 0
    cdef const uint8_t* at
    cdef uint32_t length
    cdef bytes sample
    for sample in samples:
        at = <const uint8_t*> <const char*> sample
        length = <uint32_t> len(sample)
        for i in range(rounds):
            decided += identify(at, length, i & 1, <uint8_t> (i >> 1 & 1), UNDECIDED) != UNDECIDED
    return decided
