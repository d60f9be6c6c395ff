"""Symptoms of long standing: connections and channels that stay up for hours, told while they are open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from common.timespan import NS_PER_S
from correlator.detect.channel import Channel, Surroundings
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

LONG: Final = "long-connection"
LONG_CHANNEL: Final = "long-channel"


class DurationLimits(Struct, frozen=True, kw_only=True):
    """[detect.duration]: from when on a connection, or a channel of many, is long."""

    long_s: int = 4 * 3600
    very_long_s: int = 12 * 3600


SYMPTOMS: Final = (
    Symptom(
        LONG,
        Family.DURATION,
        0.6,
        "a connection stays open for hours",
        "end of the last record less the flow's start >= long_s; log10 LR 0.9 from very_long_s on",
        "Castro 2003, long TCP uptime; thresholds as RITA's 4 and 12 h",
        "push services, mail clients with IDLE, chats, remote desktops",
        "reconnecting before the limit, which long-channel is for",
    ),
    Symptom(
        LONG_CHANNEL,
        Family.DURATION,
        0.6,
        "a channel stands up for hours, over however many connections",
        "time since the channel's connections have followed each other within channel_gap_s >= long_s",
        "Castro 2003, channel uptime against TCP uptime",
        "pollers and chats that never sleep",
        "pauses longer than channel_gap_s",
    ),
)


def of_channel(channel: Channel, _around: Surroundings, limits: DurationLimits) -> Iterator[Sight]:
    """Yield what the longest connection among the latest, and the channel itself, say."""
    longest_ns = max((visit.end_ns - visit.start_ns for visit in channel.visits), default=0)
    yield _long(LONG, "a connection has lasted", longest_ns, limits)
    if channel.session_flows > 1:
        up_ns = channel.last_ns - channel.session_start_ns
        yield _long(LONG_CHANNEL, f"the channel has stood up, over {channel.session_flows} connections,", up_ns, limits)


def _long(symptom: str, what: str, lasted_ns: int, limits: DurationLimits) -> Sight:
    lasted_s = lasted_ns // NS_PER_S
    if lasted_s < limits.long_s:
        return absent(symptom)
    limit_s = limits.very_long_s if lasted_s >= limits.very_long_s else limits.long_s
    text = f"{what} for {lasted_s / 3600:.1f} h; more than {limit_s / 3600:g} h is seldom"
    return present(symptom, lasted_s, limit_s, text, 0.9 if limit_s == limits.very_long_s else None)
