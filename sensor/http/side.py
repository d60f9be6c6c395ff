"""One direction of an HTTP/1 connection: bytes into messages.

Heads are collected up to their empty line; the bytes of bodies are only counted, so that whoever hands them over may
leave them out.  Where it is not known any more where the next message begins, bytes are passed over until a piece
begins like one.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol

from sensor.http.exchange import Exchange
from sensor.http.framing import LONGEST_CHUNK_LINE, LONGEST_TRAILER, Body, chunk_size
from sensor.http.head import end_of_head, may_be_request, may_be_response
from sensor.stream.events import CLIENT

MAX_HEAD_BYTES: Final = 64 << 10
MAX_LOST_BYTES: Final = 256 << 10
"""Within which another message is looked for."""
MAX_HELD_BYTES: Final = 16 << 10
"""What a client sent before the answer to its CONNECT or Upgrade."""
_EMPTY_LINES: Final = b"\r\n"


class Mode(Enum):
    """What the next bytes are."""

    HEAD = auto()
    FIXED = auto()
    """A body whose length is known, or a chunk."""
    CHUNK_END = auto()
    CHUNK_SIZE = auto()
    TRAILER = auto()
    UNTIL_CLOSE = auto()
    HELD = auto()
    """Whatever the answer to CONNECT or Upgrade makes of them."""
    LOST = auto()
    GONE = auto()
    """Lost for so long that nobody looks any more."""
    OVER = auto()
    """Of no interest."""


class Owner(Protocol):
    """Who is told what a direction holds."""

    def head(self, direction: int, data: bytes, start_ns: int, cut: str = "") -> tuple[Exchange, Body] | None:
        """Take a head; return what its body counts for and how it ends, None when it was no head."""

    def over(self, direction: int, exchange: Exchange, time_ns: int) -> None:
        """Take note that a message is over."""

    def junk(self, direction: int, time_ns: int) -> Exchange | None:
        """Take note of bytes that are no message; return what they count for, if anything."""


class Side:
    """The state of one direction."""

    __slots__ = (
        "_chunked",
        "_direction",
        "_owner",
        "_scanned",
        "_started_ns",
        "buffer",
        "exchange",
        "left",
        "lost_bytes",
        "missed",
        "mode",
        "position",
    )

    def __init__(self, owner: Owner, direction: int) -> None:
        self._owner = owner
        self._direction = direction
        self._scanned = 0
        self._started_ns = 0
        self._chunked = False
        self.position = 0
        """Offset of the next byte in the stream."""
        self.buffer = bytearray()
        self.mode = Mode.HEAD
        self.left = 0
        """Of the body, or of the chunk."""
        self.exchange: Exchange | None = None
        """What the body counts for."""
        self.lost_bytes = 0
        """Since it is not known where the next message begins."""
        self.missed = False
        """Whether that is for bytes that nobody saw."""

    def data(self, offset: int, time_ns: int, data: bytes) -> None:
        """Take bytes of the stream; those left out before them are made up for."""
        if offset > self.position:
            self.pass_over(offset - self.position, time_ns)
        self.position = offset + len(data)
        if self.mode is Mode.LOST:
            self.lost_bytes += len(data)
            if self.lost_bytes > MAX_LOST_BYTES:
                self.mode = Mode.GONE
            else:
                self._look_for_start(time_ns, data)
        start = 0
        while start < len(data):
            start = self._step(data, start, time_ns)

    def pass_over(self, length: int, time_ns: int, *, gap: bool = False) -> None:
        """Take note of bytes that were not handed over: because nobody wants them, or because nobody saw them."""
        self.position += length
        if gap and self.exchange is not None:
            self.exchange.anomalies.add("gap")
        if self.mode is Mode.FIXED and length <= self.left:
            self._count(length, time_ns)
            self.left -= length
            if not self.left:
                self._fixed_over(time_ns)
        elif self.mode in (Mode.UNTIL_CLOSE, Mode.OVER, Mode.LOST, Mode.GONE):
            self._count(length, time_ns)
        else:
            self.lose(time_ns, gap=True)

    def hold(self) -> None:
        """Keep what comes until the answer is there."""
        self.mode = Mode.HELD

    def go_on(self, time_ns: int) -> None:
        """Read what was held as messages."""
        held = bytes(self.buffer)
        self.buffer.clear()
        self.mode = Mode.HEAD
        start = 0
        while start < len(held):
            start = self._step(held, start, time_ns)

    def answer_without_head(self, exchange: Exchange) -> None:
        """Take all that follows for the body of an exchange, as in HTTP/0.9."""
        self.mode = Mode.UNTIL_CLOSE
        self.exchange = exchange

    def stop(self) -> None:
        """Look at nothing more."""
        self.mode = Mode.OVER
        self.exchange = None
        self.buffer = bytearray()

    def lose(self, time_ns: int, *, gap: bool) -> None:
        """Give up the message that was going on."""
        exchange, self.exchange = self.exchange, None
        self.buffer = bytearray()
        self.mode = Mode.LOST
        self.missed = gap
        if exchange is not None:
            if gap:
                exchange.anomalies.add("gap")
            self._owner.over(self._direction, exchange, time_ns)

    def end(self) -> Exchange | None:
        """Take note that the stream is over; return the exchange whose body that cuts off."""
        if self.mode is Mode.HEAD and self.buffer:
            head = bytes(self.buffer)
            self.buffer = bytearray()
            self._owner.head(self._direction, head, self._started_ns, "cut-head")
            return None
        if self.mode in (Mode.FIXED, Mode.CHUNK_END, Mode.CHUNK_SIZE, Mode.TRAILER):
            return self.exchange
        if self.exchange is not None:
            self._owner.over(self._direction, self.exchange, self.exchange.end_ns)
        return None

    # -- steps: each returns the place of the first byte that it did not take -----------------------

    def _step(self, data: bytes, start: int, time_ns: int) -> int:
        if self.mode is Mode.FIXED:
            taken = min(self.left, len(data) - start)
            self._count(taken, time_ns)
            self.left -= taken
            if not self.left:
                self._fixed_over(time_ns)
            return start + taken
        if self.mode is Mode.HEAD:
            return self._head(data, start, time_ns)
        if self.mode is Mode.CHUNK_SIZE or self.mode is Mode.CHUNK_END:
            return self._chunk_line(data, start, time_ns)
        if self.mode is Mode.TRAILER:
            return self._trailer(data, start, time_ns)
        if self.mode is Mode.HELD:
            self.buffer += data[start:]
            if len(self.buffer) > MAX_HELD_BYTES:
                self.stop()
            return len(data)
        self._count(len(data) - start, time_ns)
        return len(data)

    def _head(self, data: bytes, start: int, time_ns: int) -> int:
        buffer = self.buffer
        if not buffer:
            while start < len(data) and data[start] in _EMPTY_LINES:  # RFC 9112, 2.2
                start += 1
            if start == len(data):
                return start
            self._started_ns = time_ns
            self._scanned = 0
        room = MAX_HEAD_BYTES - len(buffer)
        before = len(buffer)
        buffer += data[start : start + room]
        if not self._scanned and not self._may_begin(buffer):
            buffer.clear()
            self._junk(time_ns)
            return start
        end = self._old_end(buffer) if self._direction == CLIENT else -1
        if end < 0:
            end = end_of_head(buffer, self._scanned)
        self._scanned = len(buffer)
        if end < 0:
            if len(buffer) < MAX_HEAD_BYTES:
                return len(data)
            end = len(buffer)
            self._take_head(bytes(buffer), time_ns, too_long=True)
            return start + end - before
        head = bytes(buffer[:end])
        self._take_head(head, time_ns)
        return start + end - before

    def _may_begin(self, buffer: bytearray) -> bool:
        return may_be_request(buffer) if self._direction == CLIENT else may_be_response(buffer)

    @staticmethod
    def _old_end(buffer: bytearray) -> int:
        """Return where a request of HTTP/0.9 ends, which is its line and nothing else; -1 for others."""
        if not buffer.startswith(b"GET /"):
            return -1
        line = buffer.find(b"\n")
        return line + 1 if line >= 0 and b" HTTP/" not in buffer[:line] else -1

    def _take_head(self, head: bytes, time_ns: int, *, too_long: bool = False) -> None:
        self.buffer = bytearray()
        found = self._owner.head(self._direction, head, self._started_ns, "long-head" if too_long else "")
        if self.mode is not Mode.HEAD:  # the owner stopped or holds this direction
            return
        if found is None:
            self.mode = Mode.LOST
            return
        self.exchange, body = found
        self.exchange.end_ns = max(self.exchange.end_ns, time_ns)
        if too_long:
            self.lose(time_ns, gap=False)
            return
        self._chunked = body.chunked
        if body.chunked:
            self.mode = Mode.CHUNK_SIZE
        elif body.length is None:
            self.mode = Mode.UNTIL_CLOSE
        elif body.length:
            self.mode = Mode.FIXED
            self.left = body.length
        else:
            self._message_over(time_ns)

    def _fixed_over(self, time_ns: int) -> None:
        if self._chunked:
            self.mode = Mode.CHUNK_END
        else:
            self._message_over(time_ns)

    def _message_over(self, time_ns: int) -> None:
        exchange, self.exchange = self.exchange, None
        self.mode = Mode.HEAD
        if exchange is not None:
            self._owner.over(self._direction, exchange, time_ns)

    def _line(self, data: bytes, start: int, most: int) -> tuple[bytes | None, int]:
        """Return (the next line without its line feed, or None, and the place behind what was taken)."""
        end = data.find(b"\n", start)
        if end < 0 or len(self.buffer) > most:
            self.buffer += data[start : start + most + 1]
            return None, len(data)
        line = bytes(self.buffer) + data[start:end]
        self.buffer.clear()
        return line, end + 1

    def _chunk_line(self, data: bytes, start: int, time_ns: int) -> int:
        line, behind = self._line(data, start, LONGEST_CHUNK_LINE)
        if line is None:
            if len(self.buffer) > LONGEST_CHUNK_LINE:
                self._bad_chunk(time_ns)
            return behind
        if self.mode is Mode.CHUNK_END:
            self.mode = Mode.CHUNK_SIZE
            if line not in (b"", b"\r"):
                self._bad_chunk(time_ns)
            return behind
        size = chunk_size(line)
        if size is None:
            self._bad_chunk(time_ns)
        elif size:
            self.mode = Mode.FIXED
            self.left = size
        else:
            self.mode = Mode.TRAILER
            self.left = LONGEST_TRAILER
        return behind

    def _trailer(self, data: bytes, start: int, time_ns: int) -> int:
        line, behind = self._line(data, start, self.left)
        if line is None:
            if len(self.buffer) > self.left:
                self._bad_chunk(time_ns)
        elif line in (b"", b"\r"):
            self._message_over(time_ns)
        else:
            self.left -= len(line) + 1
            if self.left <= 0:
                self._bad_chunk(time_ns)
        return behind

    def _bad_chunk(self, time_ns: int) -> None:
        if self.exchange is not None:
            self.exchange.anomalies.add("bad-chunk")
        self.lose(time_ns, gap=False)

    # -- bytes that are no message ---------------------------------------------------------------

    def _junk(self, time_ns: int) -> None:
        self.mode = Mode.LOST
        exchange = self._owner.junk(self._direction, time_ns)
        if self.mode is Mode.LOST:  # the owner may have stopped it
            self.exchange = exchange

    def _look_for_start(self, time_ns: int, data: bytes) -> None:
        first = data.lstrip(_EMPTY_LINES)[:MAX_HEAD_BYTES]
        if b"\n" in first and self._may_begin(bytearray(first)):
            self.lose(time_ns, gap=False)
            self.mode = Mode.HEAD
            self.lost_bytes = 0

    def _count(self, length: int, time_ns: int) -> None:
        if self.exchange is not None:
            self.exchange.body_bytes[self._direction] += length
            self.exchange.end_ns = max(self.exchange.end_ns, time_ns)
