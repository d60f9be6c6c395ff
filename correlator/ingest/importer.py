"""Feeds files to the pipeline: batches of text rows, or the frames of a flow log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from common.errors import WireError
from common.flowlog import MAX_BATCH_RECORDS, Batch, Damage, check_file_header, decode_payload, scan_frames
from common.records import FlowRecord
from correlator.ingest.formats.argus import read_argus
from correlator.ingest.formats.detect import Format
from correlator.ingest.formats.lines import BadLine, LeftOut, Row, numbered_lines
from correlator.ingest.formats.nfdump import read_nfdump
from correlator.ingest.formats.textrows import read_csv, read_ndjson
from correlator.ingest.formats.zeek import read_json, read_tsv
from correlator.ingest.inputs import Input, mapped
from correlator.ingest.pipeline import Pipeline, Stored
from correlator.ingest.receiver import Duplicate, Refused, check_room
from correlator.store.writer import uncollected

_FRAMES_PER_COMMIT: Final = 32
_BYTES_PER_COMMIT: Final = 16 << 20  # of frames, for decoded they are ten and more times that
_READERS: Final = {
    Format.NDJSON: read_ndjson,
    Format.CSV: read_csv,
    Format.ZEEK_TSV: read_tsv,
    Format.ZEEK_JSON: read_json,
    Format.ARGUS: read_argus,
    Format.NFDUMP: read_nfdump,
}

Complain = Callable[[str], None]
Advance = Callable[[int | None], None]
"""Told after each batch: the offset reached, or None when the stream's own position says it."""


@dataclass(kw_only=True)
class Tally:
    """What an import came to."""

    stored: int = 0
    duplicates: int = 0
    bad: int = 0
    """Lines, records and frames that were refused, and damaged stretches."""
    torn: int = 0
    new_alarms: int = 0
    exchanges: int = 0
    """HTTP exchanges that were new."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Lines that tell of no IP flow, by what they tell of."""
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, stored: Stored) -> None:
        """Count a transaction."""
        self.stored += stored.records
        self.duplicates += stored.duplicates
        self.bad += stored.refused.total()
        self.reasons += stored.refused
        self.new_alarms += stored.new_alarms
        self.exchanges += stored.exchanges


class Importer:
    """Imports inputs one after the other; ``complain`` gets a line per thing that is wrong."""

    def __init__(self, pipeline: Pipeline, sensor: str, now_ns: int, complain: Complain) -> None:
        self._pipeline = pipeline
        self._sensor = sensor
        self._now_ns = now_ns
        self._complain = complain
        self._offset = 0
        self._decoded_bytes = 0
        self.tally = Tally()

    def run(self, source: Input, advance: Advance) -> None:
        """Import one input."""
        if source.format is Format.FLOW_LOG:
            self._flow_log(source, advance)
        else:
            rows = _READERS[source.format](numbered_lines(source.stream))
            self._text(source.name, rows, advance)

    def _text(self, name: str, rows: Iterable[Row | BadLine | LeftOut], advance: Advance) -> None:
        records = self._good(name, rows)
        while batch := list(islice(records, MAX_BATCH_RECORDS)):
            self._add(name, self._pipeline.store_records(batch, self._now_ns))
            advance(None)

    def _add(self, name: str, stored: Stored) -> None:
        self.tally.add(stored)
        if count := stored.refused["too_old"]:
            self._complain(
                f"{name}: {count} records are from a time whose flows were removed, and may have been counted then: "
                "import them into another --db"
            )

    def _good(self, name: str, rows: Iterable[Row | BadLine | LeftOut]) -> Iterator[tuple[str, FlowRecord]]:
        for row in rows:
            if isinstance(row, BadLine):
                self.tally.bad += 1
                self._complain(f"{name}:{row.number}: {row.reason}")
                continue
            if isinstance(row, LeftOut):
                self.tally.left_out[row.what] += 1
                continue
            sensor = row.sensor or self._sensor
            try:
                check_room(self._pipeline.spread, sensor, row.record)
            except WireError as error:
                self._bad(f"{name}: {error}")
                continue
            yield sensor, row.record

    def _flow_log(self, source: Input, advance: Advance) -> None:
        with mapped(source) as view:
            try:
                offset = check_file_header(view)
            except WireError as error:
                self._bad(f"{source.name}: {error}")
                return
            frames = self._frames(source.name, view, offset)
            while self._store_some(source.name, frames):
                advance(self._offset)

    @uncollected()
    def _store_some(self, name: str, frames: Iterator[Batch]) -> bool:
        """Store the next frames; False when there are none."""
        batch: list[Batch] = []
        self._decoded_bytes = 0
        for frame in frames:
            batch.append(frame)
            if len(batch) == _FRAMES_PER_COMMIT or self._decoded_bytes >= _BYTES_PER_COMMIT:
                break
        if batch:
            stored = self._pipeline.store_frames(batch, self._now_ns)
            self._add(name, stored)
            self._account(name, batch, stored)
        return bool(batch)

    def _frames(self, name: str, view: memoryview, offset: int) -> Iterator[Batch]:
        """Yield the frames that hold records; headers go to the receiver."""
        for item in scan_frames(view, offset):
            self._offset = item.offset
            if isinstance(item, Damage):
                self._damaged(name, item)
                continue
            try:
                batch = decode_payload(item.payload)
                self._decoded_bytes += len(item.payload)
                if batch.kind != "header":
                    yield batch
                else:
                    self._pipeline.receiver.open_run(batch)
            except WireError as error:
                self._bad(f"{name}: the frame at offset {item.offset} is unusable: {error}")

    def _damaged(self, name: str, damage: Damage) -> None:
        if damage.reason == "torn":
            self.tally.torn += 1
            self._complain(f"{name}: ends inside a frame at offset {damage.offset}, as a file still being written does")
        else:
            self._bad(f"{name}: {damage.length} damaged bytes at offset {damage.offset}; the rest is read")

    def _account(self, name: str, batch: list[Batch], stored: Stored) -> None:
        for frame, verdict in zip(batch, stored.verdicts, strict=True):
            if isinstance(verdict, Duplicate):
                self.tally.duplicates += len(frame.records)
            elif isinstance(verdict, Refused):
                self._complain(f"{name}: frame {verdict.sequence} of run {verdict.run} refused: {verdict.detail}")
            elif verdict.refused:
                reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(verdict.refused.items()))
                self._complain(f"{name}: frame {verdict.sequence}: records refused: {reasons}")

    def _bad(self, line: str) -> None:
        self.tally.bad += 1
        self._complain(line)
