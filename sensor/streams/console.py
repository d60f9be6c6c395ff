"""Events as text for a terminal or as JSON lines, in tcpflow's forms; bytes out, and no file."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from common.addresses import address_text
from common.timespan import iso_time
from sensor.stream.events import CLIENT, SERVER, Began, Data, Ended, Event, Gap
from sensor.streams.names import Facts, Template
from sensor.streams.recorder import MAX_FLOWS, TCP, ends

# What no terminal takes for a command: printable ASCII and the end of a line.
_SAFE = bytes(code if 32 <= code < 127 or code == 10 else ord(".") for code in range(256))
_VISIBLE = bytes(code if 32 <= code < 127 else ord(".") for code in range(256))
# tcpflow's -s: it keeps the carriage return too.
_STRIPPED = bytes(code if code == 13 else _SAFE[code] for code in range(256))
_COLOURS = (b"\033[0;34m", b"\033[0;31m")
_NO_COLOUR = b"\033[0m"
_HEX_BYTES: Final = 32

Form = Callable[["Line"], bytes]
"""Writes one stretch; nothing for what the form has no words for."""


class Line(NamedTuple):
    """One stretch of one direction, bytes or a gap, and what is known of it."""

    name: str
    flow: Began
    event: Data | Gap


class Options(NamedTuple):
    """How text looks."""

    header: bool = True
    binary: bool = False
    hexadecimal: bool = False
    colours: bool = False
    newline: bool = True


class Console:
    """Makes the bytes that show events; ``limit`` is how many bytes of a direction are shown, 0 all."""

    def __init__(self, form: Form, template: Template, limit: int = 0) -> None:
        self._form = form
        self._template = template
        self._limit = limit
        self._flows: dict[int, _Flow] = {}
        self.counts: Counter[str] = Counter()

    def show(self, events: Iterable[Event]) -> Iterator[bytes]:
        """Yield what there is to write."""
        for event in events:
            match event:
                case Data():
                    yield from self._data(event)
                case Began():
                    self._began(event)
                case Gap():
                    yield from self._gap(event)
                case Ended():
                    self._flows.pop(event.flow_id, None)

    def _began(self, began: Began) -> None:
        if began.protocol != TCP:
            self.counts["flows_not_tcp"] += 1
            return
        if len(self._flows) >= MAX_FLOWS:
            self.counts["flows_cut_off"] += 1
            self._flows.pop(next(iter(self._flows)))
        session = self.counts["connections"]
        self.counts["connections"] += 1
        facts = [
            Facts(*ends(began, direction), began.vlan, began.time_ns, 2 * session + direction, session)
            for direction in (CLIENT, SERVER)
        ]
        self._flows[began.flow_id] = _Flow(began, [self._template.name(one) for one in facts])

    def _data(self, event: Data) -> Iterator[bytes]:
        flow = self._flows.get(event.flow_id)
        if flow is None:
            self.counts["bytes_of_no_flow"] += len(event.data)
            return
        room = max(self._limit - flow.shown[event.direction], 0) if self._limit else len(event.data)
        if room < len(event.data):
            self.counts["bytes_beyond_limit"] += len(event.data) - room
            event = event._replace(data=event.data[:room])
        if event.data:
            flow.shown[event.direction] += len(event.data)
            self.counts["bytes"] += len(event.data)
            yield self._form(Line(flow.names[event.direction], flow.began, event))

    def _gap(self, event: Gap) -> Iterator[bytes]:
        flow = self._flows.get(event.flow_id)
        if flow is None:
            return
        self.counts["gaps"] += 1
        self.counts["gap_bytes"] += event.length
        yield self._form(Line(flow.names[event.direction], flow.began, event))


class _Flow:
    """One connection: what its directions are called, and how many bytes of each were shown."""

    __slots__ = ("began", "names", "shown")

    def __init__(self, began: Began, names: list[str]) -> None:
        self.began = began
        self.names = names
        self.shown = [0, 0]


def strip(data: bytes) -> bytes:
    """Return as many bytes with dots for what is not printable, the ends of lines kept, as ``-s`` does."""
    return data.translate(_STRIPPED)


def safe(data: bytes) -> bytes:
    """Return bytes that command no terminal: a carriage return stays before the end of a line only."""
    if b"\r" not in data:
        return data.translate(_SAFE)
    return b"\r\n".join(line.translate(_SAFE) for line in data.split(b"\r\n"))


def hex_lines(data: bytes) -> bytes:
    """Return a dump of 32 bytes a line: offset, bytes in pairs, what is printable of them."""
    lines = []
    for start in range(0, len(data), _HEX_BYTES):
        row = data[start : start + _HEX_BYTES]
        pairs = row.hex(" ", -2)
        lines.append(f"{start:04x}: {pairs:<79}  {row.translate(_VISIBLE).decode()}\n".encode())
    return b"".join(lines)


def text_form(options: Options) -> Form:
    """Return what writes a stretch as text."""

    def form(line: Line) -> bytes:
        if isinstance(line.event, Gap):
            return b""
        data = line.event.data
        header = b""
        if options.header:
            header = line.name.encode(errors="backslashreplace") + b": "
            header += b"\n" if options.hexadecimal else b""
        if options.hexadecimal:
            data = hex_lines(data)
        elif not options.binary:
            data = safe(data)
        data = header + data
        if options.colours:
            data = _COLOURS[line.event.direction] + data + _NO_COLOUR
        return data + b"\n" if options.newline else data

    return form


def json_form(payload: Callable[[bytes], object]) -> Form:
    """Return what writes a stretch as a JSON object in a line: tcpflow's names, and where it belongs."""

    def form(line: Line) -> bytes:
        row = _facts(line)
        if isinstance(line.event, Gap):
            row |= {"payload": payload(b""), "missed": line.event.length}
        else:
            row["payload"] = payload(line.event.data)
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"

    return form


def in_base64(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode()


def _facts(line: Line) -> dict[str, object]:
    source, source_port, destination, destination_port = ends(line.flow, line.event.direction)
    return {
        "src_host": address_text(source),
        "src_port": source_port,
        "dst_host": address_text(destination),
        "dst_port": destination_port,
        "time": iso_time(line.event.time_ns),
        "flow_id": line.event.flow_id,
        "direction": "out" if line.event.direction == CLIENT else "in",
        "offset": line.event.offset,
    }
