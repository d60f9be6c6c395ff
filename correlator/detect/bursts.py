"""A flow's first data packets as bursts, and how their sizes leave remainders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb
from typing import Final, NamedTuple

FULL_BYTES: Final = 1200
"""From here on a packet may be one of several that carry one message, whose size it does not tell."""
_HANDSHAKE_TURNS: Final = 2
_CONNECT_TURNS: Final = 2
"""The request and the proxy's answer."""


class Burst(NamedTuple):
    """Data packets of one direction that follow each other without an answer."""

    outward: bool
    payload_bytes: int
    packets: int


def bursts_of(splt: Iterable[tuple[int, int]]) -> list[Burst]:
    """Return the bursts of first data packets, which are (payload bytes, negative = in; gap ms)."""
    found: list[Burst] = []
    outward, total, packets = True, 0, 0
    for size, _ in splt:
        if (size >= 0) is not outward:
            if packets:
                found.append(Burst(outward, total, packets))
            outward, total, packets = size >= 0, 0, 0
        total += abs(size)
        packets += 1
    if packets:
        found.append(Burst(outward, total, packets))
    return found


def after_tls_handshake(
    splt: Sequence[tuple[int, int]], *, through_connect: bool
) -> tuple[tuple[int, int], ...] | None:
    """Return the data packets after a TLS handshake, None where it did not come to an end.

    ClientHello, the server's flight, and the first packet after it, which the client finishes with (RFC 8446, 2);
    with a resumed session of TLS 1.2 (RFC 5246, 7.3) it is the same. A CONNECT and its answer come before.
    """
    turns = _HANDSHAKE_TURNS + (_CONNECT_TURNS if through_connect else 0)
    turn, outward = 0, False
    for place, (size, _) in enumerate(splt):
        if turn == 0 or (size >= 0) != outward:
            turn, outward = turn + 1, size >= 0
            if turn == 1 and not outward:
                return None
        if turn > turns:
            return tuple(splt[place + 1 :])
    return None


class Remainders(NamedTuple):
    """How many of the different message sizes leave the same remainder, each direction its own."""

    sizes: int
    alike: int
    modulus: int
    directions: int
    """Those that have sizes to tell."""

    @property
    def chance(self) -> float:
        """The probability that so many are alike, or more, where each remainder is as likely as any other."""
        choices = float(self.modulus) ** self.directions
        return min(1.0, choices * binomial_tail(self.alike, self.sizes, 1 / self.modulus))


def remainders(splt: Iterable[tuple[int, int]], modulus: int) -> Remainders:
    """Return how message sizes leave remainders, sizes that repeat counted once.

    Packets of a full segment, and the one that ends such a row, do not tell a message's size and are left out.
    """
    sizes: tuple[set[int], set[int]] = (set(), set())
    full = [False, False]
    for size, _ in splt:
        direction, payload_bytes = (1, -size) if size < 0 else (0, size)
        is_full = payload_bytes >= FULL_BYTES
        if not is_full and not full[direction]:
            sizes[direction].add(payload_bytes)
        full[direction] = is_full
    out, in_ = sizes
    alike = _most_alike(out, modulus) + _most_alike(in_, modulus)
    return Remainders(len(out) + len(in_), alike, modulus, bool(out) + bool(in_))


def binomial_tail(least: int, tries: int, probability: float) -> float:
    """Return the probability of ``least`` successes or more."""
    return sum(
        comb(tries, hits) * probability**hits * (1 - probability) ** (tries - hits) for hits in range(least, tries + 1)
    )


def _most_alike(sizes: set[int], modulus: int) -> int:
    counts = [0] * modulus
    for size in sizes:
        counts[size % modulus] += 1
    return max(counts)
