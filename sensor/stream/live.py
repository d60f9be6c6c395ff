"""The streams of interfaces, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from sensor.capture.device import CaptureError
from sensor.capture.live import LiveSource
from sensor.stream._streams import Streams
from sensor.stream.events import Event
from sensor.stream.reading import drained, flushed, following

_TURN_MS = 100
# Live packets reach us up to this much after their time stamp; idle flows end with that much delay.
_LAG_NS = 2_000_000_000
# At a stop: the kernel hands a block over after this time at the latest; and when to give up on what waits in it.
_BLOCK_NS = 300_000_000
_GIVE_UP_NS = 10_000_000_000


def live_batches(
    live: LiveSource, streams: Streams, asked_to_stop: Callable[[], bool], tell: Callable[[str], None]
) -> Iterator[list[Event]]:
    """Yield the events of interfaces until it is asked to stop, then what the kernel still holds and all ends.

    ``tell`` is given lines about what happened to the interfaces, and what was lost on them.  CaptureError when
    nothing can be captured any more comes after the events of what was.
    """
    table = following(streams)
    failure: CaptureError | None = None
    try:
        while not asked_to_stop():
            if not live.turn(table, _TURN_MS):
                table.advance(time.time_ns() - _LAG_NS)
            live.look_after(time.monotonic_ns())
            _tell_news(live, tell)
            yield from drained(table, streams)
        stop_ns, began_ns, passed_ns = time.time_ns(), time.monotonic_ns(), 0
        while (passed_ns <= _BLOCK_NS or not live.drained(stop_ns)) and passed_ns <= _GIVE_UP_NS:
            live.turn(table, _TURN_MS)
            yield from drained(table, streams)
            passed_ns = time.monotonic_ns() - began_ns
    except CaptureError as error:
        failure = error
    finally:
        _tell_news(live, tell)
        kernel, interface = live.drops()
        if kernel or interface:
            tell(f"drops: {kernel} packets by the kernel, {interface} by the interface; they are gaps in streams")
    yield from flushed(table, streams)
    if failure is not None:
        raise failure


def _tell_news(live: LiveSource, tell: Callable[[str], None]) -> None:
    for line in live.news:
        tell(line)
    live.news.clear()
