"""What a client usually does: its active hours, its ports, its servers; decayed counts of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from typing import Final, TypeVar

from msgspec import Struct, field

from common.timespan import NS_PER_S

_HOUR_NS: Final = 3600 * NS_PER_S
_DAY_NS: Final = 24 * _HOUR_NS
HALF_LIFE_DAYS: Final = 7.0
"""As SPADE's for odd ports: what was usual weighs half a week later."""
_WAITING_DAYS: Final = 2
_MOST_PORTS: Final = 128
_PORTS_WITH_SERVERS: Final = 8
_MOST_SERVERS: Final = 32
_HOURS: Final = 24
_LEAST_WEIGHT: Final = 0.01
_MOST_REST: Final = 0.2

Name = TypeVar("Name", int, str)


class Day(Struct, array_like=True):
    """What a client did on one day."""

    hours: int = 0
    """A bit for each hour in which it began a connection."""
    flows: int = 0
    ports: dict[int, int] = {}
    servers: dict[int, dict[str, int]] = {}
    """By port; names where they are known, else addresses."""

    def add(self, hour: int, port: int, peer: str) -> None:
        """Count one connection; ports and servers beyond the bounds count in ``flows``, and in their port."""
        self.hours |= 1 << hour
        self.flows += 1
        if port in self.ports or len(self.ports) < _MOST_PORTS:
            self.ports[port] = self.ports.get(port, 0) + 1
        servers = self.servers.get(port)
        if servers is None:
            if len(self.servers) >= _PORTS_WITH_SERVERS:
                return
            servers = self.servers[port] = {}
        if peer in servers or len(servers) < _MOST_SERVERS:
            servers[peer] = servers.get(peer, 0) + 1


class Habits(Struct):
    """What is usual for a client, learned from days that are over, without the latest two on which it was active.

    So what is asked about the latest 24 hours is answered from what was learned before them: nothing excuses itself.
    """

    first_day: int = 0
    """The first day that was learned, in days since 1970; 0 while there is none."""
    last_day: int = 0
    """The last one; counts are decayed to it."""
    days: dict[int, Day] = {}
    """Days that are not learned yet."""
    kinds: list[float] = field(default_factory=lambda: [0.0] * 2)
    """Active days that were learned: weekdays, and days of the weekend."""
    hours: list[float] = field(default_factory=lambda: [0.0] * (2 * _HOURS))
    """On how many of these days each hour was active, weekdays first."""
    flows: float = 0.0
    ports: dict[int, float] = {}
    servers: dict[int, dict[str, float]] = {}

    def add(self, start_ns: int, port: int, peer: str) -> None:
        """Count one connection; one of a day that was learned already comes too late and is left out."""
        number = start_ns // _DAY_NS
        if self.first_day and number <= self.last_day:
            return
        day = self.days.get(number)
        if day is None:
            day = self.days[number] = Day()
        day.add(start_ns % _DAY_NS // _HOUR_NS, port, peer)
        while len(self.days) > _WAITING_DAYS:
            self._learn(min(self.days))

    def known_days(self, now_ns: int) -> int:
        """Return for how many days this client has been learned, days without activity included."""
        return max(now_ns // _DAY_NS - self.first_day, 0) if self.first_day else 0

    def active_share(self, hour: int) -> tuple[float, float]:
        """Return on which share of such days an hour since 1970 was active, and how many such days weigh in."""
        kind = _kind(hour // _HOURS)
        weight = self.kinds[kind]
        return (self.hours[kind * _HOURS + hour % _HOURS] / weight if weight else 0.0), weight

    def port_rarity(self, port: int) -> float:
        """Return the share of this client's connections to ports as rare as this one, or rarer: a conformal p-value."""
        return _rarity(self.ports, port, self.flows)

    def server_rarity(self, port: int, peer: str) -> float:
        """Return the same of servers on one port."""
        return _rarity(self.servers.get(port, {}), peer, self.ports.get(port, 0.0))

    def server_entropy(self, port: int) -> float | None:
        """Return how unpredictable the servers on a port are, in bits; None where too many were not kept."""
        total = self.ports.get(port, 0.0)
        weights = list(self.servers.get(port, {}).values())
        rest = total - sum(weights)
        if not total or not weights or rest > _MOST_REST * total:
            return None
        shares = [weight / total for weight in (*weights, rest) if weight > 0]
        return sum(-share * log2(share) for share in shares)

    def _learn(self, number: int) -> None:
        day = self.days.pop(number)
        if self.first_day:
            self._decay(0.5 ** ((number - self.last_day) / HALF_LIFE_DAYS))
        else:
            self.first_day = number
        self.last_day = number
        kind = _kind(number)
        self.kinds[kind] += 1
        for hour in range(_HOURS):
            self.hours[kind * _HOURS + hour] += day.hours >> hour & 1
        self.flows += day.flows
        self.ports = _most(_summed(self.ports, day.ports), _MOST_PORTS)
        servers = {
            port: _most(_summed(self.servers.get(port, {}), day.servers.get(port, {})), _MOST_SERVERS)
            for port in {*self.servers, *day.servers}
        }
        busiest = sorted(servers, key=lambda port: (-self.ports.get(port, 0.0), port))[:_PORTS_WITH_SERVERS]
        self.servers = {port: servers[port] for port in busiest}

    def _decay(self, factor: float) -> None:
        self.kinds = [weight * factor for weight in self.kinds]
        self.hours = [weight * factor for weight in self.hours]
        self.flows *= factor
        self.ports = _faded(self.ports, factor)
        self.servers = {port: _faded(servers, factor) for port, servers in self.servers.items()}


def _kind(day: int) -> int:
    """Return 1 for a day of the weekend, else 0; day 0, the first of 1970, was a Thursday."""
    return int((day + 3) % 7 >= 5)


def _rarity(weights: Mapping[Name, float], name: Name, total: float) -> float:
    own = weights.get(name, 0.0)
    commoner = sum(weight for weight in weights.values() if weight > own)
    return min((1 + max(total - commoner, 0.0)) / (total + 1), 1.0)


def _summed(weights: Mapping[Name, float], more: Mapping[Name, int]) -> dict[Name, float]:
    return {name: weights.get(name, 0.0) + more.get(name, 0) for name in {**weights, **more}}


def _most(weights: Mapping[Name, float], number: int) -> dict[Name, float]:
    kept = sorted(weights, key=lambda name: (-weights[name], name))[:number]
    return {name: weights[name] for name in kept}


def _faded(weights: Mapping[Name, float], factor: float) -> dict[Name, float]:
    return {name: weight * factor for name, weight in weights.items() if weight * factor >= _LEAST_WEIGHT}
