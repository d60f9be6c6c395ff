"""Bytes from the wire as text that records take: printable ASCII, the rest escaped, and of a bounded length."""

from __future__ import annotations

from typing import Final

LONGEST_VALUE: Final = 255
LONGEST_NAME: Final = 64


def wire_text(value: bytes, limit: int = LONGEST_VALUE) -> str:
    r"""Return bytes as text of at most so many characters; what is not printable ASCII becomes ``\xNN``."""
    if value.isascii() and (text := value[:limit].decode("ascii")).isprintable():  # as most are
        return text
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in value[:limit])[:limit]
