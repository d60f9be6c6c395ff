"""Lines of a text file, of bounded length and numbered; what is wrong with one stays with that one."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO, Final, NamedTuple

from common.kinds import UINT63_MAX
from common.records import FlowRecord

MAX_LINE_BYTES: Final = 1 << 20


class BadLine(NamedTuple):
    """A line that gave no record, and why."""

    number: int
    reason: str


class LeftOut(NamedTuple):
    """A line that is right and tells of nothing that is kept, and of what."""

    number: int
    what: str


class Row(NamedTuple):
    """A record that a line gave."""

    sensor: str | None
    """Where the line says it is from."""
    record: FlowRecord


class Line(NamedTuple):
    """A line without its end."""

    number: int
    text: str


def numbered_lines(stream: BinaryIO) -> Iterator[Line | BadLine]:
    """Yield the lines that are not empty; one that is too long or not UTF-8 is a BadLine."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(MAX_LINE_BYTES)
            yield BadLine(number, f"longer than {MAX_LINE_BYTES} bytes")
            continue
        try:
            text = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield BadLine(number, "not UTF-8 text")
            continue
        if text.strip():
            yield Line(number, text.removeprefix("\ufeff") if number == 1 else text)


def flow_id_of(*parts: object) -> int:
    """Return a 63-bit id made of content, the same whenever the same content comes again."""
    text = "\x1f".join(map(str, parts))
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & UINT63_MAX
