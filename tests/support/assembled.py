"""Events of streams: built by hand, and put together from captures by a small assembler that only tests use."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import dpkt
from packets import CLIENT, SERVER, T0, S

from sensor.stream import events
from sensor.stream.events import Began, Data, Ended, Event, Gap


def packed(address: str) -> bytes:
    """An address as events hold it."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def began(
    flow_id: int = 1, at_s: float = 0, client: tuple[str, int] = CLIENT, server: tuple[str, int] = SERVER, **other: int
) -> Began:
    """A flow's beginning, ``at_s`` seconds after T0."""
    ends = packed(client[0]), client[1], packed(server[0]), server[1]
    return Began(flow_id, T0 + round(at_s * S), other.get("protocol", 6), other.get("vlan"), *ends)


class Talk:
    """Events of one flow, offsets counted here; times in seconds from T0."""

    def __init__(self, flow_id: int = 1, **of_began: object) -> None:
        self.flow_id = flow_id
        self.events: list[Event] = [began(flow_id, **of_began)]  # type: ignore[arg-type]
        self._offsets = [0, 0]

    def out(self, data: bytes, at_s: float = 0) -> Talk:
        """The client says something."""
        return self._data(events.CLIENT, data, at_s)

    def back(self, data: bytes, at_s: float = 0) -> Talk:
        """The server says something."""
        return self._data(events.SERVER, data, at_s)

    def lost(self, direction: int, length: int, at_s: float = 0) -> Talk:
        """Bytes that were not seen."""
        self.events.append(Gap(self.flow_id, direction, self._offsets[direction], T0 + round(at_s * S), length))
        self._offsets[direction] += length
        return self

    def end(self, at_s: float = 0) -> list[Event]:
        """All of it, with its end."""
        return [*self.events, Ended(self.flow_id, T0 + round(at_s * S), 3)]

    def _data(self, direction: int, data: bytes, at_s: float) -> Talk:
        time_ns = T0 + round(at_s * S)
        self.events.append(Data(self.flow_id, direction, self._offsets[direction], time_ns, data))
        self._offsets[direction] += len(data)
        return self


def assembled(path: Path) -> Iterator[list[Event]]:
    """Yield the events of a capture of Ethernet frames: TCP without fragments, overlaps keep the first bytes."""
    flows: dict[tuple[bytes, int, bytes, int], _Assembly] = {}
    for time_ns, vlan, ip in _packets(path):
        segment = ip.data
        ends = (ip.src, segment.sport, ip.dst, segment.dport)
        back = (ip.dst, segment.dport, ip.src, segment.sport)
        known = back if back in flows else ends
        fresh = segment.flags & dpkt.tcp.TH_SYN and not segment.flags & dpkt.tcp.TH_ACK
        if known in flows and fresh and flows[known].is_over(segment.seq):
            yield flows.pop(known).end(time_ns)
            known = ends
        if known not in flows:
            flows[known] = _Assembly(Began(len(flows) + 1 + time_ns, time_ns, 6, vlan, *ends))
            yield [flows[known].began]
        direction = events.CLIENT if known == ends else events.SERVER
        yield flows[known].segment(direction, time_ns, segment)
    for flow in flows.values():
        yield flow.end(flow.began.time_ns)


class _Assembly:
    """One connection: bytes by their sequence number until they are in order."""

    def __init__(self, began: Began) -> None:
        self.began = began
        self._next: list[int | None] = [None, None]
        self._offsets = [0, 0]
        self._waiting: list[dict[int, tuple[int, bytes]]] = [{}, {}]
        self._first = -1

    def is_over(self, seq: int) -> bool:
        return self._first not in (-1, seq)

    def segment(self, direction: int, time_ns: int, segment: dpkt.tcp.TCP) -> list[Event]:
        seq = segment.seq
        if segment.flags & dpkt.tcp.TH_SYN:
            self._first = seq if direction == events.CLIENT else self._first
            seq += 1
            self._next[direction] = seq if self._next[direction] is None else self._next[direction]
        data = bytes(segment.data)
        if data:
            if self._next[direction] is None:
                self._next[direction] = seq
            self._waiting[direction].setdefault(seq, (time_ns, data))
        return self._ready(direction)

    def _ready(self, direction: int) -> list[Event]:
        out: list[Event] = []
        waiting, following = self._waiting[direction], self._next[direction]
        if following is None:
            return out
        for seq in sorted(waiting):
            if seq > following:
                break
            time_ns, data = waiting.pop(seq)
            data = data[following - seq :]
            if data:
                out.append(Data(self.began.flow_id, direction, self._offsets[direction], time_ns, data))
                following += len(data)
                self._offsets[direction] += len(data)
        self._next[direction] = following
        return out

    def end(self, time_ns: int) -> list[Event]:
        out: list[Event] = []
        for direction in (events.CLIENT, events.SERVER):
            while self._waiting[direction]:
                seq = min(self._waiting[direction])
                following = self._next[direction]
                assert following is not None
                out.append(Gap(self.began.flow_id, direction, self._offsets[direction], time_ns, seq - following))
                self._offsets[direction] += seq - following
                self._next[direction] = seq
                out.extend(self._ready(direction))
        return [*out, Ended(self.began.flow_id, time_ns, 3)]


def _packets(path: Path) -> Iterator[tuple[int, int | None, dpkt.ip.IP | dpkt.ip6.IP6]]:
    with path.open("rb") as file:
        for at, frame in dpkt.pcap.UniversalReader(file):
            ethernet = dpkt.ethernet.Ethernet(frame)
            tags = getattr(ethernet, "vlan_tags", [])
            ip = ethernet.data
            if isinstance(ip, dpkt.ip.IP | dpkt.ip6.IP6) and isinstance(ip.data, dpkt.tcp.TCP):
                yield round(at * S), tags[0].id if tags else None, ip
