"""The tunnels and covert channels of the acceptance table: what is asked of each, and when each runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from sim_channels import (
    Play,
    back_off,
    callback,
    exfiltration,
    hopster,
    httptunnel,
    mail_over_ssh,
    multiplexed,
    no_tls,
    obfs4,
    odd_headers,
    openvpn,
    plain_openvpn,
    quiet,
    ssh_in_tls,
    ssh_on,
    tls_in_tls,
    typing,
)
from sim_content import random_looking
from sim_talk import SECOND
from sim_web import Caller, Label, Made
from sim_world import DAY, START_NS, Peer, World, fresh

_FLOW_IDS: Final = 1 << 61  # above those of other flows, which count from their day in nanoseconds
_MOST_FLOWS: Final = 1_000_000


class Kind(NamedTuple):
    """One kind of tunnel, and what is asked of its detection."""

    name: str
    row: str
    """Of the acceptance table."""
    what: str
    published: str
    target: float | None
    """Share to be found at medium or above; None where none is asked."""
    limit_s: float
    """Within this time after its first packet."""
    lasts_s: float
    play: Play
    tls: bool = True
    night: bool = False
    """Whether it also runs while nobody is there; otherwise it begins while the user works."""


class Tunnel(NamedTuple):
    """One tunnel of the simulation."""

    kind: Kind
    instance: str
    user: int
    peer: Peer
    begins_ns: int

    @property
    def ends_ns(self) -> int:
        """When it is over."""
        return self.begins_ns + int(self.kind.lasts_s * SECOND)


_H, _D = 3600.0, 86_400.0
_GAPS = 22  # so that there are 20 gaps and a little more


def _beacon(every_s: int, jitter: int) -> Kind:
    gaps = 105 if jitter >= 100 else 52 if jitter >= 75 else _GAPS
    target = 0.99 if jitter <= 50 else 0.95
    name = f"beacon {every_s} s +-{jitter} %"
    lasts_s = every_s * gaps * 1.15
    return Kind(
        name, "15", f"call every {every_s} s, jitter {jitter} %, {gaps - 2} gaps", "RITA score .89-.94", target,
        lasts_s, lasts_s, callback(every_s, jitter / 100), night=True,
    )  # fmt: skip


KINDS: Final = (
    Kind(
        "odd-headers",
        "1",
        "Firepass/Wsh-like (odd headers)",
        "immediately (Web Tap)",
        1.0,
        600,
        600,
        odd_headers,
        tls=False,
    ),
    Kind(
        "hopster",
        "2",
        "Hopster-like (browser headers, polling)",
        "80 min regularity; 2 h delay",
        0.95,
        3 * _H,
        3 * _H,
        hopster,
        tls=False,
    ),
    Kind(
        "hourly-callback",
        "3",
        "hourly callback backdoor",
        "2 h 10 delay; 6 h 40 CV; 26 h count",
        0.95,
        _D,
        2 * _D,
        callback(3600, 0.002),
        tls=False,
        night=True,
    ),
    Kind(
        "exfiltration-25kb", "4", "25 KB over HTTP", "immediately", 1.0, 300, 240, exfiltration(25_000, 120), tls=False
    ),
    Kind(
        "exfiltration-300kb",
        "4",
        "300 KB over HTTP",
        "immediately",
        1.0,
        900,
        800,
        exfiltration(300_000, 500),
        tls=False,
    ),
    Kind(
        "httptunnel",
        "5",
        "GNU httptunnel with ssh inside",
        "82.5-93 % at 3 % FP",
        0.9,
        0.5 * _H,
        0.5 * _H,
        httptunnel,
        tls=False,
    ),
    Kind("connect-without-tls", "6", "CONNECT or 443 without TLS", "91.8 %", 1.0, 0.25 * _H, 0.25 * _H, no_tls),
    Kind("ssh-in-tls", "6", "ssh in TLS (statistics alone)", "91.8 %", 0.9, 0.5 * _H, 0.5 * _H, ssh_in_tls),
    Kind("ssh-on-443", "7", "ssh on 443 (banner)", "deterministic", 1.0, 600, 600, ssh_on(443)),
    Kind("ssh-on-80", "7", "ssh on 80 (banner)", "deterministic", 1.0, 600, 600, ssh_on(80)),
    Kind("pop3-over-ssh", "8", "POP3 over ssh on 22", "88-99.9 % at 1 % FP", 0.85, 0.5 * _H, 0.5 * _H, mail_over_ssh),
    Kind("typing-on-443", "9", "telnet on 443, a minute and more", "ZP rule", 0.95, 180, 180, typing),
    Kind("obfs4", "10", "obfs4/shadowsocks-like random payload", "obfs4 .98-1.0", 0.98, 0.5 * _H, 0.5 * _H, obfs4),
    Kind("openvpn", "11", "OpenVPN TCP on 443", ".904 passive", 0.9, 0.5 * _H, 0.5 * _H, openvpn(plain_openvpn)),
    Kind(
        "openvpn-xor",
        "12",
        "OpenVPN with XOR on 443",
        ".727 with probing",
        0.7,
        0.5 * _H,
        0.5 * _H,
        openvpn(random_looking),
    ),
    Kind("tls-in-tls", "13", "trojan, vless (TLS in TLS)", ".737-.748", 0.6, 0.5 * _H, 0.5 * _H, tls_in_tls),
    Kind("multiplexed", "14", "multiplexed proxy", ".13-.37", None, 0.5 * _H, 0.5 * _H, multiplexed),
    *(
        _beacon(every_s, jitter)
        for every_s, jitter in (
            (60, 0),
            (60, 10),
            (60, 30),
            (60, 50),
            (60, 75),
            (60, 100),
            (300, 30),
            (300, 50),
            (900, 30),
            (900, 50),
            (3600, 0),
            (3600, 30),
            (3600, 50),
        )
    ),
    Kind(
        "beacon-missed",
        "15",
        "call every 300 s, jitter 30 %, 10 % missed, 50 gaps",
        "-",
        0.95,
        300 * 64,
        300 * 64,
        callback(300, 0.3, missed=0.1),
        night=True,
    ),
    Kind(
        "beacon-lossy",
        "20",
        "call every 300 s, jitter 30 %, 10 % of packets lost",
        "-",
        0.95,
        300 * 25,
        300 * 25,
        callback(300, 0.3, lost=0.1),
        night=True,
    ),
    Kind(
        "back-off",
        "16",
        "intervals that grow by half",
        "RITA 31-65 % (none)",
        None,
        2 * _D,
        2 * _D,
        back_off,
        night=True,
    ),
    Kind("quiet-4h", "17", "quiet connection of 4 h and more", "RITA/SNA", 1.0, 5 * _H, 6 * _H, quiet, night=True),
    Kind("quiet-12h", "17", "quiet connection of 12 h and more", "RITA/SNA", 1.0, 13 * _H, 16 * _H, quiet, night=True),
)


def planned(world: World, each: int, days: int) -> list[Tunnel]:
    """Return the tunnels of a simulation: ``each`` of every kind, spread over users and days, a server each.

    They begin after the first week where there are weeks, else after half of the run, on days on which their user
    works, and end within the run.
    """
    found = []
    for kind in KINDS:
        for number in range(each):
            dice = random.Random(f"tunnel {kind.name} {number} {world.seed}")
            peer = fresh(dice, dice.choice(("node", "static", "api", "web")), tls=kind.tls)
            longest = int(kind.lasts_s // 86_400) + 1
            last = max(0, days - longest - 1)
            first = min(7, last // 2)
            for _ in range(200):
                user, day = dice.choice(world.users), dice.randint(first, max(first, last))
                works = world.day(user, day).works
                if works:
                    break
            else:
                continue
            begin, end = works[0]
            begins_ns = dice.randrange(begin, max(begin + 1, end - int(min(kind.lasts_s, 1800) * SECOND)))
            found.append(Tunnel(kind, f"{kind.name} {number}", user.number, peer, begins_ns))
    return found


def played(world: World, tunnel: Tunnel, number: int, day: int) -> Iterator[Made]:
    """Yield what the sensor hands out about a tunnel on a day: of a long flow the parts that end on it.

    ``number`` is the tunnel's among those planned; it tells the numbers of its flows from all others.
    """
    begin_ns = START_NS + day * DAY
    if tunnel.ends_ns + DAY < begin_ns or tunnel.begins_ns >= begin_ns + DAY:
        return
    dice = random.Random(f"play {tunnel.instance} {world.seed}")
    caller = Caller(dice, world.users[tunnel.user])
    label = Label(tunnel.kind.name, benign=False, instance=tunnel.instance)
    flows = tunnel.kind.play(caller, tunnel.peer, label, tunnel.begins_ns, tunnel.ends_ns)
    for place, (records, _) in enumerate(flows):
        flow_id = _FLOW_IDS + number * _MOST_FLOWS + place
        mine = [record._replace(flow_id=flow_id) for record in records if begin_ns <= record.end_ns < begin_ns + DAY]
        if mine:
            yield Made(mine, label)
