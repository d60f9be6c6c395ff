"""Where a request wants to go: its target, Host, and what may be kept of a URI."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sensor.inspect.wiretext import LONGEST_VALUE, wire_text

_AUTHORITY: Final = re.compile(
    rb"(?:(?P<six>\[[0-9A-Fa-f:.]{2,45}\])|(?P<name>[A-Za-z0-9_.\-]{1,255}))(?::(?P<port>[0-9]{0,5}))?"
)
_SCHEMES: Final = {b"http": 80, b"https": 443, b"ws": 80, b"wss": 443, b"ftp": 21}
_SECRET: Final = re.compile(
    rb"(?i)([?&;][^=&;#]*(?:pass|pwd|secret|token|auth|key|sess|sid|sig|cred|code|login|user|otp|pin|jwt)[^=&;#]*=)"
    rb"[^&;#]*"
)


class Destination(NamedTuple):
    """A name or address in lower case, and a port; ``host`` is empty where there is none."""

    host: str
    port: int | None
    good: bool


NOWHERE: Final = Destination("", None, good=True)


def authority(value: bytes) -> Destination:
    """Return what ``host:port`` names; what is no host is kept as text, bounded and marked."""
    found = _AUTHORITY.fullmatch(value)
    if found is None:
        return Destination(wire_text(value.lower()), None, good=False)
    host = (found["six"] or found["name"]).strip(b"[]").lower().decode("ascii")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        return Destination(host, None, good=False)
    return Destination(host, port, good=True)


def destination(method: bytes, target: bytes) -> Destination:
    """Return where a target itself says that it goes: CONNECT's always, an absolute URI's; else nowhere."""
    if method == b"CONNECT":
        return authority(target.partition(b" ")[0])
    scheme, colon, rest = target[:8].partition(b"://")
    if not colon or target.startswith(b"/"):
        return NOWHERE
    end = len(scheme) + 3
    rest = target[end : end + 2 * LONGEST_VALUE]
    named = re.split(rb"[/?#]", rest, maxsplit=1)[0].rpartition(b"@")[2]
    found = authority(named)
    return found if found.port is not None else found._replace(port=_SCHEMES.get(scheme.lower()))


def kept_uri(target: bytes, most: int) -> str | None:
    """Return at most so many characters of a target, without user names and what looks like credentials; None for 0."""
    if most <= 0:
        return None
    target = target[: 4 * most]
    scheme, colon, rest = target.partition(b"://")
    if colon and len(scheme) < 8:
        named = re.split(rb"[/?#]", rest, maxsplit=1)[0]
        target = scheme + colon + rest[named.rfind(b"@") + 1 :]
    return wire_text(_SECRET.sub(rb"\1*", target), most)
