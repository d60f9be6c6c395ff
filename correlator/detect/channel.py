"""What detection remembers of a channel: its latest flows, its hours, and the symptoms seen."""

from __future__ import annotations

from bisect import insort
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

from common.addresses import address_text
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.detect.alarm import MAX_FLOWS
from correlator.detect.baseline import Learned
from correlator.detect.habits import Habits
from correlator.detect.symptom import Sight

HOUR_NS: Final = 3600 * NS_PER_S
DAY_NS: Final = 24 * HOUR_NS
SLOT_NS: Final = 300 * NS_PER_S
MAX_VISITS: Final = 101
"""So that there are 100 gaps between them."""
_KEPT_HOURS: Final = 48
_KEPT_SLOTS: Final = 48 * 12


class Key(NamedTuple):
    """One channel: a client and who it talks to, by name where that is known, else by address."""

    client: str
    peer: str
    """Host name in lower case, or the server's address."""
    port: int
    protocol: int


class Visit(NamedTuple):
    """What is kept of each of a channel's latest flows."""

    start_ns: int
    end_ns: int
    bytes_out: int
    bytes_in: int


class Hour(Struct, array_like=True):
    """A channel's figures in one hour."""

    connections: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


class Sighting(Struct, array_like=True):
    """What tests for one symptom answered: in how many flows, and the strongest answer."""

    tested: int = 0
    found: int = 0
    first_ns: int = 0
    last_ns: int = 0
    value: float = 0.0
    threshold: float = 0.0
    explanation: str = ""
    log10_lr: float | None = None
    flows: list[str] = []

    def add(self, sight: Sight, time_ns: int, flow: str | None, *, tested: int = 1, found: int = 1) -> None:
        """Take an answer in; ``tested`` and ``found`` are 0 where the same flow was counted before."""
        self.tested += tested
        if not sight.found:
            return
        self.found += found
        if not self.explanation or (sight.log10_lr or 0.0, sight.value) >= (self.log10_lr or 0.0, self.value):
            self.value, self.threshold = sight.value, sight.threshold
            self.explanation, self.log10_lr = sight.explanation, sight.log10_lr
        self.first_ns = min(self.first_ns or time_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)
        if flow is not None and flow not in self.flows:
            self.flows = [*self.flows, flow][-MAX_FLOWS:]


class Noted(Struct, frozen=True, array_like=True):
    """What was noted of a channel's latest day, so that only what is new is noted again."""

    day_s: int = -1
    log10_odds: float = 0.0
    alarmed: bool = False
    names: int = 0
    """A checksum of the symptoms' names."""


class Channel(Struct):
    """What is remembered of one channel; of bounded size, whatever flows through it."""

    client: str
    peer: str
    port: int
    protocol: int
    server: str = ""
    """The address last used."""
    host: str | None = None
    first_ns: int = 0
    last_ns: int = 0
    flows: int = 0
    established: int = 0
    """Flows in which both sides sent payload."""
    bytes_out: int = 0
    bytes_in: int = 0
    tcp_uptime_ns: int = 0
    session_start_ns: int = 0
    """Since when the channel stands up without a pause longer than the channel gap."""
    session_flows: int = 0
    visits: list[Visit] = []
    hours: dict[int, Hour] = {}
    """By the hour's start, in hours since 1970."""
    slots: dict[int, int] = {}
    """Bytes sent in each five-minute slot in which anything was sent or received; numbered since 1970."""
    latest_flows: list[str] = []
    sightings: dict[str, Sighting] = {}
    alarm_day_ns: int = 0
    """The day on which its alarm was raised that goes on, or the last one."""
    alarm_last_ns: int = 0
    noted: Noted = Noted()

    @property
    def key(self) -> Key:
        """What the channel is known by."""
        return Key(self.client, self.peer, self.port, self.protocol)

    def add(self, record: FlowRecord, flow: str, *, begins: bool, gap_ns: int) -> None:
        """Count one record, a whole flow or one more part of one."""
        start_ns, end_ns = record.start_ns, record.end_ns
        bytes_out, bytes_in = record.payload_bytes_out, record.payload_bytes_in
        if not self.last_ns or start_ns - self.last_ns > gap_ns:
            self.session_start_ns, self.session_flows = start_ns, 0
        self.session_start_ns = min(self.session_start_ns, start_ns)
        self.first_ns = min(self.first_ns or start_ns, start_ns)
        self.last_ns = max(self.last_ns, end_ns)
        self.bytes_out += bytes_out
        self.bytes_in += bytes_in
        self.tcp_uptime_ns += end_ns - start_ns
        self._add_to_hour(start_ns // HOUR_NS, bytes_out, bytes_in, begins=begins)
        if bytes_out or bytes_in:
            self._add_to_slots(start_ns // SLOT_NS, end_ns // SLOT_NS, bytes_out)
        if begins:
            self.flows += 1
            self.session_flows += 1
            self.latest_flows = [*self.latest_flows, flow][-MAX_FLOWS:]
            insort(self.visits, Visit(record.flow_start_ns, end_ns, bytes_out, bytes_in))
            del self.visits[:-MAX_VISITS]
        else:
            self._extend_visit(record)

    def sighting(self, name: str) -> Sighting:
        """Return what is known of a symptom, made when it is new."""
        return self.sightings.setdefault(name, Sighting())

    def alarmed(self, window_ns: int) -> int:
        """Note that the channel is worth an alarm now; return the day on which that began.

        What alarms again within the window is one and the same alarm.
        """
        if self.last_ns - self.alarm_last_ns > window_ns:
            self.alarm_day_ns = self.last_ns - self.last_ns % DAY_NS
        self.alarm_last_ns = max(self.alarm_last_ns, self.last_ns)
        return self.alarm_day_ns

    def forget_before(self, time_ns: int) -> None:
        """Drop the symptoms that were last seen before a time."""
        old = [name for name, seen in self.sightings.items() if seen.found and seen.last_ns < time_ns]
        for name in old:
            del self.sightings[name]

    def _add_to_hour(self, hour: int, bytes_out: int, bytes_in: int, *, begins: bool) -> None:
        kept = self.hours.setdefault(hour, Hour())
        kept.connections += begins
        kept.bytes_out += bytes_out
        kept.bytes_in += bytes_in
        if len(self.hours) > _KEPT_HOURS:
            del self.hours[min(self.hours)]

    def _add_to_slots(self, first: int, last: int, bytes_out: int) -> None:
        """Spread bytes evenly over the slots that a record reaches over."""
        first = max(first, last - _KEPT_SLOTS + 1)
        each, rest = divmod(bytes_out, last - first + 1)
        for slot in range(first, last + 1):
            self.slots[slot] = self.slots.get(slot, 0) + each
        self.slots[last] += rest
        for slot in sorted(self.slots)[:-_KEPT_SLOTS] if len(self.slots) > _KEPT_SLOTS else ():
            del self.slots[slot]

    def _extend_visit(self, record: FlowRecord) -> None:
        for place in range(len(self.visits) - 1, -1, -1):
            visit = self.visits[place]
            if visit.start_ns == record.flow_start_ns:
                self.visits[place] = Visit(
                    visit.start_ns,
                    max(visit.end_ns, record.end_ns),
                    visit.bytes_out + record.payload_bytes_out,
                    visit.bytes_in + record.payload_bytes_in,
                )
                return


class Surroundings(NamedTuple):
    """What is known about a channel's peer and client from everyone's flows."""

    now_ns: int
    """The time that the traffic has come to."""
    peer_clients: int
    """Clients that ever talked to this peer."""
    clients: int
    """Clients there are."""
    peer_first_ns: int
    """When anybody first talked to it."""
    history_ns: int
    """How long records go back."""
    habits: Habits | None = None
    """What its client usually does, where that is kept."""
    learned: Learned | None = None
    """The channel's hours against what was learned of it; None where too little was."""


_text: Final = lru_cache(maxsize=65_536)(address_text)


def key_of(record: FlowRecord) -> Key:
    """Return the channel that a flow belongs to."""
    peer = record.host.lower() if record.host else _text(record.server_ip)
    return Key(_text(record.client_ip), peer, record.server_port, record.protocol)


def new_channel(record: FlowRecord) -> Channel:
    """Return the channel of a flow, with nothing counted yet."""
    return Channel(*key_of(record), server=address_text(record.server_ip), host=record.host and record.host.lower())
