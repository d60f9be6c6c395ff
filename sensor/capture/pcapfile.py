"""Capture files and standard input: read in large blocks and walked without Python objects per packet."""

from __future__ import annotations

import errno
import gzip
import io
import os
import select
import stat
import sys
import zlib
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from common.errors import UserError
from sensor.capture._bpf import FilterProgram
from sensor.capture._walk import CaptureDamaged, CaptureWalker, NotACapture
from sensor.decode._frame import SUPPORTED_LINK_TYPES
from sensor.flow._table import FlowTable

# Faster than mapping the file: the block stays in the cache and costs no page faults.
_BLOCK_BYTES = 1 << 20
_PIPE_WAIT_MS = 100
_ETHERNET = 1
Opener = Callable[[str, int], int]
_UNSUPPORTED = "unknown_link_type"


class CaptureFileError(UserError):
    """A capture that could be read only in part, or not at all; what was read before it counts."""


def check_capture(name: str, expression: str) -> None:
    """Raise CaptureFileError for a capture that cannot be opened, and for what is no filter on any link.

    A pipe is not opened: its writer would notice.
    """
    try:
        if name == "-":
            os.fstat(_standard_input())
        elif not stat.S_ISFIFO(Path(name).stat().st_mode):
            with Path(name).open("rb", buffering=0) as stream:
                stream.read(1)
    except OSError as error:
        raise _unreadable(_shown(name), error) from None
    try:
        FilterProgram(expression, _ETHERNET)
    except ValueError as error:
        if "syntax error" in str(error):
            raise _bad_filter(expression, error) from None


def read_capture(
    name: str, table: FlowTable, expression: str, collect: Callable[[], bool], opener: Opener | None = None
) -> None:
    """Count a capture's packets into ``table``, as ``capture_stretches`` does.

    ``collect`` is called after every stretch to take the table's records; when it returns False the
    rest of the capture is left.  What it raises passes through.
    """
    for _ in capture_stretches(name, table, expression, opener):
        if not collect():
            return


def capture_stretches(
    name: str, table: FlowTable, expression: str, opener: Opener | None = None
) -> Generator[None, None, None]:
    """Count a capture's packets into ``table``; ``-`` is standard input, gzip is unpacked on the way.

    ``opener`` opens the file as io.FileIO's does.  Yields after every stretch, for the table's records to be taken.
    Raises CaptureFileError, after all packets before the damage counted.
    """
    unsupported_before = table.rejected_by_reason().get(_UNSUPPORTED, 0)
    reading = _Reading(name, table, expression, opener)
    with reading:
        left_over = yield from _walk(reading)
    unsupported = table.rejected_by_reason().get(_UNSUPPORTED, 0) - unsupported_before
    _judge(reading, left_over, unsupported)


class _Reading:
    """One capture being read: the stream and its walker, whose errors become CaptureFileError."""

    def __init__(self, name: str, table: FlowTable, expression: str, opener: Opener | None) -> None:
        self.shown = _shown(name)
        self.walker = CaptureWalker(table, expression)
        self._name = name
        self._opener = opener
        self._expression = expression
        self._files = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._stream = self._open()
        except OSError as error:
            self._files.close()
            raise _unreadable(self.shown, error) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def has_data(self) -> bool:
        """Wait a little for a pipe, so that a silent one holds up neither statistics nor a stop."""
        if self._stream.seekable():
            return True
        waiting = select.poll()  # select() takes no descriptor beyond 1023
        waiting.register(self._stream, select.POLLIN)
        return bool(waiting.poll(_PIPE_WAIT_MS))

    def read_into(self, block: memoryview) -> int:
        """Return the number of bytes read; 0 at the end."""
        try:
            if isinstance(self._stream, gzip.GzipFile):
                return self._stream.readinto1(block)  # readinto would lose what comes before damage
            return self._stream.readinto(block) or 0
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CaptureFileError(
                f"{self.shown} cannot be unpacked: {error}; the packets before it were counted"
            ) from None
        except OSError as error:
            raise _unreadable(self.shown, error) from None

    def feed(self, data: memoryview) -> int:
        """Return the number of bytes that the walker took."""
        try:
            return self.walker.feed(data)
        except NotACapture as error:
            raise CaptureFileError(
                f"{self.shown}: {error}; give a pcap or pcapng file, as tcpdump -w writes it"
            ) from None
        except CaptureDamaged as error:
            raise CaptureFileError(f"{self.shown} is damaged: {error}; the packets before it were counted") from None
        except ValueError as error:
            raise _bad_filter(self._expression, error) from None

    def _open(self) -> io.BufferedIOBase | io.RawIOBase:
        if self._name == "-":
            return self._files.enter_context(io.FileIO(_standard_input(), closefd=False))
        stream = self._files.enter_context(io.FileIO(self._name, opener=self._opener))
        packed = False
        if stream.seekable():
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
        return self._files.enter_context(gzip.GzipFile(fileobj=stream)) if packed else stream


def _walk(reading: _Reading) -> Generator[None, None, int]:
    """Feed the stream to the walker; return the number of bytes that made no whole packet."""
    block = bytearray(_BLOCK_BYTES)
    have = 0
    while True:
        if have == len(block):
            # The walker refuses packets and blocks beyond some megabytes.
            block.extend(bytes(len(block)))
        while not reading.has_data():
            yield
        got = reading.read_into(memoryview(block)[have:])
        have += got
        used = 0
        with memoryview(block) as view:
            while True:
                step = reading.feed(view[used:have])
                used += step
                yield
                if step == 0:
                    break
            view[: have - used] = bytes(view[used:have])
        have -= used
        if not got:
            return have


def _shown(name: str) -> str:
    return "standard input" if name == "-" else name


def _standard_input() -> int:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.fileno()


def _unreadable(shown: str, error: OSError) -> CaptureFileError:
    return CaptureFileError(f"cannot read {shown}: {error.strerror or error}; check the path and its permissions")


def _bad_filter(expression: str, error: ValueError) -> CaptureFileError:
    return CaptureFileError(f"bad filter {expression!r}: {error}; see pcap-filter(7)")


def _judge(reading: _Reading, left_over: int, unsupported: int) -> None:
    """Raise CaptureFileError when the capture was empty, cut off or had packets of a link type not decoded."""
    shown, walker = reading.shown, reading.walker
    if not walker.format:
        if left_over == 0:
            raise CaptureFileError(f"{shown} is empty (0 bytes); give a pcap or pcapng file")
        raise CaptureFileError(f"{shown} is cut off inside its file header ({left_over} bytes); copy it again")
    if unsupported:
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
