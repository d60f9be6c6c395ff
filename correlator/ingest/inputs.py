"""Opens what can be imported: files, standard input, and either of them compressed with gzip."""

from __future__ import annotations

import gzip
import io
import mmap
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from common.errors import UserError
from correlator.ingest.formats.detect import GZIP_MAGIC, HEAD_BYTES, Format, detect_format

STDIN: Final = "-"


class Input(NamedTuple):
    """An open input whose format is known."""

    name: str
    format: Format
    stream: BinaryIO
    raw: BinaryIO
    """The stream below decompression: its position over the size is how far reading is."""
    size: int | None


@contextmanager
def opened(name: str) -> Iterator[Input]:
    """Open a path, or ``-`` for standard input; UserError in one line when it cannot be read."""
    label = "standard input" if name == STDIN else name
    try:
        with _raw(name) as raw:
            buffered = io.BufferedReader(cast(io.RawIOBase, raw), HEAD_BYTES)
            stream: BinaryIO = buffered
            if buffered.peek(2)[:2] == GZIP_MAGIC:
                stream = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=buffered)), HEAD_BYTES)
            head = cast(io.BufferedReader, stream).peek(HEAD_BYTES)
            yield Input(label, detect_format(head, label), stream, raw, _size(name))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{label}: the gzip data is damaged or cut off ({error}); what came before is kept") from None
    except OSError as error:
        raise UserError(f"cannot read {label}: {error.strerror or error}; check the path and its permissions") from None


@contextmanager
def mapped(source: Input) -> Iterator[memoryview]:
    """Give the bytes of an input without holding them in memory: a pipe goes to a temporary file first."""
    with tempfile.TemporaryFile() as copy:
        file: BinaryIO = source.raw
        if source.size is None or _is_gzip(source):
            shutil.copyfileobj(source.stream, copy)
            copy.flush()
            file = cast(BinaryIO, copy)
        # The map goes with the last slice of it: closing it here would fail while an error still holds one.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _is_gzip(source: Input) -> bool:
    return isinstance(getattr(source.stream, "raw", None), gzip.GzipFile)


@contextmanager
def _raw(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield cast(BinaryIO, io.FileIO(sys.stdin.fileno(), closefd=False))
        return
    with Path(name).open("rb", buffering=0) as file:
        yield cast(BinaryIO, file)


def _size(name: str) -> int | None:
    if name == STDIN:
        return None
    path = Path(name)
    return path.stat().st_size if path.is_file() else None
