"""The streams of capture files, as they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from sensor.capture.pcapfile import CaptureFileError, Opener, capture_stretches
from sensor.flow._table import FlowTable
from sensor.stream._streams import Streams
from sensor.stream.events import Event


def batches(
    inputs: Sequence[str],
    expression: str,
    streams: Streams,
    complain: Callable[[str], None],
    opener: Opener | None = None,
) -> Iterator[list[Event]]:
    """Yield the events of captures, read one after the other as one run; ``-`` is standard input.

    ``complain`` gets a line for each that cannot be read, or not to its end; the others are read.
    """
    table = FlowTable(streams=streams, seed=os.urandom(32))
    for name in inputs:
        try:
            for _ in capture_stretches(name, table, expression, opener):
                yield from _drained(table, streams)
        except CaptureFileError as error:
            complain(str(error))
    more = True
    while more:
        more = table.flush()
        yield from _drained(table, streams)


def _drained(table: FlowTable, streams: Streams) -> Iterator[list[Event]]:
    table.drain_blocks()  # the records are not wanted
    if events := streams.drain():
        yield events
