"""Symptoms of somebody typing, or of a conversation both ways, where web pages and mail are expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.detect.spoken import AT_HOME, Spoken, is_at_home
from correlator.detect.symptom import Family, Sight, Symptom, present

TYPED: Final = "keystrokes"
ECHOED: Final = "keystroke-echoes"
TRICKLE: Final = "http-trickle"
SMALL: Final = "small-and-frequent"
SYMMETRIC: Final = "symmetric"

_LEAST_BYTES: Final = 50_000
_LEAST_SYMMETRIC_S: Final = 600
_TCP: Final = 6
_PACED: Final = slice(2, 5)
"""The bins of a gap histogram from 50 ms to 2 s, in which people type."""
_TINY: Final = slice(0, 2)
"""The bins of a size histogram up to 64 bytes."""
_SMALL: Final = slice(0, 3)
_TYPED_BY_DESIGN: Final = frozenset(
    ("ssh", "telnet", "rdp", "vnc", "irc", "ftp", "smtp", "pop3", "imap", "ftp-or-smtp", "ftp-or-pop3")
)
"""Protocols in which people type, or programs send and are sent lines."""
_TYPED_PORTS: Final = frozenset((22, 23, 992, 2323, 3389, 5222, 6667, *range(5900, 5910)))
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class InteractionLimits(Struct, frozen=True, kw_only=True):
    """[detect.interaction]: from when on packets are keystrokes, echoes, a trickle or a symmetric conversation."""

    gamma: Share = 0.2
    alpha: Share = 0.2
    least_keystrokes: Count = 10
    least_echoes: Count = 20
    echoed_share: Share = 0.5
    least_s: Count = 10
    trickle_packets: Count = 50
    trickle_s: Count = 60
    small_packets: Count = 100
    small_per_s: Annotated[float, Meta(gt=0)] = 0.2
    small_share: Share = 0.8
    symmetry: Share = 0.2


SYMPTOMS: Final = (
    Symptom(
        TYPED,
        Family.INTERACTION,
        1.4771,
        "somebody types in clear text where nobody should: single characters at a typist's pace",
        "keystroke packets have 20 bytes at most; gamma = those that follow one directly / data packets, alpha = gaps "
        "of 10 ms to 2 s between such / pairs; both >= 0.2, at least 10 packets and least_s",
        "Zhang and Paxson 2000, 4.2, as in Bro's interconn.bro; log10 LR 1.48: expert",
        "typing in web pages over a WebSocket in clear text, games",
        "whole lines at once, padding",
    ),
    Symptom(
        ECHOED,
        Family.INTERACTION,
        1.4771,
        "the server echoes small packets that come at a typist's pace: a remote shell, encrypted or not",
        "echoes (client 1..128 bytes, answered within 3 packets by 1..256 bytes at the same intervals, 50 ms or more "
        "apart) >= least_echoes and >= echoed_share of the client's data packets; half of the client's gaps are 50 ms "
        "to 2 s; silences between exchanges vary by 0.3 or more (standard deviation / mean), as no machine's do",
        "Argus' keystroke rule (Guha, Kidwell, Cleveland 2011); log10 LR 1.48: expert",
        "typing in web pages over a WebSocket: on the wire it is the same, and only the server's name tells",
        "keystrokes sent at a fixed clock with chaff (OpenSSH from 9.5 on), line mode",
    ),
    Symptom(
        TRICKLE,
        Family.INTERACTION,
        1.4771,
        "an HTTP request goes on and on in tiny pieces, and the server does not answer: a tunnel's upward half",
        "HTTP without a tunnel that it opened; trickle_packets client data packets, small_share of them of 128 bytes "
        "at most, over trickle_s; at most one exchange in it",
        "Castro 2003, small but frequent (httptunnel); clients write bodies in large blocks; log10 LR 1.48: expert",
        "meters and players that post live as they go",
        "collecting bytes into larger pieces, a request for each piece",
    ),
    Symptom(
        SMALL,
        Family.INTERACTION,
        0.7,
        "very many very small packets from the client",
        "small_packets client data packets or more, small_per_s of them in a second or more, small_share of them of 64 "
        "bytes at most, over trickle_s",
        "Castro 2003, small but frequent; log10 LR 0.7: expert",
        "typing in web pages, games, telemetry",
        "padding, collecting bytes into larger pieces",
    ),
    Symptom(
        SYMMETRIC,
        Family.INTERACTION,
        0.6,
        "as much goes out as comes in, for long: clients of servers mostly receive, or mostly send",
        "|out - in| / (out + in) < symmetry, 50 kB or more each way, 10 minutes or more",
        "Argus' producer/consumer ratio; threshold and log10 LR 0.6: expert",
        "voice and video calls, games, polling on one connection, backups that compare first",
        "padding one way",
    ),
)


def of_flow(record: FlowRecord, spoken: Spoken, limits: InteractionLimits) -> Iterator[Sight]:
    """Yield what the shape of a flow's packets says about who sits at its ends."""
    packets = (record.data_packets_out or 0) + (record.data_packets_in or 0)
    if record.protocol != _TCP or packets < limits.least_keystrokes or _is_where_people_type(record):
        return
    lasted_s = (record.end_ns - record.flow_start_ns) / NS_PER_S
    if lasted_s < limits.least_s:
        return
    yield from _typed(record, packets, limits)
    yield from _echoed(record, limits)
    if lasted_s >= limits.trickle_s:
        yield from _trickle(record, spoken, lasted_s, limits)
    yield from _symmetric(record, lasted_s, limits)


def _is_where_people_type(record: FlowRecord) -> bool:
    """Tell whether typing belongs to what is spoken, where that is at home, or to the port."""
    port = record.server_port
    typed = (app for app in (record.app_out, record.app_in) if app in _TYPED_BY_DESIGN)
    return port in _TYPED_PORTS or any(port not in AT_HOME or is_at_home(app, port, {}) for app in typed)


def _typed(record: FlowRecord, packets: int, limits: InteractionLimits) -> Iterator[Sight]:
    pairs, typed = record.keystroke_pairs or 0, record.keystroke_typed_pairs or 0
    if not pairs or (record.keystroke_packets or 0) < limits.least_keystrokes:
        return
    gamma, alpha = pairs / packets, typed / pairs
    if gamma >= limits.gamma and alpha >= limits.alpha:
        text = (
            f"{pairs} of {packets} packets are keystrokes after keystrokes, {alpha:.0%} of them at a typist's pace; "
            f"from {limits.gamma:.0%} on somebody types"
        )
        yield present(TYPED, gamma, limits.gamma, text)


def _echoed(record: FlowRecord, limits: InteractionLimits) -> Iterator[Sight]:
    echoes, sent = record.echoes or 0, record.data_packets_out or 0
    if echoes < limits.least_echoes or echoes < limits.echoed_share * sent:
        return
    if _share(record.gaps_out, _PACED) < 0.5 or _varies_by(record) < 0.3:
        return
    text = f"the server echoed {echoes} of {sent} small packets, at a typist's pace"
    yield present(ECHOED, echoes / max(sent, 1), limits.echoed_share, text)


def _trickle(record: FlowRecord, spoken: Spoken, lasted_s: float, limits: InteractionLimits) -> Iterator[Sight]:
    sent = record.data_packets_out or 0
    if record.app_out == "http" and sent >= limits.trickle_packets and (record.exchanges or 0) <= 1:
        small = _share(record.payload_sizes_out, _SMALL)
        if small >= limits.small_share and spoken.tunnel is None and spoken.inner is None:
            text = f"an HTTP request has gone on for {lasted_s:.0f} s in {sent} pieces, {small:.0%} of them small"
            yield present(TRICKLE, float(sent), limits.trickle_packets, text)
    tiny = _share(record.payload_sizes_out, _TINY)
    if sent >= max(limits.small_packets, limits.small_per_s * lasted_s) and tiny >= limits.small_share:
        text = f"{tiny:.0%} of {sent} client packets in {lasted_s:.0f} s have 64 bytes at most"
        yield present(SMALL, tiny, limits.small_share, text)


def _symmetric(record: FlowRecord, lasted_s: float, limits: InteractionLimits) -> Iterator[Sight]:
    out, in_ = record.payload_bytes_out, record.payload_bytes_in
    if min(out, in_) < _LEAST_BYTES or lasted_s < _LEAST_SYMMETRIC_S:
        return
    ratio = abs(out - in_) / (out + in_)
    if ratio < limits.symmetry:
        text = f"{out} bytes out and {in_} in over {lasted_s / 60:.0f} minutes: nearly the same"
        yield present(SYMMETRIC, ratio, limits.symmetry, text)


def _share(bins: Sequence[int] | None, some: slice) -> float:
    """Return the share of a histogram's counts that is in some of its bins."""
    total = sum(bins or ())
    return sum((bins or ())[some]) / total if total else 0.0


def _varies_by(record: FlowRecord) -> float:
    """Return the coefficient of variation of the silences between exchanges; 0 where there are too few."""
    count, mean_s, m2 = record.exchange_gaps or 0, record.exchange_gap_mean_s or 0.0, record.exchange_gap_m2_s2 or 0.0
    return sqrt(m2 / count) / mean_s if count > 1 and mean_s > 0 else 0.0
