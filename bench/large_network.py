"""The network of the large store: two thousand clients, what they like to visit, and what they do on a day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

import msgpack
from large_shapes import PART, SECOND

HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
DAYS: Final = 30
START_NS: Final = 1_756_684_800 * SECOND  # Monday, 1 September 2025, UTC
CLIENTS: Final = 2_000
SERVICES: Final = 40_000
TEN_MILLION: Final = 10_000_000
_TUNNELS, _BEACONS = 200, 200  # among ten million flows
# How much goes on in each hour of a working day; at the weekend a share of it.
_HOURS = (3, 2, 2, 2, 2, 3, 6, 18, 52, 80, 92, 90, 66, 82, 94, 90, 80, 58, 28, 14, 10, 8, 6, 4)
_WEEKEND = 0.15
# Kinds with their port, protocol and weight among the services.
_KINDS = (
    ("tls", 443, 6, 60), ("http", 80, 6, 20), ("quic", 443, 17, 8), ("other", 8080, 6, 3), ("other", 3128, 6, 1),
    ("mail", 993, 6, 3), ("mail", 587, 6, 1), ("mail", 25, 6, 1), ("ssh", 22, 6, 2), ("ntp", 123, 17, 1),
)  # fmt: skip
_WORDS = ("mail", "news", "cloud", "static", "api", "media", "shop", "files", "data", "login", "img", "play")
_EXPLORES = 0.04
_ASKS = 0.7
_FAVOURITES = 40, 400
_WITHIN = 20 * 60  # seconds that a visit lasts, about


class Service(NamedTuple):
    """A service, and how a record says so."""

    kind: str
    packed: bytes
    """Address, port and the evidence of who is the client, as in a record."""
    host: bytes
    """The name asked for and what comes after it, as in a record."""
    rtt_ms: float


class Task(NamedTuple):
    """One flow to be made: when, by whom, to which service; long ones are cut into parts."""

    start_ns: int
    client: int
    service: Service
    lasts_ns: int = 0


class Network:
    """Who there is; the same for the same seed."""

    def __init__(self, seed: int, flows: int) -> None:
        dice = random.Random(f"network {seed}")
        self.seed, self.flows = seed, flows
        self.clients = [b"\xc4\x04\x0a\x01" + number.to_bytes(2, "big") for number in range(1, CLIENTS + 1)]
        self.services = [_service(dice, number) for number in range(SERVICES)]
        self.resolvers = [_known(dice, "dns", bytes((10, 0, 0, last)), 53, 17) for last in (53, 54, 153, 154)]
        self._popular = list(accumulate((rank + 3) ** -0.95 for rank in range(SERVICES)))
        self._active = list(accumulate(dice.lognormvariate(0, 1.1) for _ in range(CLIENTS)))
        least, most = _FAVOURITES
        self.favourites = [
            [self.popular(dice) for _ in range(int(min(most, least * dice.paretovariate(0.9))))] for _ in range(CLIENTS)
        ]
        ports = [service for service in self.services if service.kind in ("tls", "http", "ssh")]
        share = flows / TEN_MILLION
        self.tunnels = [(dice.randrange(CLIENTS), dice.choice(ports)) for _ in range(max(1, round(_TUNNELS * share)))]
        self.beacons = [
            (
                dice.randrange(CLIENTS),
                dice.choice(ports)._replace(kind="beacon"),
                dice.choice((300, 600, 900, 1800, 3600)),
            )
            for _ in range(round(_BEACONS * share))
        ]

    def popular(self, dice: random.Random) -> Service:
        """Return a service, the popular ones more often."""
        return dice.choices(self.services, cum_weights=self._popular)[0]

    @cached_property
    def flows_of_days(self) -> list[int]:
        """How many flows begin on each day."""
        weights = [_WEEKEND if day % 7 > 4 else 1.0 for day in range(DAYS)]
        ends = [round(self.flows * part / sum(weights)) for part in accumulate(weights)]
        return [end - before for before, end in zip([0, *ends], ends, strict=False)]

    def day(self, day: int) -> Iterator[Task]:
        """Yield what is to happen on a day, in no order; the number of flows is exact."""
        dice = random.Random(f"day {day} of {self.seed}")
        left = self.flows_of_days[day]
        for task in (*self._tunnelled(dice, day), *self._beaconed(dice)):
            if left:
                left -= 1
                yield task
        hours = list(accumulate(_HOURS))
        while True:
            for client in dice.choices(range(CLIENTS), cum_weights=self._active, k=1_000):
                (hour,) = dice.choices(range(24), cum_weights=hours)
                for task in self._visits(dice, client, int((hour + dice.random()) * HOUR)):
                    if not left:
                        return
                    left -= 1
                    yield task

    def _visits(self, dice: random.Random, client: int, at_ns: int) -> Iterator[Task]:
        """Yield a stretch of work: some services, some flows to each, and the names asked for before."""
        favourites = self.favourites[client]
        draw = dice.random
        for _ in range(1 + int(dice.expovariate(0.4))):
            # The n-th favourite about 1/n as often as the first.
            usual = favourites[int(len(favourites) ** draw()) - 1]
            service = self.popular(dice) if draw() < _EXPLORES else usual
            begins_ns = at_ns + int(draw() * _WITHIN * SECOND)
            if draw() < _ASKS:
                resolver = self.resolvers[(client & 1) * 2 + (draw() < 0.2)]
                yield Task(begins_ns - int(draw() * 50_000_000) - 1_000_000, client, resolver)
            for _ in range(1 + int(dice.expovariate(0.33))):
                yield Task(begins_ns, client, service)
                begins_ns += int(dice.expovariate(0.02) * SECOND)

    def _tunnelled(self, dice: random.Random, day: int) -> Iterator[Task]:
        for client, service in self.tunnels:
            if dice.random() < (0.25 if day % 7 > 4 else 0.7):
                lasts_ns = int(dice.uniform(0.5, 8) * HOUR)
                yield Task(int(dice.uniform(7, 15) * HOUR), client, service, max(lasts_ns, PART))

    def _beaconed(self, dice: random.Random) -> Iterator[Task]:
        for client, service, period_s in self.beacons:
            at_s = dice.uniform(0, period_s)
            while at_s < DAY / SECOND - 60:
                yield Task(int(at_s * SECOND), client, service)
                at_s += period_s * dice.uniform(0.9, 1.1)


def _service(dice: random.Random, number: int) -> Service:
    kind, port, protocol, _ = dice.choices(_KINDS, [weight for *_, weight in _KINDS])[0]
    # Some addresses have several services; names of one place share an ending.
    address = (0x5D000000 | ((number // 5 * 4 + number % 4) * 2_654_435 + 65_537) % 0xFFFFFF).to_bytes(4, "big")
    host = f"{dice.choice(_WORDS)}{number % 7}.site-{number * 7919 % SERVICES:05}.example"
    named = kind in ("tls", "http") and number % 2
    return _known(dice, kind, address, port, protocol, host if named else None)


def _known(
    dice: random.Random, kind: str, address: bytes, port: int, protocol: int, host: str | None = None
) -> Service:
    evidence = 1 if protocol == 6 else 4
    packed = b"".join(map(msgpack.packb, (address, port, evidence)))
    return Service(
        kind, packed, b"".join(map(msgpack.packb, (host, None, None))), min(dice.lognormvariate(2.8, 0.8), 400)
    )
