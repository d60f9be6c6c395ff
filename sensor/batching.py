"""Records into numbered frames of the flow log; pure, the caller says what time it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from common.flowlog import MAX_BATCH_RECORDS, Batch, encode_frame, header_batch
from common.records import FlowRecord, SensorAlarm, SensorStats

_START_AT = FlowRecord._fields.index("start_ns")
_END_AT = FlowRecord._fields.index("end_ns")


class NumberedFrame(NamedTuple):
    """A frame ready for disk and wire."""

    sequence: int
    data: bytes


class Batcher:
    """Collects flow rows until a frame is worth writing, and numbers frames from 1 within a run."""

    def __init__(self, sensor: str, run: int, batch_records: int, flush_ns: int) -> None:
        self._sensor = sensor
        self.run = run
        self._batch_records = batch_records
        self._flush_ns = flush_ns
        self._flows: list[tuple[Any, ...]] = []
        self._waiting_since_ns: int | None = None
        self._sequence = 0

    def header(self, now_ns: int) -> bytes:
        """Return the frame that opens each file and connection of this run."""
        return encode_frame(header_batch(self._sensor, self.run, now_ns))

    def add_flows(self, rows: Sequence[tuple[Any, ...]], now_ns: int) -> list[NumberedFrame]:
        """Take flow rows; return the frames that became full."""
        self._flows.extend(rows)
        if self._flows and self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns
        frames = []
        while len(self._flows) >= self._batch_records:
            frames.extend(self._flow_frames(self._flows[: self._batch_records]))
            del self._flows[: self._batch_records]
            self._waiting_since_ns = now_ns if self._flows else None
        return frames

    def due(self, now_ns: int) -> list[NumberedFrame]:
        """Return the frame of rows that have waited long enough, if any."""
        if self._waiting_since_ns is None or now_ns - self._waiting_since_ns < self._flush_ns:
            return []
        return self.flush()

    def flush(self) -> list[NumberedFrame]:
        """Return the frame of all rows that still wait, if any."""
        self._waiting_since_ns = None
        if not self._flows:
            return []
        frames = self._flow_frames(self._flows)
        self._flows = []
        return frames

    def alarms(self, alarms: Sequence[SensorAlarm]) -> list[NumberedFrame]:
        """Return the frames of threshold alarms; they do not wait."""
        frames = []
        for start in range(0, len(alarms), MAX_BATCH_RECORDS):
            part = alarms[start : start + MAX_BATCH_RECORDS]
            times = [alarm.time_ns for alarm in part]
            frames.append(self._frame("alarm", min(times), max(times), part))
        return frames

    def statistics(self, stats: SensorStats) -> NumberedFrame:
        """Return the frame of one statistics record."""
        return self._frame("stats", stats.time_ns, stats.time_ns, [stats])

    def _flow_frames(self, rows: Sequence[tuple[Any, ...]]) -> list[NumberedFrame]:
        first_ns, last_ns = min(row[_START_AT] for row in rows), max(row[_END_AT] for row in rows)
        try:
            return [self._frame("flow", first_ns, last_ns, rows)]
        except ValueError:
            # Too many bytes for one frame: the rows are long ones.
            if len(rows) == 1:
                raise
            half = len(rows) // 2
            return self._flow_frames(rows[:half]) + self._flow_frames(rows[half:])

    def _frame(self, kind: str, first_ns: int, last_ns: int, records: Sequence[Any]) -> NumberedFrame:
        sequence = self._sequence + 1
        data = encode_frame(Batch(kind, self._sensor, self.run, sequence, first_ns, last_ns, records))
        self._sequence = sequence
        return NumberedFrame(sequence, data)
