"""Blocks of records into numbered frames of the flow log; pure, the caller says what time it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from common.flowlog import MAX_BATCH_RECORDS, Batch, Block, encode_block, encode_frame, header_batch
from common.records import HttpExchange, SensorAlarm, SensorStats

MAX_EXCHANGES: Final = 256
"""HTTP exchanges of a frame: the largest have 16 KiB."""


class NumberedFrame(NamedTuple):
    """A frame ready for disk and wire."""

    sequence: int
    data: bytes


class Batcher:
    """Numbers frames from 1 within a run, and says when records that wait for a fuller frame waited enough."""

    def __init__(self, sensor: str, run: int, flush_ns: int) -> None:
        self._sensor = sensor
        self.run = run
        self._flush_ns = flush_ns
        self._waiting_since_ns: int | None = None
        self._exchanges: list[HttpExchange] = []
        self._exchanges_since_ns = 0
        self._sequence = 0

    def header(self, now_ns: int) -> bytes:
        """Return the frame that opens each file and connection of this run."""
        return encode_frame(header_batch(self._sensor, self.run, now_ns))

    def is_due(self, now_ns: int, *, waiting: bool) -> bool:
        """Tell whether records that wait are to go out now, in a frame that is not full."""
        if not waiting:
            self._waiting_since_ns = None
        elif self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns
        return self._waiting_since_ns is not None and now_ns - self._waiting_since_ns >= self._flush_ns

    def flows(self, blocks: Sequence[Block]) -> list[NumberedFrame]:
        """Return the frames of flow records, one a block."""
        if blocks:
            self._waiting_since_ns = None
        return [self._block_frame(block) for block in blocks]

    def alarms(self, alarms: Sequence[SensorAlarm]) -> list[NumberedFrame]:
        """Return the frames of threshold alarms; they do not wait."""
        frames = []
        for start in range(0, len(alarms), MAX_BATCH_RECORDS):
            part = alarms[start : start + MAX_BATCH_RECORDS]
            times = [alarm.time_ns for alarm in part]
            frames.append(self._frame("alarm", min(times), max(times), part))
        return frames

    def exchanges(
        self, exchanges: Sequence[HttpExchange], now_ns: int, *, everything: bool = False
    ) -> list[NumberedFrame]:
        """Return the frames of HTTP exchanges that fill one, waited enough, or are to go now in any case."""
        waiting = self._exchanges
        if exchanges and not waiting:
            self._exchanges_since_ns = now_ns
        waiting += exchanges
        everything = everything or now_ns - self._exchanges_since_ns >= self._flush_ns
        frames = []
        while waiting and (everything or len(waiting) >= MAX_EXCHANGES):
            part = waiting[:MAX_EXCHANGES]
            del waiting[:MAX_EXCHANGES]
            first_ns = min(exchange.start_ns for exchange in part)
            frames.append(self._frame("http", first_ns, max(exchange.end_ns for exchange in part), part))
        if frames:
            self._exchanges_since_ns = now_ns
        return frames

    def statistics(self, stats: SensorStats) -> NumberedFrame:
        """Return the frame of one statistics record."""
        return self._frame("stats", stats.time_ns, stats.time_ns, [stats])

    def _block_frame(self, block: Block) -> NumberedFrame:
        data = encode_block("flow", self._sensor, self.run, self._sequence + 1, block)
        self._sequence += 1
        return NumberedFrame(self._sequence, data)

    def _frame(self, kind: str, first_ns: int, last_ns: int, records: Sequence[Any]) -> NumberedFrame:
        data = encode_frame(Batch(kind, self._sensor, self.run, self._sequence + 1, first_ns, last_ns, records))
        self._sequence += 1
        return NumberedFrame(self._sequence, data)
