"""One run of grep: events of streams in; matches, flows without one, and files of payload out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from sensor.match.look import GramLook
from sensor.match.patterns import ANY, Pattern
from sensor.match.stream import Match, PatternSet, Stopwatch, StreamMatcher
from sensor.output.payloads import KeptPayload, PayloadFiles, payload_name
from sensor.stream.events import CLIENT, SERVER, Began, Data, Ended, Event, Gap

MATCHER_BYTES: Final = 128 << 20
_TCP = 6
_SIDE = {CLIENT: "client", SERVER: "server"}


class Report(NamedTuple):
    """What is called with what was found."""

    match: Callable[[Began, int, int, Match], None]
    """(flow, direction, time of the piece that decided, match)"""
    unmatched: Callable[[Began, int, int], None]
    """(flow, bytes out, bytes in)"""
    logged: Callable[[str], None]
    """(path of a file of payload, when its flow is over)"""


class Settings(NamedTuple):
    """How a run goes."""

    invert: bool = False
    context: tuple[int, int] = (0, 0)
    """Bytes before and after a match."""
    matcher_bytes: int = MATCHER_BYTES
    """What the matchers of all streams may hold."""


DEFAULTS: Final = Settings()


class _Flow:
    """What is known of an open flow."""

    __slots__ = ("began", "lost", "matched", "matchers", "paths", "sizes")

    def __init__(self, began: Began) -> None:
        self.began = began
        self.matched = False
        self.matchers: list[StreamMatcher | None] = [None, None]
        self.paths: dict[str, str] = {}  # by name; a TCP stream has two
        self.sizes = [0, 0]
        self.lost = 0


class Grep:
    """Takes events and reports; holds what its bounds allow."""

    def __init__(
        self,
        patterns: Sequence[Pattern],
        report: Report,
        settings: Settings = DEFAULTS,
        *,
        files: PayloadFiles | None = None,
        kept: KeptPayload | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._patterns = patterns
        self._report = report
        self._invert = settings.invert
        self._files = files
        self._kept = kept or KeptPayload()
        self._context = settings.context
        self._matcher_bytes = settings.matcher_bytes
        self._stopwatch = stopwatch or Stopwatch()
        self._named = {one.protocol for one in patterns}
        self._sets: dict[tuple[int | None, int | None], PatternSet] = {}
        self._flows: dict[int, _Flow] = {}
        self._held: OrderedDict[tuple[int, int], int] = OrderedDict()  # (flow, direction): bytes its matcher holds
        self._held_bytes = 0
        self.selected = 0
        """Matches, or flows without one when that is asked for."""
        self.cut = 0
        """Streams that were searched as if bytes were missing, because there was no room to hold more."""
        self.lost_bytes = 0
        """Payload of logged flows that did not fit into memory before they matched."""
        self.lost_flows = 0
        self.stopped: dict[str, int] = {}
        """Patterns by name, and in how many streams their search took too long."""

    def take(self, events: Iterable[Event]) -> None:
        """Take events, in order."""
        for event in events:
            if isinstance(event, Data):
                self._data(event)
            elif isinstance(event, Began):
                self._flows[event.flow_id] = _Flow(event)
            elif isinstance(event, Gap):
                self._gap(event)
            elif isinstance(event, Ended):
                self._ended(event)

    def finish(self) -> None:
        """End all flows: the input is over."""
        for flow_id, flow in list(self._flows.items()):
            self._ended(Ended(flow_id, flow.began.time_ns, 0))

    def _data(self, event: Data) -> None:
        flow = self._flows.get(event.flow_id)
        if flow is None:
            return
        flow.sizes[event.direction] += len(event.data)
        stream = flow.began.protocol == _TCP
        if self._files is not None and (stream or self._invert):
            self._keep(flow, event)
        if self._invert and flow.matched:
            return
        matches = self._in_stream(flow, event) if stream else self._in_datagram(flow, event)
        if matches:
            self._matched(flow, event.direction, event.time_ns, matches)
            if not stream and self._files is not None and not self._invert:
                self._write(flow, event.direction, event.data, event.time_ns)

    def _in_stream(self, flow: _Flow, event: Data) -> list[Match]:
        matcher = flow.matchers[event.direction]
        found: list[Match] = []
        if matcher is None:
            matcher = StreamMatcher(self._set(flow.began.protocol, event.direction), self._stopwatch)
            flow.matchers[event.direction] = matcher
        if event.offset > matcher.end:
            found = matcher.gap(event.offset - matcher.end)
        found += matcher.feed(event.data)
        self._account(event.flow_id, event.direction, matcher)
        return found

    def _in_datagram(self, flow: _Flow, event: Data) -> list[Match]:
        # There is no stream: each payload stands for itself, and both sides' patterns are looked for.
        matcher = StreamMatcher(self._set(flow.began.protocol, None), self._stopwatch, event.offset)
        found = matcher.feed(event.data) + matcher.finish()
        self._close(matcher)
        return found

    def _gap(self, event: Gap) -> None:
        flow = self._flows.get(event.flow_id)
        if flow is None or flow.began.protocol != _TCP or (self._invert and flow.matched):
            return
        matcher = flow.matchers[event.direction]
        if matcher is None:
            matcher = StreamMatcher(self._set(flow.began.protocol, event.direction), self._stopwatch)
            flow.matchers[event.direction] = matcher
        found = matcher.gap(event.offset + event.length - matcher.end)
        self._account(event.flow_id, event.direction, matcher)
        self._matched(flow, event.direction, event.time_ns, found)

    def _ended(self, event: Ended) -> None:
        flow = self._flows.pop(event.flow_id, None)
        if flow is None:
            return
        for direction, matcher in enumerate(flow.matchers):
            if matcher is not None:
                self._matched(flow, direction, event.time_ns, matcher.finish())
                self._close(matcher)
                self._held_bytes -= self._held.pop((event.flow_id, direction), 0)
        if self._invert and not flow.matched:
            self.selected += 1
            self._report.unmatched(flow.began, *flow.sizes)
            self._write_kept(flow)
        else:
            self._kept.take(event.flow_id)
        if flow.lost:
            self.lost_flows += 1
            self.lost_bytes += flow.lost
        for path in flow.paths.values():
            self._report.logged(path)

    def _matched(self, flow: _Flow, direction: int, time_ns: int, matches: list[Match]) -> None:
        if not matches:
            return
        first, flow.matched = not flow.matched, True
        if self._invert:
            self._kept.take(flow.began.flow_id)
            return
        self.selected += len(matches)
        for match in matches:
            self._report.match(flow.began, direction, time_ns, match)
        if first:
            self._write_kept(flow)

    def _keep(self, flow: _Flow, event: Data) -> None:
        """Write what belongs to a flow that matched; keep it while that is open."""
        if not flow.matched:
            self._kept.add(event.flow_id, event.direction, event.data)
        elif not self._invert:
            self._write(flow, event.direction, event.data)

    def _write_kept(self, flow: _Flow) -> None:
        pieces, flow.lost = self._kept.take(flow.began.flow_id)
        for direction, data in pieces:
            self._write(flow, direction, data)

    def _write(self, flow: _Flow, direction: int, data: bytes, time_ns: int | None = None) -> None:
        if self._files is None:
            return
        name = payload_name(flow.began, direction, time_ns)
        if name not in flow.paths:
            if time_ns is not None:
                # A file for each second and sender; those before are complete.
                for path in flow.paths.values():
                    self._report.logged(path)
                flow.paths.clear()
            flow.paths[name] = self._files.create(name)
        self._files.append(flow.paths[name], data)

    def _set(self, protocol: int, direction: int | None) -> PatternSet:
        """Return the patterns for a direction of a protocol; without a direction those of both sides."""
        # Protocols that no pattern names have one set.
        key = (protocol if protocol in self._named else None), direction
        if key not in self._sets:
            sides = (ANY, "client", "server") if direction is None else (ANY, _SIDE[direction])
            chosen = [one for one in self._patterns if one.side in sides and one.protocol in (None, protocol)]
            before, after = self._context
            self._sets[key] = PatternSet(chosen, GramLook, before=before, after=after)
        return self._sets[key]

    def _account(self, flow_id: int, direction: int, matcher: StreamMatcher) -> None:
        """Note what a matcher holds; the streams silent longest are decided where there is no room."""
        held = matcher.held_bytes
        self._held_bytes += held - self._held.pop((flow_id, direction), 0)
        self._held[flow_id, direction] = held
        while self._held_bytes > self._matcher_bytes and len(self._held) > 1:
            (other_id, other), held = self._held.popitem(last=False)
            self._held_bytes -= held
            flow = self._flows[other_id]
            cut = flow.matchers[other]
            assert cut is not None
            self.cut += 1
            self._matched(flow, other, flow.began.time_ns, cut.finish())

    def _close(self, matcher: StreamMatcher) -> None:
        for pattern in matcher.stopped:
            self.stopped[pattern.name] = self.stopped.get(pattern.name, 0) + 1
        matcher.close()
