"""What counts of a channel's day among the site's ordinary ones: its highest odds, and the symptoms it showed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from zlib import crc32

from common.timespan import NS_PER_S
from correlator.detect.alarm import Severity
from correlator.detect.channel import Channel, Key, Noted, Sighting
from correlator.detect.judge import Judgement

DAY_S: Final = 86_400
_WEB: Final = frozenset((80, 443, 3128, 8080, 8443))


class ChannelDay(NamedTuple):
    """One channel's day."""

    day_s: int
    key: Key
    log10_odds: float
    """The highest of the day."""
    alarmed: bool
    """Whether the evidence alone was worth an alarm of medium severity."""
    tested: frozenset[str]
    found: frozenset[str]


def kind_of(key: Key) -> str:
    """Return the kind of traffic that a channel's odds are compared with: its protocol, the web or not."""
    return f"{key.protocol}-{'web' if key.port in _WEB else 'other'}"


def note(channel: Channel, judgement: Judgement, sightings: Mapping[str, Sighting]) -> ChannelDay | None:
    """Return a channel's day when there is something new about it; the channel remembers what was noted."""
    time_s = channel.last_ns // NS_PER_S
    day_s = time_s - time_s % DAY_S
    tested = frozenset(name for name, seen in sightings.items() if seen.tested or seen.found)
    found = frozenset(name for name, seen in sightings.items() if seen.found)
    alarmed = judgement.severity is not None and judgement.severity.rank >= Severity.MEDIUM.rank
    names = crc32(" ".join([*sorted(tested), "found", *sorted(found)]).encode())
    new = Noted(day_s, judgement.log10_odds, alarmed, names)
    old = channel.noted
    if old.day_s == day_s:
        new = Noted(day_s, max(old.log10_odds, new.log10_odds), old.alarmed or alarmed, names)
    if new == old:
        return None
    channel.noted = new
    return ChannelDay(day_s, channel.key, judgement.log10_odds, alarmed, tested, found)
