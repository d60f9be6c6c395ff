"""What machines do by themselves: pollers, push, updates, backups, synchronisation, services that are down."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from sim_browsing import geometric, web
from sim_content import Software, ssh, unknown
from sim_talk import IN, MS, NOTHING_KNOWN, OUT, SECOND, Burst, Ends, Talk, refused
from sim_web import Caller, Made, exchange
from sim_world import HOLIDAYS, HOUR, MINUTE, PROXY, PROXY_PORT, RESOLVER, Day, Peer, User, World, fresh


class Poller(NamedTuple):
    """A program that asks again and again."""

    kind: str
    share: float
    """Of the users that have it; below 1/users it is the one program that a single machine has."""
    every_s: float
    jitter: float
    """Up to so much more, in parts of the interval, uniform."""
    request: float
    answer: float
    shared: bool = True
    """Whether all users ask one server; otherwise each asks one of a dozen."""
    tls: bool = True
    working: bool = False
    """Only while somebody works, and not whenever the machine is on."""
    kept: bool = False
    """Whether it asks on one connection, as pages do in a browser, and not on a new one each time."""


# Intervals are those of programs' documentation and of Web Tap's list (30 s to 60 minutes); the CTU's recording of one
# Windows host has 301.6 s (a virus scanner) and 900 s (push), the laboratory's captures 5 to 60 s scaled down.
POLLERS: Final = (
    Poller("mail-check", 0.3, 600, 0.0, 400, 900),  # POP or IMAP over TLS: ten minutes is the usual default
    Poller("mail-check", 0.3, 300, 0.02, 700, 1_500),
    Poller("webmail-poll", 0.4, 60, 0.05, 900, 700, working=True, kept=True),
    Poller("weather", 0.5, 1800, 0.02, 500, 6_000, shared=False),
    Poller("virus-scanner", 0.9, 3600, 0.01, 600, 2_000),
    Poller("virus-scanner", 0.9, 301.6, 0.0, 450, 420),
    Poller("update-check", 1.0, 4 * 3600, 0.25, 900, 3_000),  # systems spread their checks over hours
    Poller("update-check", 0.7, 3600, 0.3, 700, 1_200),
    Poller("telemetry", 1.0, 900, 0.5, 2_500, 300),
    Poller("telemetry", 0.5, 240, 1.0, 1_800, 250),
    Poller("feed", 0.25, 1800, 0.0, 380, 25_000, shared=False),
    Poller("ticker", 0.1, 30, 0.02, 420, 900, shared=False, working=True),
    Poller("ocsp", 1.0, 2400, 1.0, 320, 1_700, tls=False),
    Poller("intranet-monitor", 0.05, 60, 0.0, 220, 600, tls=False),
)
# Programs that one machine alone has: of each user's, so many. They are what a beacon looks like.
RARE_POLLERS: Final = 0.4
RARE_EVERY_S: Final = (60, 300, 600, 900, 1800, 3600)
PUSH: Final = 1.8  # connections that a machine keeps open for pushed messages: system, mail, messenger
PUSH_KEEPS_S: Final = (240, 300, 540, 900, 1680)  # keep-alives: mobile push services' 15 and 28 minutes among them
PUSH_BREAKS: Final = 0.05  # an hour: servers and networks end what is idle
LONG_POLL: Final = 0.35  # of users have a page or program that asks and is answered after 25 to 90 s
SYNC: Final = 0.35  # of users synchronise a folder
BACKUP: Final = 0.25  # of the machines that are always on send a backup every night
BACKUP_BYTES: Final = (1.5e8, 1.0)  # median and sigma of the day's changes
PATCH_DAYS: Final = (8, 36)  # the second Tuesday of the month: every machine fetches some hundred MB
NTP_S: Final = 1024  # poll exponent 10 (RFC 5905)
LOOKUPS: Final = 60  # questions to the resolver in a day, beside what caches answer
DOWN: Final = 0.03  # of days a service that a program wants is down, and it tries with growing pauses
ADMINS: Final = 0.07  # of users log in to servers over ssh
BACK_OFF: Final = 1.6  # gRPC's multiplier
KEPT_ENDS: Final = 1 / 200
FORGETS: Final = 0.004  # of polls do not happen, as machines stutter


def machines(world: World, user: User, day: Day) -> Iterator[Made]:
    """Yield everything that a user's machine does by itself on a day."""
    dice = random.Random(f"machine {user.number} {day.number} {world.seed}")
    begin, end = day.on
    if begin == end:
        return
    caller = Caller(dice, user, world.lost)
    for number, (poller, peer, software) in enumerate(installed(world, user)):
        spans = day.works if poller.working else ((begin, end),)
        for span in spans:
            yield from _polls(caller, poller, peer, software, span, number)
    for peer, software, keeps_s in _pushes(world, user):
        yield from _push(caller, peer, software, keeps_s, (begin, end))
    habits = random.Random(f"habits {user.number} {world.seed}")
    if habits.random() < LONG_POLL:
        yield from _long_poll(caller, day)
    if habits.random() < SYNC:
        yield from _sync(caller, day)
    if habits.random() < BACKUP and user.always_on:
        yield _backup(caller, day, habits.lognormvariate(0, 0.5))
    if habits.random() < ADMINS:
        yield from _administers(caller, day)
    if day.number in PATCH_DAYS:
        yield from _patches(caller, begin + int(dice.uniform(0.1, 3) * HOUR))
    if dice.random() < DOWN:
        yield from _down(world, caller, dice.randrange(begin, end), end)
    yield from _clock(caller, (begin, end))
    yield from _names(caller, (begin, end))


def installed(world: World, user: User) -> Iterator[tuple[Poller, Peer, Software]]:
    """Yield the pollers that a user has, with the servers that they ask; the same on every day."""
    dice = random.Random(f"installed {user.number} {world.seed}")
    for number, poller in enumerate(POLLERS):
        if dice.random() < poller.share:
            place = 0 if poller.shared else dice.randrange(12)
            yield poller, _service(world, poller.kind, number, place, tls=poller.tls), _program(poller.kind, number)
    for number in range(_rounded(dice, RARE_POLLERS)):
        every_s = dice.choice(RARE_EVERY_S)
        poller = Poller("rare-poller", 0, every_s, dice.choice((0, 0.02, 0.1, 0.3)), 480, 1_500, working=every_s < 300)
        peer = _service(world, "rare", user.number, number, tls=True)
        yield poller, peer, _program("rare", 1000 * user.number + number)


def _rounded(dice: random.Random, mean: float) -> int:
    return int(mean) + (dice.random() < mean % 1)


def _service(world: World, kind: str, number: int, place: int, *, tls: bool) -> Peer:
    return fresh(random.Random(f"{kind} {number} {place} {world.seed}"), kind, tls=tls)


def _program(kind: str, number: int) -> Software:
    dice = random.Random(f"program {kind} {number}")
    version = f"{dice.randrange(1, 9)}.{dice.randrange(20)}"
    ciphers, extensions = dice.randbytes(6).hex(), dice.randbytes(6).hex()
    ja4 = f"t13d{dice.randrange(20, 50)}{dice.randrange(8, 14):02}h1_{ciphers}_{extensions}"
    return Software(f"{kind.replace('-', ' ').title().replace(' ', '')}/{version}", ja4)


def _polls(
    caller: Caller, poller: Poller, peer: Peer, software: Software, span: tuple[int, int], number: int
) -> Iterator[Made]:
    dice = caller.dice
    # The phase is the program's start, which is the machine's, give or take what comes before it.
    at_ns = span[0] + int(random.Random(f"{number} {span[0]} {caller.user.number}").uniform(0, poller.every_s) * SECOND)
    size = poller.answer * random.Random(f"{peer.host}").lognormvariate(0, 0.3)
    begun_ns, asked_ns, kept = at_ns, at_ns, list[Burst]()
    while at_ns < span[1]:
        if dice.random() > FORGETS:
            # Asked the same every time, answered nearly the same: now and then there is news.
            news = dice.lognormvariate(0, 1.2) if dice.random() < 0.1 else dice.lognormvariate(0, 0.03)
            sent = int(poller.request * dice.lognormvariate(0, 0.02))
            answer_ns = peer.rtt_ns + int(dice.lognormvariate(2.5, 0.8) * MS)
            kept += [(OUT, sent, max(MS, at_ns - asked_ns)), (IN, max(40, int(size * news)), answer_ns)]
            asked_ns = at_ns + answer_ns
            # Servers close what is kept after some hundreds of requests; a guess.
            if not poller.kept or dice.random() < KEPT_ENDS:
                yield caller.call(peer, begun_ns, kept, web(poller.kind), software=software, alpn="http/1.1")
                kept = []
        at_ns += int(poller.every_s * (1 + poller.jitter * dice.random()) * SECOND) + int(dice.expovariate(5) * SECOND)
        if not kept:
            begun_ns = asked_ns = at_ns
    if kept:
        yield caller.call(peer, begun_ns, kept, web(poller.kind), software=software, alpn="http/1.1")


def _pushes(world: World, user: User) -> Iterator[tuple[Peer, Software, int]]:
    dice = random.Random(f"push {user.number} {world.seed}")
    for number in range(max(1, _rounded(dice, PUSH))):
        kind = number if dice.random() < 0.8 else 3 + dice.randrange(6)
        yield _service(world, "push", kind, 0, tls=True), _program("push", kind), dice.choice(PUSH_KEEPS_S)


def _push(caller: Caller, peer: Peer, software: Software, keeps_s: int, span: tuple[int, int]) -> Iterator[Made]:
    dice = caller.dice
    at_ns = span[0] + int(dice.uniform(5, 90) * SECOND)
    while at_ns < span[1] - MINUTE:
        ends_ns = min(span[1], at_ns + int(dice.expovariate(PUSH_BREAKS) * HOUR) + MINUTE)
        bursts: list[Burst] = list(exchange(dice, peer, 900, 700, MS))
        now_ns = at_ns
        while now_ns < ends_ns:
            message_ns = int(dice.expovariate(1 / 2_400) * SECOND)  # one in forty minutes
            if message_ns < keeps_s * SECOND:
                bursts += [(IN, int(80 + dice.lognormvariate(5, 1)), message_ns), (OUT, 45, peer.rtt_ns)]
                now_ns += message_ns
            else:
                bursts += [(OUT, 33, keeps_s * SECOND), (IN, 33, peer.rtt_ns)]
                now_ns += keeps_s * SECOND
        yield caller.call(peer, at_ns, bursts, web("push"), software=software)
        at_ns = now_ns + int(dice.uniform(2, 30) * SECOND)


def _long_poll(caller: Caller, day: Day) -> Iterator[Made]:
    dice = caller.dice
    peer = Peer("notify.example", bytes((52, 1, 2, 9)), 22 * MS, tls=True, talkative=1.0)
    waits_s = (25, 55, 90)[caller.user.number % 3]
    for begin, end in day.works:
        bursts: list[Burst] = []
        now_ns, at_ns = begin, begin
        while now_ns < end:
            answer_ns = min(int(dice.expovariate(1 / 200) * SECOND), waits_s * SECOND)
            bursts += [
                (OUT, 620, 5 * MS),
                (IN, 180 if answer_ns == waits_s * SECOND else 1_400, answer_ns + peer.rtt_ns),
            ]
            now_ns += answer_ns + peer.rtt_ns + 5 * MS
            if dice.random() < 0.02:
                yield caller.call(peer, at_ns, bursts, web("long-poll"))
                bursts, at_ns = [], now_ns
        if bursts:
            yield caller.call(peer, at_ns, bursts, web("long-poll"))


def _sync(caller: Caller, day: Day) -> Iterator[Made]:
    """Yield a folder kept the same elsewhere: a connection that waits, and transfers when files change."""
    dice = caller.dice
    waits = Peer("notify.sync.example", bytes((162, 125, 1, 1)), 30 * MS, tls=True, talkative=1.0)
    stores = Peer("files.sync.example", bytes((162, 125, 1, 2)), 30 * MS, tls=True, talkative=1.0)
    for begin, end in day.works:
        bursts: list[Burst] = []
        for _ in range(max(1, (end - begin) // (900 * SECOND))):
            bursts += [(OUT, 350, 5 * MS), (IN, 260, 900 * SECOND)]  # fifteen minutes, as in CTU's recording
        yield caller.call(waits, begin, bursts, web("sync-wait"), software=_program("sync", 1))
        for _ in range(geometric(dice, 6)):
            size = int(min(60_000 * dice.lognormvariate(0, 2.0), 5e8))
            up = dice.random() < 0.6
            script = [(OUT, size if up else 800, MS), (IN, 500 if up else size, stores.rtt_ns + 80 * MS)]
            yield caller.call(stores, dice.randrange(begin, end), script, web("sync"), software=_program("sync", 1))


def _backup(caller: Caller, day: Day, scale: float) -> Made:
    dice = caller.dice
    peer = Peer("backup.example", bytes((52, 95, 1, 7)), 15 * MS, tls=True, talkative=1.0)
    median, sigma = BACKUP_BYTES
    changed = 0.15 if day.number % 7 > 4 or day.number in HOLIDAYS else 1.0
    left = int(min(median * scale * changed * dice.lognormvariate(0, sigma), 2e10))
    bursts: list[Burst] = []
    while left > 0:
        bursts += [(OUT, min(left, 8 << 20), 30 * MS), (IN, 320, peer.rtt_ns + 60 * MS)]
        left -= 8 << 20
    at_ns = day.midnight_ns + 2 * HOUR + caller.user.number % 60 * MINUTE + int(dice.uniform(0, 20) * SECOND)
    return caller.call(peer, at_ns, bursts, web("backup"), software=_program("backup", 1), method="PUT")


def _administers(caller: Caller, day: Day) -> Iterator[Made]:
    """Yield logins to servers on ssh's own port: typing, and what comes back."""
    dice = caller.dice
    for begin, end in day.works:
        for _ in range(geometric(dice, 2) - 1):
            host = bytes((198, 51, 100, dice.randrange(2, 6)))
            script = ssh_session(dice, dice.lognormvariate(5.3, 1.0))
            yield caller.raw((host, 22), dice.randrange(begin, end), 18 * MS, script, ssh(odd=False), web("ssh-admin"))


def ssh_session(dice: random.Random, seconds: float) -> list[Burst]:
    """Return an interactive session: banners, keys, then keystrokes with their echoes, and commands' answers."""
    bursts: list[Burst] = [(OUT, 21, MS), (IN, 41, 18 * MS), (OUT, 1_536, MS), (IN, 1_080, 18 * MS)]
    bursts += [(OUT, 1_208, 2 * MS), (IN, 1_564, 22 * MS), (OUT, 16, 3 * MS), (OUT, 44, MS), (IN, 44, 18 * MS)]
    bursts += [
        (OUT, 60, MS),
        (IN, 60, 20 * MS),
        (OUT, 548, 8 * MS),
        (IN, 28, 25 * MS),
        (OUT, 112, MS),
        (IN, 628, 30 * MS),
    ]
    elapsed_s, line = 0.0, 0
    while elapsed_s < seconds:
        # Typing: lognormal about 180 ms (Zhang and Paxson take 10 ms to 2 s), then a pause for reading.
        pause_s = min(dice.lognormvariate(-1.7, 0.6), 2.0) if line else min(dice.lognormvariate(1.6, 1.1), 120.0)
        bursts += [(OUT, 36, int(pause_s * SECOND)), (IN, 36, 19 * MS)]
        elapsed_s += pause_s
        line += 1
        if line > 4 and dice.random() < 0.12:
            bursts.append((IN, int(120 + dice.paretovariate(0.9) * 150) % 200_000, 12 * MS))
            line = 0
    return bursts


def _patches(caller: Caller, at_ns: int) -> Iterator[Made]:
    dice = caller.dice
    peer = Peer("updates.example", bytes((13, 107, 4, 50)), 12 * MS, tls=False, talkative=1.0)
    for _ in range(geometric(dice, 6)):
        size = int(min(4e6 * dice.paretovariate(0.9), 1.5e9))
        script = [(OUT, 420, MS), (IN, size, peer.rtt_ns + 10 * MS)]
        yield caller.call(peer, at_ns, script, web("software-update"), software=_program("update", 1))
        at_ns += int(dice.expovariate(1 / 40) * SECOND)


def _down(world: World, caller: Caller, at_ns: int, end_ns: int) -> Iterator[Made]:
    """Yield tries to reach a service that is down, with pauses that grow to ten minutes."""
    dice = caller.dice
    peer = _service(world, "down", dice.randrange(20), 0, tls=True)
    pause_s = 1.0
    until_ns = min(end_ns, at_ns + int(dice.expovariate(1) * HOUR))
    while at_ns < until_ns:
        server = (PROXY, PROXY_PORT) if caller.user.proxied else (peer.address, 443)
        if caller.user.proxied:
            script = [(OUT, 210, MS), (IN, 3_400, 60 * MS)]  # the proxy's page: the server does not answer
            known = NOTHING_KNOWN._replace(
                app_out="http", app_in="http", host=peer.host,
                facts={"http_method": "CONNECT", "http_connect": f"{peer.host}:443", "http_status": 503},
            )  # fmt: skip
            yield caller.raw(server, at_ns, MS // 3, script, known, web("back-off"))
        else:
            ends = Ends(caller.user.address, caller.port(), *server)
            yield Made([refused(at_ns, 0, ends, answered=dice.random() < 0.5)], web("back-off"))
        at_ns += int(pause_s * dice.uniform(0.8, 1.2) * SECOND)
        pause_s = min(pause_s * BACK_OFF, 600)


def _clock(caller: Caller, span: tuple[int, int]) -> Iterator[Made]:
    """Yield questions for the time, over UDP."""
    server = bytes((10, 1, 1, 123))
    known = unknown(bytes.fromhex("23000a") + bytes(45), app="unknown", odd=False)._replace(app_out=None, app_in=None)
    at_ns = span[0] + caller.user.number * SECOND
    while at_ns < span[1]:
        talk = Talk(at_ns, MS, tcp=False).play([(OUT, 48, 0), (IN, 48, MS)])
        ends = Ends(caller.user.address, 123, server, 123, 17)
        yield Made(talk.records(0, ends, known, closes=False), web("ntp"))
        at_ns += NTP_S * SECOND


def _names(caller: Caller, span: tuple[int, int]) -> Iterator[Made]:
    """Yield questions to the resolver, over UDP."""
    dice = caller.dice
    for _ in range(LOOKUPS):
        at_ns = dice.randrange(*span)
        talk = Talk(at_ns, MS, tcp=False).play(
            [(OUT, dice.randrange(28, 60), 0), (IN, dice.randrange(60, 300), 8 * MS)]
        )
        ends = Ends(caller.user.address, caller.port(), RESOLVER, 53, 17)
        yield Made(talk.records(0, ends, NOTHING_KNOWN, closes=False), web("dns"))
