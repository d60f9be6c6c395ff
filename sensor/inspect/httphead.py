"""What the head of an HTTP message tells: who is asked for, by what program, and whether a tunnel is wanted.

Targets, cookies and credentials are not kept.  The parser is llhttp, Node.js' own; of a head that it refuses,
or that is not whole, what it took before counts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

from sensor.inspect.wiretext import LONGEST_VALUE, wire_text

NOT_ASKED: Final = 0
CONNECT: Final = 1
WEBSOCKET: Final = 2
UPGRADE: Final = 3
"""To anything but a WebSocket."""

LONGEST_WORD: Final = 32
"""Of a method, or of the protocol that an upgrade is to."""
_HIGHEST_PORT: Final = 0xFFFF
_PARSER_RAISES: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class RequestHead(NamedTuple):
    """A request's head; texts are empty where it has nothing of the kind."""

    method: str
    host: str = ""
    """Without the port: of an absolute target, else of the field Host; with CONNECT of the target."""
    port: int = 0
    """The one of CONNECT's target."""
    target: str = ""
    """CONNECT's, without a user's name."""
    upgrade: str = ""
    """The protocol asked for, in lower case, the first of several."""
    user_agent: str = ""
    tunnel: int = NOT_ASKED


class ResponseHead(NamedTuple):
    """A response's head."""

    status: int


def request_head(data: bytes) -> RequestHead | None:
    """Return what a request's head tells, or None when not even its first line is there."""
    taken = _Taken()
    parser = httptools.HttpRequestParser(taken)
    _feed(parser, data)
    method = wire_text(parser.get_method(), LONGEST_WORD)
    if not taken.target or not method:
        return None
    user_agent = wire_text(taken.fields.get(b"user-agent", b""))
    if method == "CONNECT":
        host, port = split_authority(taken.target)
        target = wire_text(taken.target.rpartition(b"@")[2])
        return RequestHead(method, host, port, target, user_agent=user_agent, tunnel=CONNECT)
    upgrade = _upgrade(taken.fields)
    host, _ = split_authority(_authority(taken.target) or taken.fields.get(b"host", b""))
    tunnel = NOT_ASKED
    if upgrade:
        tunnel = WEBSOCKET if upgrade == "websocket" else UPGRADE
    return RequestHead(method, host, upgrade=upgrade, user_agent=user_agent, tunnel=tunnel)


def response_head(data: bytes) -> ResponseHead | None:
    """Return what a response's head tells, or None when its first line is not there."""
    parser = httptools.HttpResponseParser(_Taken())
    _feed(parser, data)
    status = parser.get_status_code()
    return ResponseHead(status) if 100 <= status <= 999 else None


def split_authority(authority: bytes) -> tuple[str, int]:
    """Return host and port of ``user@host:port``; the port is 0 where there is none that could be one."""
    name = authority.rpartition(b"@")[2]
    port = b""
    if name.startswith(b"["):
        name, _, rest = name[1:].partition(b"]")
        port = rest.removeprefix(b":")
    elif name.count(b":") == 1:
        name, _, port = name.partition(b":")
    number = int(port) if port.isdigit() and len(port) <= 5 else 0
    return wire_text(name.strip()), number if number <= _HIGHEST_PORT else 0


class _Taken:
    """What llhttp calls back with."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: dict[bytes, bytes] = {}

    def on_url(self, part: bytes) -> None:
        """Take the request's target, which may come in pieces."""
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the header; of several alike the first counts."""
        self.fields.setdefault(name.lower(), value[:LONGEST_VALUE])


def _feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except _PARSER_RAISES:
        return


def _authority(target: bytes) -> bytes:
    """Return whom an absolute target names (RFC 9112, 3.2.2), nothing for any other."""
    _, found, rest = target.partition(b"://")
    if not found or target.startswith(b"/"):
        return b""
    for end in (b"/", b"?", b"#"):
        rest = rest.partition(end)[0]
    return rest


def _upgrade(fields: dict[bytes, bytes]) -> str:
    """Return the protocol that an upgrade asks for, if the connection is to be upgraded (RFC 9110, 7.8)."""
    if b"upgrade" not in fields.get(b"connection", b"").lower():
        return ""
    return wire_text(fields.get(b"upgrade", b"").partition(b",")[0].strip().lower(), LONGEST_WORD)
