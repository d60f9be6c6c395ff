"""What the messages of a WebSocket are: compressed ones inflated, and a shell's prompt found in strings of JSON."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Final

from sensor.inspect._identify import name_of

SHELLS: Final = ("unix-shell", "windows-shell")
MOST_BYTES: Final = 4096
"""Of inflated messages, and of one string: a few bytes may stand for very many."""
_SHORTEST_PROMPT: Final = 4
_RAW_DEFLATE: Final = -15
_FROM_SERVER: Final = 1
_decoder = json.JSONDecoder()


def inflated(stream: bytes) -> bytes:
    """Return what compressed messages stand for, as far as they are whole (RFC 7692, 7.2.2)."""
    try:
        return zlib.decompressobj(_RAW_DEFLATE).decompress(stream, MOST_BYTES)
    except zlib.error:
        return b""


def shell_in(messages: bytes) -> str | None:
    """Return the name of a shell whose prompt is a string in JSON messages: terminals in browsers talk so.

    Numbers before a message, as Socket.IO has them, are passed over.
    """
    for text in _strings(messages.decode("utf-8", "replace")):
        if len(text) >= _SHORTEST_PROMPT:
            name = name_of(text[:MOST_BYTES].encode("utf-8", "replace"), direction=_FROM_SERVER)
            if name in SHELLS:
                return name
    return None


def _strings(text: str) -> Iterator[str]:
    """Yield the strings in JSON values that follow each other, to the first thing that is none."""
    at = 0
    while at < len(text):
        while at < len(text) and text[at] in "0123456789 \r\n":
            at += 1
        try:
            value, at = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                yield value
            elif isinstance(value, list):
                waiting.extend(reversed(value))
            elif isinstance(value, dict):
                waiting.extend(reversed(value.values()))
