"""What a batch of records adds to the roll-ups: computed in memory, before any SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from common.records import FlowRecord
from correlator.views.uptime import Interval

PeriodKey = tuple[int, int]

# Sums stop here, so that two of them still fit SQLite's 63 bits; only forged records get this far.
MAX_SUM: Final = 1 << 61


class StoredRecord(NamedTuple):
    """A record that is new to the store, with its sensor and channel."""

    sensor: str
    channel_id: int
    record: FlowRecord


def periods_of(records: Iterable[StoredRecord], period_ns: int) -> dict[PeriodKey, list[int]]:
    """Return {(period start, channel): the values of channel_periods after its key}."""
    periods: dict[PeriodKey, list[int]] = {}
    for _, channel, record in records:
        start, end = record.start_ns, record.end_ns
        key = (start - start % period_ns, channel)
        row = periods.get(key)
        if row is None:
            row = periods[key] = [0, 0, 0, 0, 0, 0, 0, 0, start, end, 0]
        row[0] += record.part == 0
        row[1] += record.packets_out
        row[2] += record.packets_in
        row[3] += record.wire_bytes_out
        row[4] += record.wire_bytes_in
        row[5] += record.payload_bytes_out
        row[6] += record.payload_bytes_in
        row[7] += end - start
        if start < row[8]:
            row[8] = start
        if end > row[9]:
            row[9] = end
        if record.flow_start_ns > row[10]:
            row[10] = record.flow_start_ns
    for row in periods.values():
        if max(row[:8]) > MAX_SUM:
            row[:8] = [min(value, MAX_SUM) for value in row[:8]]
    return periods


def intervals_of(records: Iterable[StoredRecord]) -> dict[int, list[Interval]]:
    """Return {channel: the times its records cover}."""
    intervals: dict[int, list[Interval]] = {}
    for _, channel, record in records:
        intervals.setdefault(channel, []).append((record.start_ns, record.end_ns))
    return intervals
