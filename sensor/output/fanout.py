"""Hands what the flow table gave to every place it goes: a flow log, text, the correlator."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from common.records import SensorAlarm, SensorStats
from sensor.batching import Batcher, NumberedFrame
from sensor.output.flowlog import FlowLogFile, close_file, write_all, write_first
from sensor.output.text import TextFormat
from sensor.ship.link import Shipper


class TextFile:
    """A text format being written to a file or standard output."""

    def __init__(self, path: str, file: BinaryIO, text_format: TextFormat) -> None:
        self._path = path
        self._file = file
        self._format = text_format
        write_first(file, text_format.opening.encode(), path)

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write record rows."""
        self._write(self._format.lines(rows))

    def close(self) -> None:
        """Write what closes the format, and close the file."""
        try:
            self._write(self._format.closing)
        finally:
            close_file(self._file, self._path)

    def _write(self, text: str) -> None:
        if text:
            write_all(self._file, text.encode(), self._path)


class Outputs:
    """All the places of one run. Each part may be absent."""

    def __init__(
        self, batcher: Batcher, log: FlowLogFile | None, text: TextFile | None, shipper: Shipper | None
    ) -> None:
        self._batcher = batcher
        self._log = log
        self._text = text
        self.shipper = shipper
        self._framing = log is not None or shipper is not None

    def spool_paths(self) -> list[Path]:
        """Return what the spool goes on writing to, if there is one."""
        return self.shipper.spool.own_paths() if self.shipper is not None else []

    def flows(self, rows: Sequence[tuple[Any, ...]], now_ns: int) -> None:
        """Take flow rows."""
        if not rows:
            return
        if self._text is not None:
            self._text.write(rows)
        if self._framing:
            self._frames(self._batcher.add_flows(rows, now_ns))

    def alarms(self, alarms: Sequence[SensorAlarm]) -> None:
        """Take threshold alarms; they go out at once."""
        if alarms and self._framing:
            self._frames(self._batcher.alarms(alarms))

    def statistics(self, stats: SensorStats) -> None:
        """Take a statistics record."""
        if self._framing:
            self._frames([self._batcher.statistics(stats)])

    def turn(self, now_ns: int) -> None:
        """Write rows that have waited long enough, and keep the link going."""
        if self._framing:
            self._frames(self._batcher.due(now_ns))
        if self.shipper is not None:
            self.shipper.turn(now_ns)

    def finish(self) -> None:
        """Write everything that still waits."""
        if self._framing:
            self._frames(self._batcher.flush())

    def close(self) -> None:
        """Close every place, also when one of them cannot be closed well."""
        with ExitStack() as places:
            for place in (self.shipper, self._text, self._log):
                if place is not None:
                    places.callback(place.close)

    def _frames(self, frames: list[NumberedFrame]) -> None:
        if self._log is not None:
            for frame in frames:
                self._log.write(frame.data)
        if self.shipper is not None:
            self.shipper.take(frames)
