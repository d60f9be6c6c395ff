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
    table = following(streams)
    errors: list[str] = []
    for name in inputs:
        try:
            for _ in capture_stretches(name, table, expression, opener):
                yield from drained(table, streams)
        except CaptureFileError as error:
            errors.append(str(error))
    yield from flushed(table, streams)
    if errors:
        raise CaptureFileError("; ".join(errors))


def following(streams: Streams) -> FlowTable:
    """Return an empty flow table that hands its payload to streams; its records are not wanted."""
    return FlowTable(streams=streams, active_timeout_ns=0, seed=os.urandom(32))


def drained(table: FlowTable, streams: Streams) -> Iterator[list[Event]]:
    """Yield what happened since the last call, if anything did."""
    table.drain_blocks()
    if events := streams.drain():
        yield events


def flushed(table: FlowTable, streams: Streams) -> Iterator[list[Event]]:
    """End every flow, and yield what that gives."""
    more = True
    while more:
        more = table.flush()
        yield from drained(table, streams)


def left_out(streams: Streams) -> str:
    """Return a line about payload that is in no event, nothing where there is none."""
    counts = {"segments too far ahead": streams.far, "pieces without memory for them": streams.lost}
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"not in streams: {told}" if told else ""
