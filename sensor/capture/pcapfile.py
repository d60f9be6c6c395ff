"""Capture files and standard input: read in large blocks and walked without Python objects per packet."""

from __future__ import annotations

import gzip
import io
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import UserError
from sensor.capture._walk import CaptureDamaged, CaptureWalker, NotACapture
from sensor.decode._frame import SUPPORTED_LINK_TYPES
from sensor.flow._table import FlowTable

# Faster than mapping the file: the block stays in the cache and costs no page faults.
_BLOCK_BYTES = 1 << 20
_MAX_BLOCK_BYTES = 64 << 20
_PIPE_WAIT_S = 0.1


class CaptureFileError(UserError):
    """A capture that could be read only in part, or not at all; what was read before it counts."""


def read_capture(name: str, table: FlowTable, expression: str, collect: Callable[[], bool]) -> None:
    """Count a capture's packets into ``table``; ``-`` is standard input, gzip is unpacked on the way.

    ``collect`` is called after every stretch to take the table's records; when it returns False the
    rest of the capture is left.  Raises CaptureFileError, after all packets before the damage counted.
    """
    shown = "standard input" if name == "-" else name
    walker = CaptureWalker(table, expression)
    try:
        with _open(name) as stream:
            left_over = _walk(stream, walker, collect)
    except NotACapture as error:
        raise CaptureFileError(f"{shown}: {error}; give a pcap or pcapng file, as tcpdump -w writes it") from None
    except CaptureDamaged as error:
        raise CaptureFileError(f"{shown} is damaged: {error}; the packets before it were counted") from None
    except ValueError as error:
        raise CaptureFileError(f"bad filter {expression!r}: {error}; see pcap-filter(7)") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise CaptureFileError(f"{shown} cannot be unpacked: {error}; the packets before it were counted") from None
    except OSError as error:
        raise CaptureFileError(
            f"cannot read {shown}: {error.strerror or error}; check the path and its permissions"
        ) from None
    _judge(shown, walker, left_over)


@contextmanager
def _open(name: str) -> Iterator[io.BufferedIOBase | io.RawIOBase]:
    if name == "-":
        yield io.FileIO(sys.stdin.fileno(), closefd=False)
        return
    with Path(name).open("rb", buffering=0) as stream:
        packed = False
        if stream.seekable():
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
        if not packed:
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield unpacked


def _walk(stream: io.BufferedIOBase | io.RawIOBase, walker: CaptureWalker, collect: Callable[[], bool]) -> int:
    """Feed the stream to the walker; return the number of bytes that made no whole packet."""
    block = bytearray(_BLOCK_BYTES)
    have = 0
    while True:
        if have == len(block):
            if len(block) >= _MAX_BLOCK_BYTES:
                return have
            block.extend(bytes(len(block)))
        while not _has_data(stream):
            if not collect():
                return 0
        got = stream.readinto(memoryview(block)[have:])
        have += got or 0
        used = 0
        with memoryview(block) as view:
            while True:
                step = walker.feed(view[used:have])
                used += step
                if not collect():
                    return 0
                if step == 0:
                    break
            view[: have - used] = bytes(view[used:have])
        have -= used
        if not got:
            return have


def _has_data(stream: io.BufferedIOBase | io.RawIOBase) -> bool:
    """Wait a little for a pipe, so that a silent one holds up neither statistics nor a stop."""
    if stream.seekable():
        return True
    return bool(select.select([stream], [], [], _PIPE_WAIT_S)[0])


def _judge(shown: str, walker: CaptureWalker, left_over: int) -> None:
    """Raise CaptureFileError when the capture was empty, cut off or of a link type not decoded."""
    if not walker.format:
        if left_over == 0:
            raise CaptureFileError(f"{shown} is empty (0 bytes); give a pcap or pcapng file")
        raise CaptureFileError(f"{shown} is cut off inside its file header ({left_over} bytes); copy it again")
    if walker.unknown_link_types:
        numbers = ", ".join(str(number) for number in sorted(walker.unknown_link_types))
        known = ", ".join(f"{name} ({number})" for number, name in SUPPORTED_LINK_TYPES.items())
        raise CaptureFileError(
            f"{shown}: link type {numbers} is not supported, its packets were rejected; known are {known}"
        )
    if left_over:
        raise CaptureFileError(
            f"{shown} is cut off in a packet at offset {walker.offset} ({left_over} bytes left); "
            "the packets before it were counted"
        )
