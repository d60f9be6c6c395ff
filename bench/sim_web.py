"""Conversations with servers by name, straight or through the proxy, as records; and the labels they come under."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final, NamedTuple

from sim_content import Software, connected, http, tls
from sim_talk import IN, MS, OUT, Burst, Ends, Known, Talk
from sim_world import PROXY, PROXY_PORT, Peer, User

from common.records import FlowRecord

_RESUMED: Final = 0.4  # of TLS handshakes, a guess: then the server sends no certificate


class Label(NamedTuple):
    """What a flow really is."""

    kind: str
    """Of benign traffic, or the row of a tunnel."""
    benign: bool
    instance: str
    """Which of the tunnels; empty for benign traffic."""


class Made(NamedTuple):
    """A simulated flow."""

    records: list[FlowRecord]
    label: Label


def greeting(dice: random.Random, peer: Peer, *, proxied: bool) -> list[Burst]:
    """Return what comes before the first request: CONNECT where there is a proxy, and TLS 1.3's handshake."""
    bursts: list[Burst] = []
    rtt_ns = peer.rtt_ns
    if peer.tls and proxied:
        bursts += [(OUT, 200 + 2 * len(peer.host), MS // 4), (IN, 39, rtt_ns)]
    if peer.tls:
        # A ClientHello has 517 bytes where it is padded, 1,800 with a post-quantum key share; certificates 2.5-5 kB.
        hello = dice.choice((517, 583, 1790))
        answer = dice.randrange(220, 260) if dice.random() < _RESUMED else dice.randrange(2_500, 5_200)
        bursts += [(OUT, hello, MS), (IN, answer, rtt_ns), (OUT, dice.choice((64, 80)), 2 * MS)]
    return bursts


class Caller:
    """Makes flows of one user, numbered as the sensor would."""

    def __init__(self, dice: random.Random, user: User, lost: float = 0.0) -> None:
        self.dice, self.user, self._lost = dice, user, lost
        self._port = dice.randrange(32_768, 60_000)

    def port(self) -> int:
        """Return the next local port, as kernels hand them out."""
        self._port = self._port + self.dice.randrange(1, 40) if self._port < 60_900 else 32_768
        return self._port

    def call(  # noqa: PLR0913 - what a connection may be asked to be, by name
        self, peer: Peer, at_ns: int, bursts: Iterable[Burst], label: Label, *, method: str = "GET",
        software: Software | None = None, alpn: str = "h2", closes: bool = True, lost: float = 0.0,
    ) -> Made:  # fmt: skip
        """Return a connection to a server by name that plays a script after its greeting."""
        dice, proxied = self.dice, self.user.proxied
        software = software or self.user.browser
        if not peer.tls:
            known = http(dice, peer.host, software, method)
        elif proxied:
            known = connected(dice, peer.host, software, alpn)
        else:
            known = tls(dice, peer.host, software, alpn)
        script = [*greeting(dice, peer, proxied=proxied), *bursts]
        # The proxy is near; servers are as far as they are.
        rtt_ns = MS // 3 if proxied else peer.rtt_ns
        server = (PROXY, PROXY_PORT) if proxied else (peer.address, 443 if peer.tls else 80)
        return self.raw(server, at_ns, rtt_ns, script, known, label, closes=closes, lost=lost)

    def raw(  # noqa: PLR0913 - the same
        self, server: tuple[bytes, int], at_ns: int, rtt_ns: int, script: Iterable[Burst], known: Known, label: Label,
        *, closes: bool = True, lost: float = 0.0,
    ) -> Made:  # fmt: skip
        """Return a TCP connection to an address."""
        talk = Talk(at_ns, rtt_ns)
        if lost or self._lost:
            talk.lose(self.dice, script, lost or self._lost)
        else:
            talk.play(script)
        ends = Ends(self.user.address, self.port(), *server)
        return Made(talk.records(0, ends, known, closes=closes), label)


def exchange(dice: random.Random, peer: Peer, request: float, answer: float, think_ns: int) -> tuple[Burst, Burst]:
    """Return a request and its answer, each about so many bytes (lognormal, sigma 0.4 and 1), after a silence."""
    sent = max(40, int(request * dice.lognormvariate(0, 0.4)))
    got = max(60, int(answer * dice.lognormvariate(0, 1.0)))
    # The server takes a few milliseconds, sometimes a second (lognormal, sigma 1).
    return (OUT, sent, think_ns), (IN, got, peer.rtt_ns + int(dice.lognormvariate(2.3, 1.0) * MS))
