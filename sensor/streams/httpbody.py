"""Bodies of HTTP/1 messages taken out of streams while they are written: chunks joined, compression undone."""

from __future__ import annotations

import hashlib
import mimetypes
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Protocol

from common.errors import UserError
from sensor.streams.files import OutputFile, OutputFiles
from sensor.streams.report import Body

MAX_BODY_BYTES: Final = 256 << 20
"""Of one body when it is decoded: a few bytes may stand for very many."""
MAX_BODIES: Final = 10_000
"""Of one stream."""
MAX_HEADER_BYTES: Final = 1 << 20
"""Of one message, chunk headers among them, without a byte of a body."""
_CHUNK = 1 << 16
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
_LONGEST_METHOD = max(map(len, _METHODS))
# Without the system's own tables, so that a name is the same everywhere.
_TYPES = mimetypes.MimeTypes()


class Decoder(Protocol):
    """What undoes a compression."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what the bytes stand for, a little at a time; ValueError when they are damaged."""


class Bodies:
    """Writes the bodies of all streams of a run beside the streams' files."""

    def __init__(self, files: OutputFiles, *, decode: bool = True, digest: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._parsers = _httptools()
        self._files = files
        self._decode = decode
        self._digest = digest
        self._streams: dict[str, _Stream] = {}
        self._done: dict[str, list[Body]] = {}

    def data(self, name: str, start_ns: int, _direction: int, data: bytes) -> None:
        """Take bytes of a stream."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = _Stream(self, name, start_ns)
        stream.feed(data)

    def gap(self, name: str, _length: int) -> None:
        """Give up a stream with bytes missing: where the next message begins is not known."""
        if name in self._streams:
            self._streams[name].give_up()

    def done(self, name: str) -> None:
        """Finish with a stream."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            stream.end()
            if stream.bodies:
                self._done[name] = stream.bodies

    def of(self, name: str | None) -> list[Body]:
        """Return the bodies of a stream that is done; once."""
        return self._done.pop(name, []) if name is not None else []

    def parser(self, start: bytes, stream: _Stream) -> Any:
        """Return what parses a stream that starts so, or None when that is no HTTP."""
        requests, responses, _ = self._parsers
        if start.startswith(b"HTTP/1."):
            return responses(stream)
        return requests(stream) if start.startswith(_METHODS) else None

    def body(self, stream: _Stream, number: int) -> _Writing:
        """Begin a body."""
        self.counts["bodies"] += 1
        encoding = stream.headers.get(b"content-encoding", b"").strip().lower()
        kind = stream.headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
        extension = _TYPES.guess_extension(kind) or ".bin"
        base = f"{stream.name}-HTTPBODY-{number:03}"
        decoder = decoder_of(encoding) if self._decode else None
        file = self._files.create(lambda again: f"{base}c{again}{extension}" if again else f"{base}{extension}")
        return _Writing(self._files, file, decoder, self.counts, digest=self._digest)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What parsers raise."""
        return self._parsers[2]


class _Stream:
    """One stream; its methods that begin with ``on_`` are called by the parser."""

    def __init__(self, owner: Bodies, name: str, start_ns: int) -> None:
        self.name = name
        self.bodies: list[Body] = []
        self.headers: dict[bytes, bytes] = {}
        self._owner = owner
        self._start_ns = start_ns
        self._start = b""
        self._parser: Any = None
        self._over = False
        self._since_body = 0
        self._number = 0
        self._writing: _Writing | None = None
        self._failure: UserError | None = None

    def feed(self, data: bytes) -> None:
        if self._over:
            return
        if self._parser is None:
            self._start += data
            self._parser = self._owner.parser(self._start, self)
            if self._parser is None:
                self._over = len(self._start) >= _LONGEST_METHOD
                return
            data, self._start = self._start, b""
        for start in range(0, len(data), _CHUNK):
            part = data[start : start + _CHUNK]
            self._since_body += len(part)
            try:
                self._parser.feed_data(part)
            except self._owner.errors:
                if self._failure is not None:
                    raise self._failure from None
                # Another protocol after an upgrade, or no HTTP any more.
                self.give_up()
            if self._since_body > MAX_HEADER_BYTES:
                self.give_up()
            if self._is_over():
                return

    def _is_over(self) -> bool:
        return self._over  # what the parser called may have ended it

    def give_up(self) -> None:
        """Look at no more of this stream."""
        if self._writing is not None:
            self._owner.counts["bodies_cut_short"] += 1
        self.end()

    def end(self) -> None:
        self._over = True
        self._parser = None
        self._start = b""
        if self._writing is not None:
            self.on_message_complete()

    def on_message_begin(self) -> None:
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in (b"content-encoding", b"content-type"):
            self.headers[name] = value

    def on_body(self, data: bytes) -> None:
        self._since_body = 0
        try:
            if self._writing is None:
                if self._number >= MAX_BODIES:
                    self._owner.counts["bodies_dropped"] += 1
                    self._over = True
                    return
                self._number += 1
                self._writing = self._owner.body(self, self._number)
            self._writing.write(data)
        except UserError as error:
            # The parser puts an error of its own in its place.
            self._failure = error
            raise

    def on_message_complete(self) -> None:
        self._since_body = 0
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                self.bodies.append(writing.finish(self._start_ns))
            except UserError as error:
                self._failure = error
                raise


class _Writing:
    """One body being written."""

    def __init__(
        self, files: OutputFiles, file: OutputFile, decoder: Decoder | None, counts: Counter[str], *, digest: bool
    ) -> None:
        self._files = files
        self._file = file
        self._decoder = decoder
        self._counts = counts
        self._digest = hashlib.md5(usedforsecurity=False) if digest else None
        self._over = False

    def write(self, data: bytes) -> None:
        if self._over:
            return
        if self._decoder is None:
            self._put(data)
            return
        before = self._file.size
        try:
            for part in self._decoder.decode(data):
                if not self._put(part):
                    return
        except ValueError:
            self._counts["bodies_damaged"] += 1
            self._decoder = None
            if self._file.size == before == 0:
                self._put(data)  # it is not what its header says
            else:
                self._over = True

    def finish(self, time_ns: int) -> Body:
        self._files.finish(self._file, time_ns)
        return Body(self._file.name, self._file.size, None if self._digest is None else self._digest.hexdigest())

    def _put(self, data: bytes) -> bool:
        """Write bytes; return whether more may follow."""
        room = MAX_BODY_BYTES - self._file.size
        if len(data) > room:
            self._counts["bodies_cut_short"] += not self._over
            self._over = True
            data = data[:room]
        if data:
            self._files.append(self._file, data)
            if self._digest is not None:
                self._digest.update(data)
        return not self._over


class _Zlib:
    """gzip in one member or several, and deflate with zlib's header or, as some servers send it, without."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._inner = zlib.decompressobj(bits)
        self._start: bytes | None = b"" if bits == zlib.MAX_WBITS else None

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._start is not None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            self._start = None
            if data[0] & 0x0F != 8 or int.from_bytes(data[:2]) % 31:  # RFC 1950
                self._bits = -zlib.MAX_WBITS
                self._inner = zlib.decompressobj(self._bits)
        more = True
        while more:
            try:
                out = self._inner.decompress(data, _CHUNK)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            if out:
                yield out
            if self._inner.eof:
                data = self._inner.unused_data
                if self._bits <= zlib.MAX_WBITS or not data.startswith(b"\x1f\x8b"):
                    return
                self._inner = zlib.decompressobj(self._bits)
            else:
                data = self._inner.unconsumed_tail
                more = bool(data) or len(out) == _CHUNK


class _Brotli:
    """Brotli, by its own library."""

    def __init__(self, library: Any) -> None:
        self._inner = library.Decompressor()
        self._error = library.error

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            yield self._inner.process(data, output_buffer_limit=_CHUNK)
            while not self._inner.can_accept_more_data():
                yield self._inner.process(b"", output_buffer_limit=_CHUNK)
        except self._error as error:
            raise ValueError(str(error)) from None


def decoder_of(encoding: bytes) -> Decoder | None:
    """Return what undoes a Content-Encoding; None for one that is none or not known, whose bytes stay as they are."""
    if encoding in (b"gzip", b"x-gzip"):
        return _Zlib(zlib.MAX_WBITS | 16)
    if encoding == b"deflate":
        return _Zlib(zlib.MAX_WBITS)
    if encoding == b"br":
        try:
            import brotli  # noqa: PLC0415 - of the extra http
        except ImportError:
            return None
        return _Brotli(brotli)
    return None


def _httptools() -> tuple[Any, Any, tuple[type[Exception], ...]]:
    """Return the parser of requests, that of responses, and what they raise."""
    try:
        import httptools  # noqa: PLC0415 - of the extra http
    except ImportError:
        raise UserError("HTTP bodies need the extra http; install it with pip install 'tunnelwatch[http]'") from None
    errors = (httptools.HttpParserError, httptools.HttpParserUpgrade)
    return httptools.HttpRequestParser, httptools.HttpResponseParser, errors
