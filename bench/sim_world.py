"""The people, machines and servers of the simulated network, and when they are there.

Every number has its reason beside it.  Sources: Borders and Prakash, "Web Tap" (CCS 2004): 30 users, 40 days, 428,608
requests, 6,441 sites; Breslau et al., "Web Caching and Zipf-like Distributions" (INFOCOM 1999): exponents of 0.64
to 0.83; Crovella and Bestavros, "Self-Similarity in World Wide Web Traffic" (IEEE/ACM ToN 1997): sizes of files and
silences are Pareto, with shapes of 1.0-1.3 and 1.5; Barford and Crovella (SIGMETRICS 1998) for pages and what is in
them.  Where no source is named the number is a guess about an office of today, and says so.
"""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate
from typing import Final, NamedTuple

from sim_content import BROWSERS, Software
from sim_talk import MS, SECOND

MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
START_NS: Final = 1_756_684_800 * SECOND  # Monday, 1 September 2025, UTC

SITES: Final = 6_441  # Web Tap's network knew so many
ZIPF: Final = 0.75  # the middle of Breslau's range
FAVOURITES: Final = 40  # sites of one's own, a guess: people come back to a few dozen
EXPLORES: Final = 0.15  # of visits go to a site by its popularity alone, and of these some to one never seen
NEW_SITE: Final = 0.2  # of those; so a user sees about one new name an hour of browsing
THIRD_PARTIES: Final = 300  # advertisers, counters, content networks, fonts: few and popular
PROXIED: Final = 0.5  # of the users; the others go straight out, so that both ways are seen
ALWAYS_ON: Final = 0.3  # of the machines; the others are there when their users are
WEEKEND: Final = 0.12  # of the people work on a day of the weekend, a guess
ABSENT: Final = 0.05  # of working days are leave or illness, a guess: 11 days a year
HOLIDAYS: Final = (16, 33)  # days of the run on which everybody has a day off
FLASH: Final = (22, 10.5)  # day and hour at which everybody visits one site that nobody knew

PROXY: Final = bytes((10, 1, 1, 1))
PROXY_PORT: Final = 3128
RESOLVER: Final = bytes((10, 1, 1, 53))


class Peer(NamedTuple):
    """A server that is asked for by name."""

    host: str
    address: bytes
    rtt_ns: int
    tls: bool
    talkative: float
    """How much larger than others its answers are: lognormal, sigma 0.8."""


class User(NamedTuple):
    """A person and a machine."""

    number: int
    address: bytes
    proxied: bool
    always_on: bool
    browser: Software
    arrives_h: float
    leaves_h: float
    busy: float
    """How much more than others they browse: lognormal, sigma 0.5."""
    favourites: tuple[Peer, ...]


class Day(NamedTuple):
    """When a user's machine is on, and when somebody sits there; empty when not at all."""

    number: int
    midnight_ns: int
    on: tuple[int, int]
    """From, until, in ns."""
    works: tuple[tuple[int, int], ...]


class World:
    """Who there is; the same for the same seed."""

    def __init__(self, seed: int | str, users: int, lost: float = 0.0) -> None:
        dice = random.Random(f"world {seed}")
        self.seed, self.lost = seed, lost
        self.sites = [_peer(dice, f"site{number:05}") for number in range(SITES)]
        self._popular = list(accumulate((rank + 1) ** -ZIPF for rank in range(SITES)))
        self.third_parties = [_peer(dice, f"cdn{number:03}") for number in range(THIRD_PARTIES)]
        self._often = list(accumulate((rank + 1) ** -1.0 for rank in range(THIRD_PARTIES)))
        self.users = [self._user(dice, number) for number in range(users)]

    def _user(self, dice: random.Random, number: int) -> User:
        arrives_h = dice.gauss(8.5, 0.8)  # a guess: half an hour to either side of half past eight
        return User(
            number=number,
            address=bytes((10, 1, 2 + number // 200, 10 + number % 200)),
            proxied=dice.random() < PROXIED,
            always_on=dice.random() < ALWAYS_ON,
            browser=dice.choices(BROWSERS, (65, 15, 20))[0],
            arrives_h=arrives_h,
            leaves_h=arrives_h + max(4.0, dice.gauss(8.7, 0.9)),
            busy=dice.lognormvariate(0, 0.5),
            favourites=tuple(self.popular(dice) for _ in range(FAVOURITES)),
        )

    def popular(self, dice: random.Random) -> Peer:
        """Return a site, the popular ones more often."""
        return self.sites[bisect(self._popular, dice.random() * self._popular[-1])]

    def third_party(self, dice: random.Random) -> Peer:
        """Return one of those that pages bring in."""
        return self.third_parties[bisect(self._often, dice.random() * self._often[-1])]

    def visited(self, dice: random.Random, user: User) -> Peer:
        """Return the site of a visit: mostly a favourite, the n-th about 1/n as often as the first."""
        if dice.random() >= EXPLORES:
            return user.favourites[int(len(user.favourites) ** dice.random()) - 1]
        return fresh(dice, "new") if dice.random() < NEW_SITE else self.popular(dice)

    def day(self, user: User, number: int) -> Day:
        """Return a user's day; the same whenever it is asked for."""
        dice = random.Random(f"day {number} of {user.number} in {self.seed}")
        midnight_ns = START_NS + number * DAY
        free = number % 7 > 4 or number in HOLIDAYS
        there = dice.random() < (WEEKEND if free else 1 - ABSENT)
        if not there:
            return Day(number, midnight_ns, (midnight_ns, midnight_ns + DAY) if user.always_on else (0, 0), ())
        comes_h = max(0.2, user.arrives_h + dice.gauss(0, 0.35))
        goes_h = user.leaves_h + dice.gauss(0, 0.6)
        if free:
            goes_h = comes_h + dice.uniform(1, 5)
        goes_h = min(23.5, max(goes_h, comes_h + 1))
        noon_h = min(max(comes_h + 0.4, dice.gauss(12.4, 0.3)), goes_h - 0.3)
        begins, ends = midnight_ns + int(comes_h * HOUR), midnight_ns + int(goes_h * HOUR)
        lunch = midnight_ns + int(noon_h * HOUR)
        works = [(begins, lunch), (lunch + int(dice.uniform(20, 60) * MINUTE), ends)]
        evening_h = dice.uniform(19, 21.5)
        if dice.random() < 0.1 and goes_h < evening_h:  # one evening in ten something is finished from home
            works.append((midnight_ns + int(evening_h * HOUR), midnight_ns + int((evening_h + 1.2) * HOUR)))
        works = [(one, other) for one, other in works if other > one]
        on = (midnight_ns, midnight_ns + DAY) if user.always_on else (begins, max(end for _, end in works))
        return Day(number, midnight_ns, on, tuple(works))


def _peer(dice: random.Random, name: str) -> Peer:
    tld = dice.choice(("com", "net", "org", "example", "io"))
    # Round trips: lognormal about 25 ms, a guess at a European office.
    return Peer(
        f"{name}.{tld}",
        bytes((dice.choice((23, 34, 52, 104, 142, 151, 185)), *dice.randbytes(3))),
        int(min(dice.lognormvariate(3.2, 0.7), 400) * MS),
        dice.random() < 0.95,  # of page loads, as browsers' own statistics say since 2020
        dice.lognormvariate(0, 0.8),
    )


def fresh(dice: random.Random, kind: str, *, tls: bool = True) -> Peer:
    """Return a server that nobody has talked to."""
    return _peer(dice, f"{kind}-{dice.randrange(1 << 32):08x}")._replace(tls=tls)
