"""Text of strangers, made fit for a terminal or a line."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with everything that could command a terminal shown as an escape."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
