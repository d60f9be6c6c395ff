"""Symptoms of long standing: connections and channels that stay up for hours, told while they are open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.timespan import NS_PER_S
from correlator.detect.channel import SLOT_NS, Channel, Surroundings
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

LONG: Final = "long-connection"
LONG_CHANNEL: Final = "long-channel"
QUIET: Final = "quiet-connection"
_LEVELS_S: Final = (600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 3 * 86_400)
"""The logarithmic scale of zeek-long-connections."""
_SHORTER: Final = ((3600, 0.3), (1800, 0.2), (0, 0.1))
"""Log10 likelihood ratios from these lengths on, below long_s."""

Seconds = Annotated[int, Meta(ge=1, le=366 * 86_400)]


class DurationLimits(Struct, frozen=True, kw_only=True):
    """[detect.duration]: from when on a connection, or a channel of many, is long."""

    noted_s: Seconds = 600
    long_s: Seconds = 4 * 3600
    very_long_s: Seconds = 12 * 3600
    quiet_s: Seconds = 9 * 3600
    quiet_bytes_per_s: Annotated[float, Meta(ge=0)] = 16.0


_LEVELS: Final = "the levels passed are told: 10 min, 30 min, 1, 4, 12 and 24 h, 3 days"

SYMPTOMS: Final = (
    Symptom(
        LONG,
        Family.DURATION,
        0.6,
        "a connection stays open for hours",
        "end of the last record less the flow's start >= noted_s; log10 LR 0.1 below half an hour, 0.2 below one, 0.3 "
        f"below long_s, 0.6 from long_s and 0.9 from very_long_s on; {_LEVELS}",
        "Castro 2003, long TCP uptime; thresholds as RITA's 1, 4 and 12 h, levels as zeek-long-connections; LR expert",
        "push services, mail clients with IDLE, chats, remote desktops",
        "reconnecting before the limit, which long-channel and reconnecting are for",
    ),
    Symptom(
        LONG_CHANNEL,
        Family.DURATION,
        0.6,
        "a channel stands up for hours, over however many connections",
        "time since the channel's connections have followed each other within channel_gap_s >= noted_s; log10 LR as "
        "for one connection",
        "Castro 2003, channel uptime against TCP uptime; LR expert",
        "pollers and chats that never sleep",
        "pauses longer than channel_gap_s",
    ),
    Symptom(
        QUIET,
        Family.DURATION,
        0.7,
        "a connection stays open for hours and carries next to nothing",
        "as long-connection from quiet_s on, and payload of both directions <= quiet_bytes_per_s of its length",
        "Cisco Secure Network Analytics' suspect quiet long flow, 9 h; rate and LR expert",
        "push services, mail clients with IDLE, keep-alives of forgotten programs",
        "idle traffic made up; reconnecting before the limit",
    ),
)


def of_channel(channel: Channel, _around: Surroundings, limits: DurationLimits) -> Iterator[Sight]:
    """Yield what the longest connection among the latest, and the channel itself, say."""
    lengths_ns = [end_ns - start_ns for start_ns, end_ns, _, _ in channel.visits]
    if lengths_ns:
        lasted_ns = max(lengths_ns)
        longest = channel.visits[lengths_ns.index(lasted_ns)]
        yield _long(LONG, "a connection has lasted", longest.start_ns, longest.end_ns, channel, limits)
        yield _quiet(lasted_ns // NS_PER_S, longest.bytes_out + longest.bytes_in, limits)
    if channel.session_flows > 1:
        what = f"the channel has stood up, over {channel.session_flows} connections,"
        yield _long(LONG_CHANNEL, what, channel.session_start_ns, channel.last_ns, channel, limits)


def _long(symptom: str, what: str, start_ns: int, end_ns: int, channel: Channel, limits: DurationLimits) -> Sight:
    lasted_s = (end_ns - start_ns) // NS_PER_S
    if lasted_s < limits.noted_s:
        return absent(symptom)
    log10_lr = next(lr for least_s, lr in (*_long_levels(limits), *_SHORTER) if lasted_s >= least_s)
    level_s = max((level_s for level_s in _LEVELS_S if level_s <= lasted_s), default=limits.noted_s)
    text = (
        f"{what} for {length_text(lasted_s)}, which is above the level of {length_text(level_s)}; "
        f"something was sent or received in {_active_share(channel, start_ns, end_ns):.0%} of its five-minute slots"
    )
    return present(symptom, lasted_s, level_s, text, log10_lr)


def _long_levels(limits: DurationLimits) -> tuple[tuple[int, float], ...]:
    return (limits.very_long_s, 0.9), (limits.long_s, 0.6)


def _active_share(channel: Channel, start_ns: int, end_ns: int) -> float:
    """Return the share of the five-minute slots of a time, as far as they are remembered, that had traffic."""
    first, last = start_ns // SLOT_NS, end_ns // SLOT_NS
    if channel.slots:
        first = min(max(first, min(channel.slots)), last)
    return sum(first <= slot <= last for slot in channel.slots) / (last - first + 1)


def _quiet(lasted_s: int, carried: int, limits: DurationLimits) -> Sight:
    if lasted_s < limits.quiet_s or carried > limits.quiet_bytes_per_s * lasted_s:
        return absent(QUIET)
    text = f"a connection has carried {carried:,} bytes in {length_text(lasted_s)}"
    return present(QUIET, lasted_s, limits.quiet_s, text)


def length_text(length_s: float) -> str:
    """Return a time's length for a person."""
    if length_s < 3600:
        return f"{length_s / 60:.3g} min"
    return f"{length_s / 3600:.3g} h" if length_s < 2 * 86_400 else f"{length_s / 86_400:.3g} days"
