"""Heads of HTTP/1 messages: start line and headers, read as leniently as careless programs write them.

What is not as RFC 9112 says is read nevertheless, and named by the words of ``sensor.http.words``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_FIELDS: Final = 128
"""Headers of one message that are looked at."""
LONGEST_METHOD: Final = 32

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_METHOD: Final = re.compile(rb"[!#$%%&'*+\-.^_`|~0-9A-Za-z]{1,%d} " % LONGEST_METHOD)
_BROKEN_METHOD: Final = re.compile(rb"[!#$%%&'*+\-.^_`|~0-9A-Za-z]{0,%d}" % LONGEST_METHOD)
_VERSION: Final = re.compile(rb"HTTP/(\d{1,2}(?:\.\d{1,2})?)")
_STATUS: Final = re.compile(rb"(?:HTTP/(\d{1,2}(?:\.\d{1,2})?)|ICY) {1,4}(\d{3})(?: |$)")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_STATUS_STARTS: Final = (b"HTTP/", b"ICY ")

Fields = dict[bytes, list[bytes]]
"""Values by name in lower case."""


class Headers(NamedTuple):
    """The headers of one message."""

    names: list[bytes]
    """As they were sent, in their order."""
    fields: Fields
    anomalies: list[str]


class RequestLine(NamedTuple):
    """A request line; ``version`` is empty where there is none, as in HTTP/0.9."""

    method: bytes
    target: bytes
    version: bytes
    spaces: bool
    """Whether there are spaces in the target."""


class StatusLine(NamedTuple):
    """A status line; ``version`` is empty for SHOUTcast's ICY."""

    version: bytes
    status: int


def end_of_head(data: bytes | bytearray, since: int) -> int:
    """Return where the body begins, -1 when the head's empty line is not there; what is before ``since`` was seen."""
    since = max(0, since - 3)
    carriage = data.find(b"\n\r\n", since)
    bare = data.find(b"\n\n", since, len(data) if carriage < 0 else carriage + 1)
    if bare >= 0:
        return bare + 2
    return carriage + 3 if carriage >= 0 else -1


def may_be_request(data: bytes | bytearray) -> bool:
    """Tell whether bytes may be the beginning of a request, of which the line may not be whole yet."""
    end = data.find(b"\n")
    if end < 0:
        return _METHOD.match(data) is not None or _BROKEN_METHOD.fullmatch(data) is not None
    return read_request_line(bytes(data[:end])) is not None


def may_be_response(data: bytes | bytearray) -> bool:
    """Tell whether bytes may be the beginning of a response, of which the line may not be whole yet."""
    if data.find(b"\n") >= 0:
        return _STATUS.match(data) is not None or read_status_line(bytes(data[: data.find(b"\n")])) is not None
    return any(data.startswith(start) or start.startswith(data) for start in _STATUS_STARTS)


def read_request_line(line: bytes) -> RequestLine | None:
    """Return the parts of a request line without its line feed, None when it is none (RFC 9112, 3)."""
    line = line.rstrip(b"\r \t")
    method, _, rest = line.partition(b" ")
    if not 0 < len(method) <= LONGEST_METHOD or _TOKEN.fullmatch(method) is None:
        return None
    target, _, last = rest.rpartition(b" ")
    version = _VERSION.fullmatch(last)
    if version is None:
        # HTTP/0.9 has GET and a path only.
        is_old = method == b"GET" and rest.startswith(b"/") and b" " not in rest
        return RequestLine(method, rest, b"", spaces=False) if is_old else None
    target = target.strip(b" \t")
    if not target:
        return None
    return RequestLine(method, target, version[1], spaces=b" " in target or b"\t" in target)


def read_status_line(line: bytes) -> StatusLine | None:
    """Return the parts of a status line without its line feed, None when it is none (RFC 9112, 4)."""
    found = _STATUS.match(line.rstrip(b"\r"))
    return None if found is None else StatusLine(found[1] or b"", int(found[2]))


def read_headers(data: bytes) -> Headers:
    """Return the headers of a head's lines, without the start line and with or without the empty line."""
    anomalies = []
    if _CONTROL.search(data):
        anomalies.append("control-characters")
    if data.count(b"\n") != data.count(b"\r\n"):
        anomalies.append("bare-line-feed")
    names: list[bytes] = []
    fields: Fields = {}
    values: list[bytes] = []
    odd: set[str] = set()
    for line in data.split(b"\n", MAX_FIELDS * 2)[: MAX_FIELDS * 2]:
        line = line.rstrip(b"\r")  # noqa: PLW2901 - what ends it is no part of it
        if not line:
            continue
        if line[0] in b" \t":
            odd.add("folded-header")
            if values:
                values[-1] += b" " + line.strip(b" \t")
            continue
        name, colon, value = line.partition(b":")
        if not colon or _TOKEN.fullmatch(name) is None:
            odd.add("bad-header")
            name = name.rstrip(b" \t")
            if not colon or _TOKEN.fullmatch(name) is None:
                continue
        if len(names) == MAX_FIELDS:
            odd.add("many-headers")
            break
        names.append(name)
        values = fields.setdefault(name.lower(), [])
        values.append(value.strip(b" \t"))
    return Headers(names, fields, anomalies + sorted(odd))
