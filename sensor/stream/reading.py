"""The streams of capture files, as they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from sensor.capture.pcapfile import CaptureFileError, Opener, capture_stretches
from sensor.flow._table import FlowTable
from sensor.stream._streams import Streams
from sensor.stream.events import Event


def batches(
    inputs: Sequence[str], expression: str, streams: Streams, opener: Opener | None = None
) -> Iterator[list[Event]]:
    """Yield the events of captures, read one after the other as one run; ``-`` is standard input.

    ``opener`` opens a file as io.FileIO's does.  CaptureFileError, for all that cannot be read or not to its end,
    comes after the events of what can.
    """
    table = FlowTable(streams=streams, seed=os.urandom(32))
    errors: list[str] = []
    for name in inputs:
        try:
            for _ in capture_stretches(name, table, expression, opener):
                yield from _drained(table, streams)
        except CaptureFileError as error:
            errors.append(str(error))
    more = True
    while more:
        more = table.flush()
        yield from _drained(table, streams)
    if errors:
        raise CaptureFileError("; ".join(errors))


def left_out(streams: Streams) -> str:
    """Return a line about payload that is in no event, nothing where there is none."""
    counts = {"segments too far ahead": streams.far, "pieces without memory for them": streams.lost}
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"not in streams: {told}" if told else ""


def _drained(table: FlowTable, streams: Streams) -> Iterator[list[Event]]:
    table.drain_blocks()  # the records are not wanted
    if events := streams.drain():
        yield events
