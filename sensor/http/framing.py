"""Where the body of an HTTP/1 message ends (RFC 9112, 6.3 and 7.1)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sensor.http.head import Fields

MAX_LENGTH: Final = 1 << 46
"""Bytes of a declared length beyond which it is no length."""
LONGEST_CHUNK_LINE: Final = 4096
"""With extensions."""
LONGEST_TRAILER: Final = 16 << 10

_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r?")
_NO_BODY: Final = frozenset((204, 304))


class Body(NamedTuple):
    """How a body ends: after ``length`` bytes; with the last chunk; or, when neither is said, with the connection."""

    length: int | None
    chunked: bool
    anomalies: tuple[str, ...] = ()


NO_BODY: Final = Body(0, chunked=False)
UNTIL_CLOSE: Final = Body(None, chunked=False)


def request_body(fields: Fields) -> Body:
    """Return how a request's body ends; without a length there is none."""
    body = _declared(fields)
    return body if body.length is not None or body.chunked else body._replace(length=0)


def response_body(method: bytes | None, status: int, fields: Fields) -> Body:
    """Return how the body of a response to a method ends; ``None`` when the request was not seen.

    That to CONNECT is for who knows that a tunnel follows.
    """
    if method == b"HEAD" or status in _NO_BODY or status < 200:
        return NO_BODY
    return _declared(fields)


def _declared(fields: Fields) -> Body:
    codings = [part.strip().lower() for value in fields.get(b"transfer-encoding", ()) for part in value.split(b",")]
    lengths = fields.get(b"content-length", ())
    if codings and codings != [b"identity"]:
        anomalies = ["length-and-chunked"] if lengths else []
        if codings[-1] != b"chunked":
            return Body(None, chunked=False, anomalies=(*anomalies, "bad-transfer-encoding"))
        return Body(None, chunked=True, anomalies=tuple(anomalies))
    if not lengths:
        return UNTIL_CLOSE
    # The same number several times, in one header or several, is taken as one.
    numbers = {part.strip() for value in lengths for part in value.split(b",")}
    number = numbers.pop()
    if numbers or _DIGITS.fullmatch(number) is None or int(number) > MAX_LENGTH:
        return Body(None, chunked=False, anomalies=("bad-length",))
    return Body(int(number), chunked=False)


def chunk_size(line: bytes) -> int | None:
    """Return the size that a chunk's first line says, None when it says none."""
    found = _CHUNK.fullmatch(line)
    return None if found is None else int(found[1], 16)
