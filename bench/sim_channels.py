"""What tunnels' tools and covert channels send, each as a generator of its flows.

Sizes and rhythms are from the tools' documentation and from the laboratory's captures of real ones (ssh, httptunnel,
stunnel, OpenVPN, obfs4proxy, shadowsocks, trojan: ../docs/lab.md); nothing was fitted to what is detected.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from sim_browsing import geometric
from sim_content import BROWSERS, Software, connected_to, looks_of, random_looking, ssh, unknown
from sim_machines import ssh_session
from sim_talk import IN, MS, OUT, SECOND, Burst, Known
from sim_web import Caller, Label, Made, exchange
from sim_world import PROXY, PROXY_PORT, Peer

Play = Callable[[Caller, Peer, Label, int, int], Iterator[Made]]
"""Given who, to whom, under what label, from when until when."""
_ODD: Final = Software("", "")
_SCRIPT: Final = Software("python-requests/2.32", "t13d1812h1_85036bcba153_b26ce05bbdd6")
_IMPLANT: Final = Software(BROWSERS[0].user_agent, "t13d190900_9dc949149365_97f8aa674fd9")


def odd_headers(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """Firepass, Wsh: POSTs that carry a shell's bytes, with header fields of no browser."""
    dice = caller.dice
    while at_ns < until_ns:
        script = exchange(dice, peer, 380, 900, MS)
        yield caller.call(peer, at_ns, script, label, method="POST", software=_ODD)
        at_ns += int(dice.lognormvariate(2.2, 1.0) * SECOND)


def hopster(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """Hopster: a messenger's traffic in HTTP that looks like a browser's, asked for every ten to twenty seconds."""
    dice = caller.dice
    while at_ns < until_ns:
        talks = dice.random() < 0.1
        script = exchange(dice, peer, 420 + 200 * talks, 330 + 300 * talks, MS)
        yield caller.call(peer, at_ns, script, label, method="POST")
        at_ns += int(dice.uniform(10, 20) * SECOND)


def callback(every_s: float, jitter: float, *, missed: float = 0.0, lost: float = 0.0) -> Play:
    """Return a beacon: a short request on a connection of its own; jitter is uniform to both sides."""

    def play(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
        dice = caller.dice
        while at_ns < until_ns:
            if dice.random() >= missed:
                script = [(OUT, 380, MS), (IN, 240 if dice.random() < 0.95 else 2_000, peer.rtt_ns + 15 * MS)]
                yield caller.call(peer, at_ns, script, label, software=_IMPLANT, alpn="", lost=lost)
            at_ns += max(MS, int(every_s * (1 + jitter * dice.uniform(-1, 1)) * SECOND))

    return play


def back_off(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """A beacon whose intervals grow by half each time, and begin anew: no two gaps are alike."""
    dice = caller.dice
    gap_s = 20.0
    while at_ns < until_ns:
        script = [(OUT, 380, MS), (IN, 240, peer.rtt_ns + 15 * MS)]
        yield caller.call(peer, at_ns, script, label, software=_IMPLANT, alpn="")
        at_ns += int(gap_s * SECOND)
        gap_s = gap_s * 1.5 if gap_s < 4 * 3600 else 20.0 * dice.uniform(0.8, 1.2)


def exfiltration(size: int, over_s: float) -> Play:
    """Return Tunl's file transfer: a listing of 2 KB, then the file in POSTs of some kilobytes."""

    def play(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
        dice = caller.dice
        yield caller.call(peer, at_ns, [(OUT, 2_300, MS), (IN, 260, peer.rtt_ns)], label, method="POST")
        posts = max(1, size // 25_000)
        for _ in range(posts):
            at_ns += int(over_s / posts * dice.uniform(0.6, 1.4) * SECOND)
            script = [(OUT, size // posts + 420, MS), (IN, 260, peer.rtt_ns + 40 * MS)]
            yield caller.call(peer, min(at_ns, until_ns), script, label, method="POST")

    return play


def httptunnel(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """GNU httptunnel: a POST whose body grows while somebody types, and a GET whose answer does."""
    dice = caller.dice
    session = ssh_session(dice, (until_ns - at_ns) / SECOND)
    up: list[Burst] = [(OUT, 270, MS)]
    down: list[Burst] = [(OUT, 250, MS), (IN, 190, peer.rtt_ns)]
    silent_up = silent_down = 0
    for side, size, gap_ns in session:
        silent_up, silent_down = silent_up + gap_ns, silent_down + gap_ns
        if side == OUT:
            up += [(OUT, size + 3, silent_up)]  # a byte of type and two of length before each piece
            silent_up = 0
        else:
            down += [(IN, size + 3, silent_down)]
            silent_down = 0
    yield caller.call(peer, at_ns, up, label, method="POST", software=_ODD)
    yield caller.call(peer, at_ns + 40 * MS, down, label, software=_ODD)


def no_tls(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """A shell or a file through CONNECT, or straight on 443 where there is no proxy: no TLS anywhere."""
    dice = caller.dice
    script: list[Burst] = []
    elapsed_ns = 0
    while elapsed_ns < until_ns - at_ns:
        pause_ns = int(dice.lognormvariate(1.5, 1.2) * SECOND)
        script += [(IN, geometric(dice, 14), pause_ns), (OUT, int(30 + 120 * dice.paretovariate(1.0)) % 60_000, 6 * MS)]
        elapsed_ns += pause_ns
    if caller.user.proxied:
        known = connected_to(peer.host, ("printable", "printable"))
        script = [(OUT, 60, MS), (IN, 39, peer.rtt_ns), *script]
        yield caller.raw((PROXY, PROXY_PORT), at_ns, MS // 3, script, known, label)
    else:
        looks = b"uid=1000(user) gid=1000(user)\nLinux host 6.1\n$ "
        yield caller.raw((peer.address, 443), at_ns, peer.rtt_ns, script, unknown(looks, app="printable"), label)


def ssh_in_tls(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """Stunnel: a session's bytes in TLS records, 22 bytes longer each."""
    session = ssh_session(caller.dice, (until_ns - at_ns) / SECOND)
    script = [(side, size + 22, gap_ns) for side, size, gap_ns in session]
    yield caller.call(peer, at_ns, script, label, software=_SCRIPT, alpn="")


def ssh_on(port: int) -> Play:
    """Return ssh on a port of others, through CONNECT where there is a proxy and the port is 443."""

    def play(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
        script = ssh_session(caller.dice, (until_ns - at_ns) / SECOND)
        if caller.user.proxied and port == 443:
            known = connected_to(peer.host, ("ssh", "ssh"))
            script = [(OUT, 60, MS), (IN, 39, peer.rtt_ns), *script]
            yield caller.raw((PROXY, PROXY_PORT), at_ns, MS // 3, script, known, label)
        else:
            yield caller.raw((peer.address, port), at_ns, peer.rtt_ns, script, ssh(odd=True), label)

    return play


def mail_over_ssh(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """POP3 through ssh's forwarding, on port 22: what Dusi et al. tell from a shell by sizes and times."""
    dice = caller.dice
    script = ssh_session(dice, 0.0)
    elapsed_ns = 0
    while elapsed_ns < until_ns - at_ns:
        for _ in range(geometric(dice, 12)):
            script += [
                (OUT, dice.choice((44, 52, 52, 60)), 2 * MS),
                (IN, int(60 + 400 * dice.paretovariate(1.0)) % 300_000, 20 * MS),
            ]
        pause_ns = int(dice.uniform(50, 70) * SECOND)
        script.append((OUT, 52, pause_ns))
        elapsed_ns += pause_ns
    yield caller.raw((peer.address, 22), at_ns, peer.rtt_ns, script, ssh(odd=False), label)


def typing(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """A login in the clear on 443: a byte a key, echoed, and answers in lines."""
    dice = caller.dice
    script: list[Burst] = [(IN, 27, 20 * MS), (OUT, 6, 30 * MS)]
    elapsed_s, line = 0.0, 0
    while elapsed_s < (until_ns - at_ns) / SECOND:
        pause_s = min(dice.lognormvariate(-1.7, 0.6), 2.0) if line else min(dice.lognormvariate(1.6, 1.1), 60.0)
        script += [(OUT, 1, int(pause_s * SECOND)), (IN, 1, peer.rtt_ns + MS)]
        elapsed_s += pause_s
        line += 1
        if line > 4 and dice.random() < 0.12:
            script.append((IN, int(40 + 100 * dice.paretovariate(1.0)) % 20_000, 12 * MS))
            line = 0
    yield caller.raw(
        (peer.address, 443), at_ns, peer.rtt_ns, script, unknown(b"\xff\xfd\x03\xff\xfb\x18", app="telnet"), label
    )


def _surfing(dice: random.Random, peer: Peer, seconds: float, grow: int) -> list[Burst]:
    """Return somebody's browsing as it looks from outside an encrypted carrier: hellos inside, requests, answers."""
    script: list[Burst] = []
    elapsed_s = 0.0
    while elapsed_s < seconds:
        inner = [
            (OUT, 517 + grow, 2 * MS),
            (IN, dice.randrange(2_500, 5_000), peer.rtt_ns + 25 * MS),
            (OUT, 64 + grow, 3 * MS),
        ]
        script += inner
        for number in range(geometric(dice, 6)):
            pause_s = dice.lognormvariate(1.5, 1.3) if number else 0.004
            script += exchange(dice, peer, 600 + grow, 12_000, int(min(pause_s, 240) * SECOND))
            elapsed_s += pause_s
    return script


def obfs4(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """obfs4, shadowsocks: random bytes from the first on, a connection for each thing asked for."""
    dice = caller.dice
    while at_ns < until_ns:
        script = [(OUT, dice.randrange(120, 1_400), MS), (IN, dice.randrange(100, 1_500), peer.rtt_ns)]
        script += _surfing(dice, peer, dice.expovariate(1 / 30), dice.randrange(0, 90))
        yield caller.raw((peer.address, 443), at_ns, peer.rtt_ns, script, random_looking(dice), label)
        at_ns += int(dice.lognormvariate(3.2, 1.2) * SECOND)


def openvpn(known: Callable[[random.Random], Known]) -> Play:
    """Return OpenVPN over TCP: resets, a handshake in small packets each acknowledged, data, pings."""

    def play(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
        dice = caller.dice
        script: list[Burst] = [(OUT, 44, MS), (IN, 56, peer.rtt_ns), (OUT, 52, MS), (OUT, 330, 2 * MS)]
        for _ in range(dice.randrange(6, 12)):
            script += [(IN, dice.randrange(900, 1_250), peer.rtt_ns // 2), (OUT, 52, MS)]
        script += [(OUT, 340, 5 * MS), (IN, 52, peer.rtt_ns), (IN, 560, 8 * MS), (OUT, 52, MS)]
        elapsed_ns = 0
        while elapsed_ns < until_ns - at_ns:
            for burst in _surfing(dice, peer, dice.expovariate(1 / 60), 50):
                script.append(burst)
                elapsed_ns += burst[2]
            for _ in range(geometric(dice, 6)):
                script += [(OUT, 42, 10 * SECOND), (IN, 42, peer.rtt_ns)]
                elapsed_ns += 10 * SECOND
        if caller.user.proxied:
            inside = known(dice)
            outer = connected_to(peer.host, (inside.app_out or "unknown", inside.app_in or "unknown"))
            script = [(OUT, 90, MS), (IN, 39, peer.rtt_ns), *script]
            yield caller.raw((PROXY, PROXY_PORT), at_ns, MS // 3, script, outer, label)
        else:
            yield caller.raw((peer.address, 443), at_ns, peer.rtt_ns, script, known(dice), label)

    return play


def plain_openvpn(dice: random.Random) -> Known:
    """Return what is known of OpenVPN as it comes: a hard reset first."""
    reset = b"\x00\x2a\x38" + dice.randbytes(41)
    return Known("openvpn", "openvpn", None, None, ("odd-port",), looks_of(reset))


def tls_in_tls(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """Trojan, vless: a TLS connection for each site, with that site's own handshake inside."""
    dice = caller.dice
    while at_ns < until_ns:
        script = _surfing(dice, peer, dice.expovariate(1 / 30), 24 + dice.randrange(60))
        yield caller.call(peer, at_ns, script, label, software=_SCRIPT)
        at_ns += int(dice.lognormvariate(3.0, 1.2) * SECOND)


def multiplexed(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """A proxy that carries all sites over one connection of HTTP/2."""
    script = _surfing(caller.dice, peer, (until_ns - at_ns) / SECOND, 33)
    yield caller.call(peer, at_ns, script, label)


def quiet(caller: Caller, peer: Peer, label: Label, at_ns: int, until_ns: int) -> Iterator[Made]:
    """A tunnel that stands and waits: a keep-alive a minute or five, now and then a command."""
    dice = caller.dice
    keeps_s = dice.choice((60, 120, 300))
    script: list[Burst] = list(exchange(dice, peer, 700, 900, MS))
    elapsed_s = 0.0
    while elapsed_s < (until_ns - at_ns) / SECOND:
        script += [(OUT, 58, keeps_s * SECOND), (IN, 58, peer.rtt_ns)]
        elapsed_s += keeps_s
        if dice.random() < 0.01:
            script += [(IN, 210, 2 * SECOND), (OUT, int(400 * dice.paretovariate(1.1)) % 40_000, 50 * MS)]
    yield caller.call(peer, at_ns, script, label, software=_SCRIPT, alpn="")
