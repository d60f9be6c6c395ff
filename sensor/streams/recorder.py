"""Events of streams into files: one for each direction that said something, a new one where too much was not seen."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

from sensor.stream.events import CLIENT, Began, Data, Ended, Event, Gap
from sensor.streams.files import OutputFile, OutputFiles
from sensor.streams.names import Facts, Template

MAX_FLOWS: Final = 1 << 18
"""Connections whose files are being written; beyond them the one that began first is finished."""
MAX_GAP_BYTES: Final = 16 << 20
"""tcpflow's -m: more than this that was not seen makes a new file."""
TCP: Final = 6
_ZEROS = bytes(1 << 16)


class Recorded(NamedTuple):
    """One file that is complete, or would be if files were written."""

    name: str | None
    """Below the output directory; None where no file is written."""
    flow: Began
    direction: int
    start_ns: int
    """Of the flow, or of the first bytes after the gap that made a new file."""
    first_ns: int
    last_ns: int
    size: int
    """Of the file: bytes, and zeros for those not seen before them."""
    data_bytes: int
    gaps: int
    gap_bytes: int
    cut_bytes: int
    """Beyond the limit, and so not in the file."""
    md5: str | None
    packets: int = 0
    """Of this direction in the whole connection; 0 where a file ended before it or was cut off."""
    wire_bytes: int = 0
    """Of these packets, from their IP headers on."""

    @property
    def ends(self) -> tuple[bytes, int, bytes, int]:
        """Source, its port, destination and its port."""
        return ends(self.flow, self.direction)


def ends(flow: Began, direction: int) -> tuple[bytes, int, bytes, int]:
    """Return source, its port, destination and its port of a direction."""
    client, server = (flow.client_ip, flow.client_port), (flow.server_ip, flow.server_port)
    return (*client, *server) if direction == CLIENT else (*server, *client)


class Contents(Protocol):
    """Who looks into what is written, stretch after stretch, file after file."""

    def data(self, name: str, start_ns: int, direction: int, data: bytes) -> None:
        """Take bytes that went into a file."""

    def gap(self, name: str, length: int) -> None:
        """Take notice of bytes of it that were not seen."""

    def done(self, name: str) -> None:
        """Finish with a file."""


class Limits(NamedTuple):
    """How much is written, and where a file ends."""

    file_bytes: int = 0
    """tcpflow's -b; 0 is no limit."""
    gap_bytes: int = MAX_GAP_BYTES
    flows: int = MAX_FLOWS


NO_LIMITS: Final = Limits()
"""But those that are always there."""


class Recorder:
    """Writes files below a directory, or with ``files`` None finds out what they would be.

    ``done`` is told of every file when it is complete.  ``change`` is applied to all bytes before they are written
    (it keeps their number).  UserError of the disk passes through; ``close`` then still closes what is open.
    """

    def __init__(  # noqa: PLR0913 - what can be chosen
        self,
        files: OutputFiles | None,
        template: Template,
        done: Callable[[Recorded], None],
        *,
        limits: Limits = NO_LIMITS,
        digest: bool = False,
        change: Callable[[bytes], bytes] | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._files = files
        self._template = template
        self._done = done
        self._limits = limits
        self._digest = digest
        self._change = change
        self._contents = contents
        self._flows: OrderedDict[int, _Flow] = OrderedDict()
        self._numbers = 0
        self._sessions = 0
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """What was done and what was dropped, by name."""
        return self._counts

    def take(self, events: Iterable[Event]) -> None:
        """Write what happened."""
        for event in events:
            kind = type(event)
            if kind is Data:
                self._data(event)  # type: ignore[arg-type]
            elif kind is Began:
                self._began(event)  # type: ignore[arg-type]
            elif kind is Gap:
                self._gap(event)  # type: ignore[arg-type]
            elif kind is Ended:
                self._ended(event.flow_id, event)  # type: ignore[arg-type]

    def close(self) -> None:
        """Finish the files of connections that nothing has ended."""
        while self._flows:
            self._ended(next(iter(self._flows)))

    def _began(self, flow: Began) -> None:
        if flow.protocol != TCP:
            self._counts["flows_not_tcp"] += 1
            return
        if flow.flow_id in self._flows:
            self._ended(flow.flow_id)
        while len(self._flows) >= self._limits.flows:
            self._counts["flows_cut_off"] += 1
            self._ended(next(iter(self._flows)))
        self._counts["connections"] += 1
        self._flows[flow.flow_id] = _Flow(flow, self._sessions)
        self._sessions += 1

    def _data(self, event: Data) -> None:
        flow = self._flows.get(event.flow_id)
        if flow is None:
            self._counts["bytes_of_no_flow"] += len(event.data)
            return
        if not event.data:
            return
        stream = flow.streams[event.direction]
        if stream is not None and stream.gap_waiting and self._is_too_much(stream):
            self._counts["gap_bytes_not_written"] += stream.gap_waiting
            self._finish(flow.began, event.direction, stream)
            stream = None
            start_ns = event.time_ns
        else:
            start_ns = flow.began.time_ns
        if stream is None:
            stream = flow.streams[event.direction] = self._start(flow, event.direction, start_ns, event.time_ns)
        if stream.gap_waiting:
            self._fill(stream)
        self._write(stream, event)

    def _gap(self, event: Gap) -> None:
        """Note what is missing; nothing follows it, perhaps, and then it makes no file and no file longer."""
        flow = self._flows.get(event.flow_id)
        if flow is None or event.length <= 0:
            return
        stream = flow.streams[event.direction]
        self._counts["gaps"] += 1
        self._counts["gap_bytes"] += event.length
        if stream is None:
            flow.missing[event.direction] += event.length
        else:
            stream.gap_waiting += event.length

    def _ended(self, flow_id: int, end: Ended | None = None) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        packets = [(0, 0), (0, 0)]
        if end is not None:
            packets = [(end.packets_out, end.wire_bytes_out), (end.packets_in, end.wire_bytes_in)]
        for direction, stream in enumerate(flow.streams):
            if stream is not None:
                self._finish(flow.began, direction, stream, *packets[direction])

    def _is_too_much(self, stream: _Stream) -> bool:
        """Tell whether a gap ends the file: one too large, or zeros that would outweigh what was seen."""
        gaps = stream.gap_bytes + stream.gap_waiting
        return stream.gap_waiting > self._limits.gap_bytes or gaps > max(self._limits.gap_bytes, stream.data_bytes)

    def _start(self, flow: _Flow, direction: int, start_ns: int, first_ns: int) -> _Stream:
        began = flow.began
        facts = Facts(*ends(began, direction), began.vlan, start_ns, self._numbers, flow.session)
        count, flow.parts[direction] = flow.parts[direction], flow.parts[direction] + 1
        self._numbers += 1
        digest = hashlib.md5(usedforsecurity=False) if self._digest else None
        stream = _Stream(start_ns, first_ns, digest)
        missing, flow.missing[direction] = flow.missing[direction], 0
        if missing <= self._limits.gap_bytes:
            stream.gap_waiting = missing
        else:
            # Zeros would be the whole beginning; the file starts with what was seen.
            self._counts["gap_bytes_not_written"] += missing
        if self._files is not None:
            # What is taken out of a stream is named after its file, so that name must stay.
            naming = partial(self._template.name, facts)
            stream.file = self._files.create(naming, count, at_once=self._contents is not None)
            stream.name = stream.file.name
        else:
            stream.name = self._template.name(facts, count)
        return stream

    def _fill(self, stream: _Stream) -> None:
        """Put zeros where bytes were not seen, if there is room for a byte behind them."""
        length, stream.gap_waiting = stream.gap_waiting, 0
        stream.gaps += 1
        stream.gap_bytes += length
        if self._room(stream, length + 1) <= length:
            stream.full = True
            return
        if stream.file is not None and self._files is not None:
            self._files.skip(stream.file, length)
        stream.size += length
        if stream.digest is not None:
            for start in range(0, length, len(_ZEROS)):
                stream.digest.update(_ZEROS[: length - start])
        if self._contents is not None:
            self._contents.gap(stream.name, length)

    def _write(self, stream: _Stream, event: Data) -> None:
        if event.time_ns > stream.last_ns:
            stream.last_ns = event.time_ns
        data = event.data
        room = length = len(data)
        if self._limits.file_bytes or stream.full:
            room = self._room(stream, length)
            data = data[:room]
            stream.cut_bytes += length - room
            self._counts["bytes_beyond_limit"] += length - room
            if not data:
                return
        if self._contents is not None:
            self._contents.data(stream.name, stream.start_ns, event.direction, data)
        if self._change is not None:
            data = self._change(data)
        if stream.file is not None and self._files is not None:
            self._files.append(stream.file, data)
        if stream.digest is not None:
            stream.digest.update(data)
        stream.size += room
        stream.data_bytes += room
        self._counts["bytes"] += room

    def _room(self, stream: _Stream, length: int) -> int:
        """Return how much of a length the file still takes."""
        limit = self._limits.file_bytes
        if stream.full:
            return 0
        return min(length, max(limit - stream.size, 0)) if limit else length

    def _finish(self, flow: Began, direction: int, stream: _Stream, packets: int = 0, wire_bytes: int = 0) -> None:
        size = stream.size
        if stream.file is not None and self._files is not None:
            self._files.finish(stream.file, stream.start_ns)
        if self._contents is not None:
            self._contents.done(stream.name)
        self._counts["files"] += stream.file is not None
        self._done(
            Recorded(
                stream.file.name if stream.file is not None else None, flow, direction, stream.start_ns,
                stream.first_ns, stream.last_ns, size, stream.data_bytes, stream.gaps, stream.gap_bytes,
                stream.cut_bytes, None if stream.digest is None else stream.digest.hexdigest(), packets, wire_bytes,
            )
        )  # fmt: skip


class _Stream:
    """One file being written."""

    __slots__ = (
        "cut_bytes", "data_bytes", "digest", "file", "first_ns", "full", "gap_bytes", "gap_waiting", "gaps", "last_ns",
        "name", "size", "start_ns",
    )  # fmt: skip

    def __init__(self, start_ns: int, first_ns: int, digest: hashlib._Hash | None) -> None:
        self.start_ns = start_ns
        self.first_ns = self.last_ns = first_ns
        self.digest = digest
        self.file: OutputFile | None = None
        self.name = ""
        self.full = False
        self.size = self.data_bytes = self.gaps = self.gap_bytes = self.gap_waiting = self.cut_bytes = 0


class _Flow:
    """One connection: the file of each direction, how many it had, and what was missing before the first."""

    __slots__ = ("began", "missing", "parts", "session", "streams")

    def __init__(self, began: Began, session: int) -> None:
        self.began = began
        self.session = session
        self.streams: list[_Stream | None] = [None, None]
        self.parts = [0, 0]
        self.missing = [0, 0]
