"""Matches and flows of grep as text that commands no terminal, and as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final, NamedTuple

from common.addresses import address_text, endpoint_text
from common.timespan import iso_time
from sensor.match.stream import Match
from sensor.stream.events import CLIENT, Began

PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_SHOWN_BYTES: Final = 512
_SAFE = "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else "\0" for byte in range(256))


class Context(NamedTuple):
    """What is shown around a match: so many bytes or lines before and after it."""

    before: int = 0
    after: int = 0
    lines: bool = False


def safe_text(data: bytes) -> str:
    r"""Return bytes as ASCII: what is not printable and the backslash itself as \n, \r, \t, \\ or \x00."""
    return "".join(_ESCAPES[byte] for byte in data)


_ESCAPES = [chr(byte) if _SAFE[byte] != "\0" else f"\\x{byte:02x}" for byte in range(256)]
for _byte, _text in ((9, "\\t"), (10, "\\n"), (13, "\\r"), (92, "\\\\")):
    _ESCAPES[_byte] = _text


def around(match: Match, context: Context) -> tuple[bytes, bytes]:
    """Return what is shown before and after a match."""
    if not context.lines:
        return match.before[-context.before :] if context.before else b"", match.after[: context.after]
    before, after = match.before.split(b"\n"), match.after.split(b"\n")
    # The rest of the match's own lines belongs to it.
    return b"\n".join(before[-context.before - 1 :]), b"\n".join(after[: context.after + 1])


def match_line(began: Began, direction: int, time_ns: int, match: Match, context: Context) -> str:
    """Return a match as lines for people."""
    shown = safe_text(match.data[:_SHOWN_BYTES])
    rest = len(match.data) - _SHOWN_BYTES
    more = f" and {rest} bytes" if rest > 0 else ""
    head = (
        f"{iso_time(time_ns)} {_client(began)} {'>' if direction == CLIENT else '<'} {_server(began)} "
        f"{protocol_name(began.protocol)} +{match.offset} {safe_text(match.pattern.name.encode())}: {shown}{more}\n"
    )
    if not (context.before or context.after):
        return head
    before, after = around(match, context)
    lines = (before + match.data + after).split(b"\n")
    return head + "".join(f"    {safe_text(line.removesuffix(bytes([13])))}\n" for line in lines)


def match_json(began: Began, direction: int, time_ns: int, match: Match, context: Context) -> str:
    """Return a match as one JSON object on a line."""
    row: dict[str, Any] = {
        "time": iso_time(time_ns),
        **_flow(began),
        "direction": "client" if direction == CLIENT else "server",
        "offset": match.offset,
        "pattern": match.pattern.name,
        "text": safe_text(match.data),
        "base64": b64encode(match.data).decode(),
    }
    if context.before or context.after:
        before, after = around(match, context)
        row |= {"before": safe_text(before), "after": safe_text(after)}
    return _line(row)


def unmatched_line(began: Began, bytes_out: int, bytes_in: int) -> str:
    """Return a flow without a match as a line for people."""
    return (
        f"{iso_time(began.time_ns)} {_client(began)} > {_server(began)} {protocol_name(began.protocol)} "
        f"no match in {bytes_out} bytes out, {bytes_in} bytes in\n"
    )


def unmatched_json(began: Began, bytes_out: int, bytes_in: int) -> str:
    """Return a flow without a match as one JSON object on a line."""
    return _line({"time": iso_time(began.time_ns), **_flow(began), "bytes_out": bytes_out, "bytes_in": bytes_in})


def protocol_name(number: int) -> str:
    """Return a protocol's name, or its number."""
    return PROTOCOLS.get(number, str(number))


def _flow(began: Began) -> dict[str, Any]:
    return {"client": _client(began), "server": _server(began), "protocol": protocol_name(began.protocol)}


def _client(began: Began) -> str:
    return endpoint_text(address_text(began.client_ip), began.client_port)


def _server(began: Began) -> str:
    return endpoint_text(address_text(began.server_ip), began.server_port)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
