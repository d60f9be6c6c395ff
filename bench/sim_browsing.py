"""What people do at their machines: browsing, reading, watching, uploading; and what the pages they left open do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from sim_talk import IN, MS, OUT, SECOND, Burst
from sim_web import Caller, Label, Made, exchange
from sim_world import DAY, FLASH, HOUR, MINUTE, START_NS, Day, Peer, User, World, fresh

SESSIONS_A_DAY: Final = (
    7.0  # a guess; with the others it comes to Web Tap's 360 requests a user and day, several times over
)
VISITS: Final = 5.0  # of a session, geometric
PAGES: Final = 3.0  # of a visit, geometric (Huberman et al., Science 1998: surfing depth falls off like that)
READS_S: Final = (22.0, 1.3)  # between two pages: median and sigma; heavy-tailed as Crovella's Pareto of shape 1.5
OBJECTS: Final = 3.0  # requests of a page to its own site over the same connection, geometric
THIRD_PARTY_CALLS: Final = 4.0  # connections of a page to others, geometric
KEEP_ALIVE_S: Final = (5, 65, 115, 240)  # servers' patience, nginx' 65 and browsers' 115-300 among them
LONGEST_READING: Final = 25 * MINUTE
OBJECT_BYTES: Final = 9_000.0  # median of an answer; its tail comes with `exchange`
REQUEST_BYTES: Final = 650.0  # header fields and cookies
BIG_TAIL: Final = (0.02, 1.1)  # of objects are files, Pareto of Crovella's shape 1.1 from 200 kB on
AD_TIMER: Final = (
    0.06  # of visits leave a page open that fetches advertisements every 30 or 60 s (Web Tap saw 30, 60, 90 s)
)
META_REFRESH: Final = 0.25  # of days somebody keeps a page open that reloads itself: news, sport, dashboards
VIDEO: Final = 0.3  # of days a video is watched
FORM: Final = 0.8  # forms sent a day
UPLOAD: Final = 0.12  # of days something large is sent to a site that takes files
CHAT: Final = 0.5  # of users have a chat over a WebSocket open while they work


def web(kind: str) -> Label:
    """Return the label of a kind of benign traffic."""
    return Label(kind, benign=True, instance="")


def geometric(dice: random.Random, mean: float) -> int:
    """Return a number from 1 on with this mean."""
    count = 1
    while dice.random() > 1 / mean and count < 60:
        count += 1
    return count


def browsing(world: World, user: User, day: Day) -> Iterator[Made]:
    """Yield everything that a user does on a day."""
    dice = random.Random(f"browsing {user.number} {day.number} {world.seed}")
    caller = Caller(dice, user, world.lost)
    hours = sum(end - begin for begin, end in day.works) / HOUR
    for _ in range(_poisson(dice, SESSIONS_A_DAY * user.busy * hours / 8)):
        yield from _session(world, caller, _moment(dice, day), _end(day))
    if not day.works:
        return
    yield from _left_open(caller, day)
    if dice.random() < VIDEO:
        yield _video(world, caller, _moment(dice, day))
    for _ in range(_poisson(dice, FORM)):
        yield _form(world, caller, _moment(dice, day))
    if dice.random() < UPLOAD:
        yield _upload(world, caller, _moment(dice, day))
    if user.number % 100 < CHAT * 100:
        yield from _chat(caller, day)
    if day.number == FLASH[0]:
        yield from _flash(world, caller)


def _moment(dice: random.Random, day: Day) -> int:
    """Return a time at which the user sits there, early and late hours as likely as others."""
    begin, end = dice.choices(day.works, [end - begin for begin, end in day.works])[0]
    return dice.randrange(begin, end)


def _end(day: Day) -> int:
    return max(end for _, end in day.works) + 30 * MINUTE


def _poisson(dice: random.Random, mean: float) -> int:
    count, left = 0, dice.expovariate(1.0)
    while left < mean and count < 200:
        count, left = count + 1, left + dice.expovariate(1.0)
    return count


def _session(world: World, caller: Caller, at_ns: int, until_ns: int) -> Iterator[Made]:
    dice = caller.dice
    for _ in range(geometric(dice, VISITS)):
        peer = world.visited(dice, caller.user)
        bursts: list[Burst] = []
        now_ns = at_ns
        for page in range(geometric(dice, PAGES)):
            reads_ns = _reading(dice) if page else MS
            if page:
                now_ns += reads_ns
            if page and reads_ns > dice.choice(KEEP_ALIVE_S) * SECOND:
                yield caller.call(peer, at_ns, bursts, web("web"))
                bursts, at_ns = [], now_ns
                reads_ns = MS
            for number in range(geometric(dice, OBJECTS)):
                bursts += exchange(dice, peer, REQUEST_BYTES, _object(dice, peer), MS if number else reads_ns)
            for _ in range(geometric(dice, THIRD_PARTY_CALLS) - 1):
                yield _third_party(world, caller, now_ns + int(dice.expovariate(2) * SECOND))
        yield caller.call(peer, at_ns, bursts, web("web"))
        if dice.random() < AD_TIMER:
            yield from _ad_timer(world, caller, now_ns, until_ns)
        at_ns = now_ns + _reading(dice)
        if at_ns > until_ns:
            return


def _reading(dice: random.Random) -> int:
    median, sigma = READS_S
    return min(int(median * dice.lognormvariate(0, sigma) * SECOND), LONGEST_READING)


def _object(dice: random.Random, peer: Peer) -> float:
    share, shape = BIG_TAIL
    if dice.random() < share:
        return min(200_000 * dice.paretovariate(shape), 2e8)
    return OBJECT_BYTES * peer.talkative


def _third_party(world: World, caller: Caller, at_ns: int) -> Made:
    dice = caller.dice
    peer = world.third_party(dice)
    bursts: list[Burst] = []
    for number in range(geometric(dice, 1.8)):
        think_ns = int(dice.lognormvariate(5, 1.5) * MS) if number else MS
        bursts += exchange(dice, peer, REQUEST_BYTES, 3_000 * peer.talkative, think_ns)
    return caller.call(peer, at_ns, bursts, web("third-party"))


def _ad_timer(world: World, caller: Caller, at_ns: int, until_ns: int) -> Iterator[Made]:
    """Yield the calls of a page left open: each on a connection of its own, or all on one."""
    dice = caller.dice
    peer = world.third_party(dice)
    every_ns = dice.choice((30, 30, 60, 90)) * SECOND
    ends_ns = min(at_ns + int(min(dice.paretovariate(1.2), 40) * 3 * MINUTE), until_ns)
    if dice.random() < 0.5:
        bursts: list[Burst] = []
        for _ in range(max(1, (ends_ns - at_ns) // every_ns)):
            bursts += exchange(dice, peer, REQUEST_BYTES, 2_500, every_ns + int(dice.expovariate(4) * SECOND))
        yield caller.call(peer, at_ns, bursts, web("ad-timer"))
        return
    while at_ns < ends_ns:
        yield caller.call(peer, at_ns, exchange(dice, peer, REQUEST_BYTES, 2_500, MS), web("ad-timer"))
        at_ns += every_ns + int(dice.expovariate(4) * SECOND)


def _left_open(caller: Caller, day: Day) -> Iterator[Made]:
    dice = caller.dice
    if dice.random() >= META_REFRESH:
        return
    peer = dice.choice(caller.user.favourites[:10])
    every_ns = dice.choice((60, 120, 180, 300)) * SECOND
    at_ns = _moment(dice, day)
    ends_ns = min(at_ns + int(dice.uniform(0.5, 5) * HOUR), _end(day))
    size = dice.lognormvariate(10, 0.6)  # the page is the same but for its news
    while at_ns < ends_ns:
        bursts = [burst for number in range(2) for burst in exchange(dice, peer, REQUEST_BYTES, size, MS)]
        yield caller.call(peer, at_ns, bursts, web("meta-refresh"))
        at_ns += every_ns + int(dice.gauss(0.4, 0.2) * SECOND)


def _video(world: World, caller: Caller, at_ns: int) -> Made:
    """Return a video: segments of a few seconds fetched ahead, each asked for with a short request."""
    dice = caller.dice
    peer = world.third_parties[dice.randrange(6)]
    every_ns = dice.choice((4, 6, 10)) * SECOND
    rate = dice.choice((1.2e6, 2.5e6, 5e6)) / 8
    minutes = min(dice.lognormvariate(2.0, 0.9), 150)  # median seven minutes, some a whole evening's film
    bursts: list[Burst] = []
    for number in range(max(4, int(minutes * MINUTE / every_ns))):
        size = rate * every_ns / SECOND * dice.lognormvariate(0, 0.25)
        think_ns = max(MS, int((every_ns - SECOND) * dice.lognormvariate(0, 0.15))) if number > 3 else MS
        bursts += [(OUT, 420, think_ns), (IN, int(size), peer.rtt_ns + 20 * MS)]
    return caller.call(peer, at_ns, bursts, web("video"))


def _form(world: World, caller: Caller, at_ns: int) -> Made:
    dice = caller.dice
    peer = world.visited(dice, caller.user)
    size = 400 * dice.paretovariate(1.1)  # mostly a few fields, sometimes a text or a picture
    return caller.call(peer, at_ns, exchange(dice, peer, 900 + min(size, 5e6), 4_000, MS), web("form"), method="POST")


def _upload(world: World, caller: Caller, at_ns: int) -> Made:
    """Return a file sent to a site that takes them: lognormal about 4 MB, sigma 1.6, so one in a hundred has 160 MB."""
    dice = caller.dice
    peer = dice.choice(caller.user.favourites) if dice.random() < 0.7 else world.popular(dice)
    size = int(min(4e6 * dice.lognormvariate(0, 1.6), 2e9))
    bursts = [(OUT, size, MS), (IN, 600, peer.rtt_ns + 200 * MS)]
    return caller.call(peer, at_ns, bursts, web("upload"), method="POST")


def _chat(caller: Caller, day: Day) -> Iterator[Made]:
    """Yield a WebSocket a stretch of work: messages when people write, pings every half minute."""
    dice = caller.dice
    peer = Peer("chat.example", bytes((52, 1, 2, 3)), 20 * MS, tls=True, talkative=1.0)
    for begin, end in day.works:
        bursts: list[Burst] = [*exchange(dice, peer, 800, 500, MS)]
        now_ns = begin
        while now_ns < end:
            ping_ns = 30 * SECOND + int(dice.expovariate(10) * SECOND)
            speaks_ns = int(dice.expovariate(1 / 240) * SECOND)  # a message each way every four minutes
            gap_ns = min(ping_ns, speaks_ns)
            if gap_ns == ping_ns:
                bursts += [(OUT, 28, gap_ns), (IN, 28, peer.rtt_ns)]
            else:
                side = dice.choice((IN, OUT))
                bursts += [(side, int(60 + dice.lognormvariate(4, 1)), gap_ns), (1 - side, 40, peer.rtt_ns)]
            now_ns += gap_ns
        yield caller.call(peer, begin, bursts, web("chat"), alpn="http/1.1")


def _flash(world: World, caller: Caller) -> Iterator[Made]:
    """Yield one user's part in a flash crowd: what everybody talks about, looked at again and again for two hours."""
    peer = fresh(random.Random(f"flash {world.seed}"), "talk-of-the-town")
    dice = caller.dice
    at_ns = START_NS + FLASH[0] * DAY + int((FLASH[1] + dice.expovariate(3)) * HOUR)
    for _ in range(geometric(dice, 8)):
        bursts = [burst for _ in range(4) for burst in exchange(dice, peer, REQUEST_BYTES, 30_000, 5 * MS)]
        yield caller.call(peer, at_ns, bursts, web("flash-crowd"))
        at_ns += int(dice.expovariate(1 / 420) * SECOND)
