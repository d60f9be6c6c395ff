"""Hands what the flow table gave to every place it goes: a flow log, text, the correlator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from common.errors import UserError
from common.flowlog import Block, rows_of
from common.records import HttpExchange, SensorAlarm, SensorStats
from sensor.batching import Batcher, NumberedFrame
from sensor.output.exchanges import ExchangesFile
from sensor.output.flowlog import FlowLogFile, close_file, write_all, write_first
from sensor.output.text import TextFormat

if TYPE_CHECKING:  # ZeroMQ takes as long to import as a small capture to read
    from sensor.ship.link import Shipper

T = TypeVar("T")


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

    def finish(self) -> None:
        """Write what closes the format: its mark that nothing is missing."""
        self._write(self._format.closing())

    def close(self) -> None:
        """Close the file, whole or not."""
        close_file(self._file, self._path)

    def _write(self, text: str) -> None:
        if text:
            write_all(self._file, text.encode(), self._path)


class Outputs:
    """All the places of one run. Each part may be absent, and each fails on its own.

    A place that fails is closed and the others go on: its error waits in ``failures`` (a reader that went
    away is none).  The failure of the last place is raised.
    """

    def __init__(
        self,
        batcher: Batcher,
        log: FlowLogFile | None,
        text: TextFile | None,
        shipper: Shipper | None,
        exchanges: ExchangesFile | None = None,
    ) -> None:
        self._batcher = batcher
        self._log = log
        self._text = text
        self._exchanges = exchanges
        self.shipper = shipper
        self.failures: list[UserError] = []

    def spool_paths(self) -> list[Path]:
        """Return what the spool goes on writing to, if there is one."""
        return self.shipper.spool.own_paths() if self.shipper is not None else []

    def spool_directory(self) -> Path | None:
        """Return where the spool is, if there is one."""
        return self.shipper.spool.directory if self.shipper is not None else None

    def take_all(self, now_ns: int, *, waiting: bool) -> bool:
        """Tell whether records that wait for a fuller block are wanted now."""
        return self._text is not None or self._batcher.is_due(now_ns, waiting=waiting)

    def flows(self, blocks: Sequence[Block]) -> None:
        """Take blocks of flow records."""
        if not blocks:
            return
        if self._framing:
            self._frames(self._batcher.flows(blocks))
        if self._text is not None:
            self._serve(self._text, self._text.write, [row for block in blocks for row in rows_of(block)])

    def exchanges(self, exchanges: Sequence[HttpExchange], now_ns: int, *, everything: bool = False) -> None:
        """Take HTTP exchanges; they wait for others of their frame, but at the end."""
        if self._exchanges is not None:
            self._serve(self._exchanges, self._exchanges.write, exchanges)
        if self._framing:
            self._frames(self._batcher.exchanges(exchanges, now_ns, everything=everything))

    def alarms(self, alarms: Sequence[SensorAlarm]) -> None:
        """Take threshold alarms; they go out at once."""
        if alarms and self._framing:
            self._frames(self._batcher.alarms(alarms))

    def statistics(self, stats: SensorStats) -> None:
        """Take a statistics record; the spool notes what the next run wants to know, should this one be killed."""
        if self.shipper is not None:
            self.shipper.spool.note(stats.flows_open, stats.records)
        if self._framing:
            self._frames([self._batcher.statistics(stats)])

    def turn(self, now_ns: int, wait_ms: int = 0) -> None:
        """Keep the link going; wait for its answers if asked to."""
        if self.shipper is not None:
            self._serve(self.shipper, partial(self.shipper.turn, now_ns), wait_ms)

    def finish(self) -> None:
        """Write what closes a text."""
        if self._text is not None:
            self._serve(self._text, TextFile.finish, self._text)

    def close(self) -> None:
        """Close every place, also when one of them cannot be closed well."""
        with ExitStack() as places:
            for place in (self.shipper, self._text, self._exchanges, self._log):
                if place is not None:
                    places.callback(place.close)

    @property
    def _framing(self) -> bool:
        return self._log is not None or self.shipper is not None

    def _frames(self, frames: list[NumberedFrame]) -> None:
        if not frames:
            return
        if self._log is not None:
            self._serve(self._log, self._log.write, b"".join(frame.data for frame in frames))
        if self.shipper is not None:
            self._serve(self.shipper, self.shipper.take, frames)

    def _serve(
        self, place: FlowLogFile | TextFile | ExchangesFile | Shipper, take: Callable[[T], object], what: T
    ) -> None:
        try:
            take(what)
        except (UserError, BrokenPipeError) as error:
            with suppress(UserError, OSError):
                place.close()
            self._log = None if place is self._log else self._log
            self._text = None if place is self._text else self._text
            self.shipper = None if place is self.shipper else self.shipper
            self._exchanges = None if place is self._exchanges else self._exchanges
            if not self._framing and self._text is None and self._exchanges is None:
                raise
            if isinstance(error, UserError):
                self.failures.append(error)
