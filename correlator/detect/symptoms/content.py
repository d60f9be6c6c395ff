"""Symptoms of what bytes and sizes are like: random first bytes, and other protocols' shapes inside TLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.records import FlowRecord
from correlator.detect.bursts import Burst, after_tls_handshake, bursts_of, remainders
from correlator.detect.spoken import CONNECT, UNTOLD, Spoken
from correlator.detect.symptom import Family, Rates, Sight, Symptom, absent, present

RANDOM: Final = "random-first-bytes"
TLS_IN_TLS: Final = "tls-in-tls"
SSH_SHAPED: Final = "ssh-shaped"
OPENVPN_SHAPED: Final = "openvpn-shaped"

# Wu et al. 2023: what the GFW takes for text or for another plain protocol.
_FEWEST_BITS: Final = 3.4
_MOST_BITS: Final = 4.6
_MOST_PRINTABLE: Final = 0.5
_LONGEST_RUN: Final = 20

# Sizes of an inner handshake, all of them with the outer record around (22 bytes in TLS 1.3, RFC 8446, 5.2).
_CLIENT_HELLO: Final = range(220, 2600)
_SERVER_FLIGHT: Final = range(600, 9000)
"""ServerHello, certificate and what is between; a resumed session's is smaller and is missed."""
_FINISHED: Final = range(80, 181)
"""Finished alone (58 or 74 bytes), or with the key exchange and cipher change of TLS 1.2 (93 and more)."""
_LAST_WORD: Final = 600
"""What a server says after the client's Finished, before there was a request: its own, and tickets."""
_SEGMENT: Final = 1400
_LATER_PACKETS: Final = 15
_ROUND_TRIPS: Final = 2.5
_FIRST_BURST: Final = 300

_LEAST_ALIKE: Final = 8
_ALIGNMENT: Final = 4
_BLOCK: Final = 16
_BLOCK_SHARE: Final = 0.8
_BIN: Final = 10
_TCP: Final = 6
_NOT_RANDOM: Final = absent(RANDOM)
_NOT_TLS_IN_TLS: Final = absent(TLS_IN_TLS)
_NOT_OPENVPN_SHAPED: Final = absent(OPENVPN_SHAPED)


class ContentLimits(Struct, frozen=True, kw_only=True):
    """[detect.content]: how many first bytes are enough, and how improbable a shape has to be by chance."""

    least_first_bytes: Annotated[int, Meta(ge=16)] = 50
    shape_chance: Annotated[float, Meta(gt=0, lt=1)] = 1e-4


SYMPTOMS: Final = (
    Symptom(
        RANDOM,
        Family.CONTENT,
        1.699,
        "the client's first bytes look random: no protocol that says what it is, as obfuscated proxies do",
        "none of the GFW's exemptions holds for the first payload of 50 bytes or more: 3.4 or fewer, or 4.6 or more "
        "bits set in a byte; more than half printable; more than 20 printable in a row; a known protocol",
        "Wu et al., USENIX Security 2023: .99 of tunnels, .006 of others, the latter taken three times",
        "peer-to-peer and games with encrypted protocols of their own, DNS over their own ports",
        "a plain prefix, such as a made-up HTTP head or TLS records",
        rates=Rates(0.99, 0.018),
    ),
    Symptom(
        TLS_IN_TLS,
        Family.CONTENT,
        1.4771,
        "after the TLS handshake the sizes look like a second one inside: a proxy within TLS",
        "after the outer handshake the bursts are: client 220..2600 bytes, server 600..9000 in full packets, client's "
        "first packet 80..180, then more of the client's or a server's burst of 600 at most; and 2.5 round trips or "
        "more in the next 15 packets, or a first burst of 300 or more",
        "after Xue et al., USENIX Security 2024 (C1: .75 of tunnels, .0005 of others), with sizes taken from RFC 8446 "
        "and RFC 5246 in place of their trained statistics; rates .6 and .02: expert",
        "APIs over HTTP/2 with small second requests, chats over WebSockets",
        "padding, many connections in one, a resumed session inside",
        rates=Rates(0.6, 0.02),
    ),
    Symptom(
        SSH_SHAPED,
        Family.CONTENT,
        1.699,
        "the sizes of what is encrypted leave the remainders that SSH's packets leave: SSH inside",
        "different sizes among the first 32 data packets, after the TLS handshake where there is one, without each "
        "side's first and those of full segments: so many have the same remainder by 4, each direction its own, that "
        "chance would do it with a probability of shape_chance at most; at least 8 alike. Not told when remainders by "
        "16 are alike too, unless TLS is 1.3: block ciphers of older TLS leave them",
        "RFC 4253, 6: padding to the cipher's block, 8 at least; idea as ssh by length in Bro (Zhang and Paxson 2000); "
        "log10 LR 1.7: expert",
        "other protocols in units of 4 bytes (XDR, X11) inside TLS, messages in base64 with the same around each",
        "padding in between, another framing of every packet",
    ),
    Symptom(
        OPENVPN_SHAPED,
        Family.CONTENT,
        0.7,
        "packets of one small size come as OpenVPN's acknowledgements do at its start",
        "among the first 32 data packets those of the third packet's size, counted in bins of 10: 1 to 3, 2 to 5, at "
        "most 5; only where both sides speak nothing known",
        "Xue et al., USENIX Security 2022, 5.2: .90 of tunnels and .0075 of others with 100 packets; with 32 of them "
        "log10 LR 0.7, rates .3 and .05: expert",
        "protocols whose third message is their usual answer",
        "padding; OpenVPN from 2.6 on sends acknowledgements with data",
        rates=Rates(0.3, 0.05),
    ),
)


def of_flow(record: FlowRecord, spoken: Spoken, limits: ContentLimits) -> Iterator[Sight]:
    """Yield what the first bytes and the first packets' sizes look like: the same while no more of them come."""
    if record.protocol != _TCP:
        return
    yield from _random(record, spoken, limits)
    splt = record.splt
    if not splt or len(splt) < _LEAST_ALIKE:
        return
    out, in_ = (spoken.outer if spoken.inner is None else spoken.inner)[:2]
    through_connect = spoken.tunnel == CONNECT
    if out == "tls" and in_ in ("tls", None):
        after = after_tls_handshake(splt, through_connect=through_connect)
        if after is not None:
            yield from _tls_in_tls(after)
            yield from _ssh_shaped(after, record, limits)
    elif out in UNTOLD and (in_ in UNTOLD or in_ is None):
        own = splt[2:] if through_connect else splt
        yield from _ssh_shaped(own, record, limits)
        yield from _openvpn_shaped(own)


def _random(record: FlowRecord, spoken: Spoken, limits: ContentLimits) -> Iterator[Sight]:
    """Apply the GFW's rule to the first payload; what a tunnel carries the sensor has told by the same rule."""
    if spoken.inner is not None:
        if spoken.tunnel == CONNECT and spoken.inner.out is not None:
            if spoken.inner.out == "random":
                yield present(RANDOM, 0, 0, "the first bytes inside the CONNECT look random")
            else:
                yield _NOT_RANDOM
        return
    bits, printable, run = record.first_popcount, record.first_printable, record.first_printable_run
    if bits is None or printable is None or run is None or not record.payload_bytes_in:
        return
    first_bytes = next((size for size, _ in record.splt or () if size > 0), 0)
    if first_bytes < limits.least_first_bytes:
        return
    looks_random = _FEWEST_BITS < bits < _MOST_BITS and printable <= _MOST_PRINTABLE and run <= _LONGEST_RUN
    if looks_random and record.app_out in (None, "random", "unknown") and record.app_in in (None, *UNTOLD):
        text = f"the first bytes look random: {bits:.2f} bits set in a byte, {printable:.0%} printable, run {run}"
        yield present(RANDOM, bits, _FEWEST_BITS, text)
    else:
        yield _NOT_RANDOM


def _tls_in_tls(after: Sequence[tuple[int, int]]) -> Iterator[Sight]:
    all_bursts = bursts_of(after)
    tickets = all_bursts[0].packets if after and after[0][0] < 0 else 0  # or what else comes before a request
    bursts = all_bursts[1:] if tickets else all_bursts
    if len(bursts) < 4:
        return
    hello, flight, finished, answer = bursts[:4]
    round_trips = _turns(all_bursts, _LATER_PACKETS) / 2
    first_of_finished = abs(after[tickets + hello.packets + flight.packets][0])
    if (
        (round_trips >= _ROUND_TRIPS or hello.payload_bytes >= _FIRST_BURST)
        and hello.payload_bytes in _CLIENT_HELLO
        and flight.payload_bytes in _SERVER_FLIGHT
        and flight.packets <= ceil(flight.payload_bytes / _SEGMENT) + 1
        and first_of_finished in _FINISHED
        and (finished.packets > 1 or answer.payload_bytes <= _LAST_WORD)
    ):
        text = (
            f"after the TLS handshake {hello.payload_bytes} bytes out, {flight.payload_bytes} in, "
            f"{finished.payload_bytes} out: like a second handshake inside"
        )
        yield present(TLS_IN_TLS, round_trips, _ROUND_TRIPS, text)
    else:
        yield _NOT_TLS_IN_TLS


def _turns(bursts: Sequence[Burst], packets: int) -> int:
    """Return how many bursts the first packets belong to."""
    turns = 0
    for burst in bursts:
        if packets <= 0:
            break
        turns, packets = turns + 1, packets - burst.packets
    return turns


def _ssh_shaped(splt: Sequence[tuple[int, int]], record: FlowRecord, limits: ContentLimits) -> Iterator[Sight]:
    if len(splt) < _LEAST_ALIKE:
        return
    if len({size for size, _ in splt}) < _LEAST_ALIKE:  # the usual case, told without looking closer
        return
    packets = _behind_greetings(splt)
    found = remainders(packets, _ALIGNMENT)
    if found.alike < _LEAST_ALIKE or (chance := found.chance) > limits.shape_chance:
        return
    if (record.facts or {}).get("tls") != "TLSv13" and remainders(packets, _BLOCK).alike >= _BLOCK_SHARE * found.sizes:
        return
    text = (
        f"{found.alike} of {found.sizes} different sizes leave the remainder by {_ALIGNMENT} that SSH's would; "
        f"by chance that has a probability of {chance:.0e}"
    )
    yield present(SSH_SHAPED, chance, limits.shape_chance, text)


def _behind_greetings(splt: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out each side's first packet: SSH's identification, which is a line and no packet (RFC 4253, 4.2)."""
    first = {
        next((place for place, (size, _) in enumerate(splt) if (size < 0) is inward), -1) for inward in (False, True)
    }
    return [packet for place, packet in enumerate(splt) if place not in first]


def _openvpn_shaped(splt: Sequence[tuple[int, int]]) -> Iterator[Sight]:
    if len(splt) < 3 * _BIN:
        return
    sizes = [abs(size) for size, _ in splt]
    size = sizes[2]
    first, second, third = (sizes[start : start + _BIN].count(size) for start in range(0, 3 * _BIN, _BIN))
    if 1 <= first <= 3 and 2 <= second <= 5 and third <= 5 and size < _SEGMENT:
        text = f"packets of {size} bytes come as OpenVPN's acknowledgements do: {first}, {second}, {third} in each ten"
        yield present(OPENVPN_SHAPED, second, 2, text)
    else:
        yield _NOT_OPENVPN_SHAPED
