"""The tables of the simulation: what was found and when, false alarms, and the published figures beside them."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from bounds import binomial, poisson
from played import MEDIUM, Channel, Label, Played, Raised, Stated, channel_of
from sim_machines import POLLERS
from sim_talk import SECOND
from sim_tunnels import KINDS, Kind

from correlator.detect.alarm import Evidence, Severity
from correlator.store.alarms import evidence_of

MOST_PER_USER_DAY: Final = 0.02
_SLACK_S: Final = 120.0  # records come a minute after what they tell of, and detection a minute after them
_WEB_TAP_ALL: Final = 0.077
_POLLERS: Final = frozenset((*(poller.kind for poller in POLLERS), "rare-poller", "ntp"))
HIGH: Final = Severity.HIGH.rank


class Find(NamedTuple):
    """One tunnel, and what was said of it."""

    kind: str
    delay_s: float | None
    """Until an alarm of at least medium; None where none came."""
    severity: str | None
    symptoms: tuple[str, ...]
    rank: int | None
    """Of its channel among all that were seen on a day, on its best day; 1 for the most probable."""


def level(raised: Raised) -> int:
    """Return the severity's place in the order."""
    return Severity(raised.row.severity).rank


def speaking(raised: Raised) -> list[Evidence]:
    """Return the evidence that speaks for a tunnel, the strongest first; limits that were passed, too."""
    items = [
        item
        for item in evidence_of(raised.row)
        if item.family != "prior" and (item.log10_lr is None or item.log10_lr > 0)
    ]
    return sorted(items, key=lambda item: -(item.log10_lr or 0))


def finds(played: Played, labels: Mapping[Channel, Label]) -> list[Find]:
    """Return what was said of each tunnel: the first alarm of at least medium on its channel, else the last one."""
    about: dict[Channel, list[Raised]] = {}
    for raised in played.alarms:
        if channel := channel_of(raised.row):
            about.setdefault(channel, []).append(raised)
    tunnels: dict[str, list[Channel]] = {}
    for channel, label in labels.items():
        if not label.benign:
            tunnels.setdefault(label.instance, []).append(channel)
    ranks = _ranks(played.stated)
    found = []
    for channels in tunnels.values():
        label = labels[channels[0]]
        begun_ns = min(labels[channel].first_ns for channel in channels)
        mine = [raised for channel in channels for raised in about.get(channel, ())]
        times = [raised.medium_ns for raised in mine if raised.medium_ns is not None]
        worst = max(mine, key=level, default=None)
        found.append(
            Find(
                label.kind,
                max(0.0, (min(times) - begun_ns) / SECOND) if times else None,
                worst.row.severity if worst else None,
                tuple(item.symptom for item in speaking(worst)) if worst else (),
                min((ranks[channel] for channel in channels if channel in ranks), default=None),
            )
        )
    return found


def _ranks(stated: Iterable[Stated]) -> dict[Channel, int]:
    """Return each channel's place among those of a day, on its best day; those of equal odds share one."""
    days: dict[int, list[Stated]] = {}
    for one in stated:
        days.setdefault(one.day, []).append(one)
    best: dict[Channel, int] = {}
    for of_day in days.values():
        odds = sorted(-one.log10_odds for one in of_day)
        for one in of_day:
            rank = 1 + bisect_left(odds, -one.log10_odds)
            best[one.channel] = min(rank, best.get(one.channel, rank))
    return best


def rows_table(played: Played, labels: Mapping[Channel, Label]) -> Iterator[str]:
    """Yield the acceptance table: a row for each kind of tunnel."""
    found = finds(played, labels)
    yield (
        "Found: at medium or above within the limit from the first packet, with the 95 % bounds (Clopper-Pearson). "
        "Low: told at low alone. Delay: median of those found. Rank: of the tunnel's channel by its probability among "
        "all channels of a day, tunnels too, on its best day; median."
    )
    yield from (
        "",
        "| # | behaviour | published | tunnels | found | bounds | low | delay | limit | target | | rank | symptoms |",
        "|---|---|---|--:|--:|---|--:|--:|--:|--:|---|--:|---|",
    )
    for kind in KINDS:
        yield _row(kind, [find for find in found if find.kind == kind.name])


def _row(kind: Kind, mine: list[Find]) -> str:
    limit_s = kind.limit_s + _SLACK_S
    hits = [find.delay_s for find in mine if find.delay_s is not None and find.delay_s <= limit_s]
    low, high = binomial(len(hits), len(mine))
    target = "none" if kind.target is None else f"{kind.target:.0%}"
    met = "" if kind.target is None or not mine else "met" if len(hits) >= kind.target * len(mine) else "**not met**"
    symptoms = Counter(symptom for find in mine for symptom in find.symptoms)
    ranks = [find.rank for find in mine if find.rank is not None]
    return (
        f"| {kind.row} | {kind.what} | {kind.published} | {len(mine)} | {len(hits) / max(len(mine), 1):.0%} "
        f"| {low:.0%}-{high:.0%} | {sum(find.severity == 'low' for find in mine)} "
        f"| {_duration(statistics.median(hits)) if hits else ''} | {_duration(kind.limit_s)} | {target} | {met} "
        f"| {statistics.median_low(ranks) if ranks else ''} "
        f"| {', '.join(f'{name} {count}' for name, count in symptoms.most_common(4))} |"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def false_alarms(plain: Played, missing: Played, user_days: int, missing_days: int) -> Iterator[str]:
    """Yield how often ordinary traffic alone was alarmed on."""
    yield from (
        "Alarms on ordinary traffic alone, all kinds of alarms; bounds of 95 % (Garwood).", "",
        "| # | severity | alarms | user-days | per user-day | bounds | target | |", "|---|---|--:|--:|--:|---|--:|---|",
    )  # fmt: skip
    asked = (
        ("low and above", 0, None),
        ("medium and above", MEDIUM, MOST_PER_USER_DAY),
        ("high and above", HIGH, None),
    )
    for name, least, target in asked:
        count = sum(level(raised) >= least for raised in plain.alarms)
        yield "| 18 | " + _rate(name, count, user_days, target)
    for kind in sorted({raised.row.kind for raised in plain.alarms}):
        count = sum(level(raised) >= MEDIUM and raised.row.kind == kind for raised in plain.alarms)
        yield "| | " + _rate(f"of them of the kind {kind}, medium and above", count, user_days, None)
    count = sum(level(raised) >= MEDIUM for raised in missing.alarms)
    yield "| 20 | " + _rate("medium and above, 10 % of packets missed", count, missing_days, MOST_PER_USER_DAY)
    yield f"| | Web Tap, all filters (published) | | 1200 | {_WEB_TAP_ALL} | | | |"


def _rate(name: str, count: int, user_days: int, target: float | None) -> str:
    low, high = poisson(count)
    met = "" if target is None else "met" if count <= target * user_days else "**not met**"
    bounds = f"{low / user_days:.4f}-{high / user_days:.4f}"
    return f"{name} | {count} | {user_days} | {count / user_days:.4f} | {bounds} | {target or ''} | {met} |"


def kinds_table(played: Played, labels: Mapping[Channel, Label]) -> Iterator[str]:
    """Yield, for each kind of ordinary traffic, how often it was alarmed on and by which symptoms."""
    channels = Counter(label.kind for label in labels.values())
    counts: dict[str, Counter[str]] = {}
    symptoms: dict[str, Counter[str]] = {}
    lonely = 0
    for raised in played.alarms:
        channel = channel_of(raised.row)
        label = labels.get(channel) if channel else None
        kind = label.kind if label else f"no channel ({raised.row.kind})"
        counts.setdefault(kind, Counter())[raised.row.severity] += 1
        symptoms.setdefault(kind, Counter()).update(item.symptom for item in speaking(raised))
        families = {item.family for item in speaking(raised)}
        lonely += kind in _POLLERS and level(raised) >= HIGH and len(families) < 2
    yield from (
        "| kind | channels | low | medium | high | critical | symptoms of its alarms |",
        "|---|--:|--:|--:|--:|--:|---|",
    )  # fmt: skip
    for kind in sorted({*channels, *counts}, key=lambda one: (-counts.get(one, Counter()).total(), one)):
        mine = counts.get(kind, Counter())
        told = ", ".join(f"{name} {count}" for name, count in symptoms.get(kind, Counter()).most_common(5))
        yield (
            f"| {kind} | {channels[kind]} | {mine['low'] or ''} | {mine['medium'] or ''} | {mine['high'] or ''} "
            f"| {mine['critical'] or ''} | {told} |"
        )
    yield ""
    met = "met" if not lonely else "**not met**"
    yield f"Row 19: pollers at high by one family of symptoms alone: {lonely} ({met})."


class _Filter(NamedTuple):
    """One filter of Web Tap: alerts in 40 days, false share, false ones a user and day; and our symptoms' family."""

    name: str
    alerts: int
    false_share: float
    per_user_day: float
    family: str


_FILTERS: Final = (
    _Filter("header format", 240, 0.00, 0.0, "protocol"),
    _Filter("delay time", 118, 0.05, 0.0049, "timing"),
    _Filter("request size 3 KB", 38, 0.34, 0.0108, "volume"),
    _Filter("regularity 8 h", 132, 0.11, 0.0121, "timing"),
    _Filter("regularity 48 h", 65, 0.07, 0.0038, "timing"),
    _Filter("bandwidth 20 KB", 106, 0.32, 0.0283, "volume"),
    _Filter("bandwidth 60 KB", 18, 0.00, 0.0, "volume"),
    _Filter("time of day", 68, 0.28, 0.0244, "context"),
    _Filter("all together (20 KB)", 767, 0.12, _WEB_TAP_ALL, "any"),
)


def webtap_filters(plain: Played, mixed: Played, labels: Mapping[Channel, Label], user_days: int) -> Iterator[str]:
    """Yield Web Tap's table, with alarms of at least medium that our symptoms of the same family had a part in."""
    yield (
        "Published: 30 users, 40 days, and 26 for the time of day. Ours: alarms of at least medium to which the family "
        "of symptoms added, in the run with tunnels; false ones in the run without. Several families take part in one "
        "alarm. Web Tap counted advertisements, timers and adware as true, this table does not."
    )
    yield from (
        "",
        "| filter | a day | false share | false per user-day | our family | a day | false share | false per user-day |",
        "|---|--:|--:|--:|---|--:|--:|--:|",
    )
    days = user_days / 30
    for one in _FILTERS:
        ours = [raised for raised in mixed.alarms if level(raised) >= MEDIUM and _in_family(raised, one.family)]
        wrong = [raised for raised in plain.alarms if level(raised) >= MEDIUM and _in_family(raised, one.family)]
        false_share = sum(_is_benign(raised, labels) for raised in ours) / len(ours) if ours else 0.0
        yield (
            f"| {one.name} | {one.alerts / 40:.2f} | {one.false_share:.0%} | {one.per_user_day:.4f} | {one.family} "
            f"| {len(ours) / days:.2f} | {false_share:.0%} | {len(wrong) / user_days:.4f} |"
        )


def _in_family(raised: Raised, family: str) -> bool:
    return family == "any" or any(item.family == family for item in speaking(raised))


def _is_benign(raised: Raised, labels: Mapping[Channel, Label]) -> bool:
    channel = channel_of(raised.row)
    label = labels.get(channel) if channel else None
    return label is None or label.benign


# Tool, by what it was detected, after what time; our kind of tunnel.
_TOOLS: Final = (
    ("Firepass", "header filter", "immediately", "odd-headers"),
    ("Wsh", "header filter; request size", "immediately", "odd-headers"),
    ("Hopster", "regularity / delay / 20 KB a day", "80 min / 2 h / 3 h", "hopster"),
    ("Tunl, idle", "delay / CV / count / hour", "2 h 10 / 6 h 40 / 26 h / first odd hour", "hourly-callback"),
    ("Tunl, listing and 25 KB", "request size, 40 KB a day", "immediately", "exfiltration-25kb"),
    ("Tunl, 300 KB", "request size, 80 KB a day", "immediately", "exfiltration-300kb"),
)


def webtap_tools(played: Played, labels: Mapping[Channel, Label]) -> Iterator[str]:
    """Yield Web Tap's table of tools."""
    found = finds(played, labels)
    yield from (
        "| tool | published: by | after | ours: found at medium or above | after, median | symptoms |",
        "|---|---|---|--:|--:|---|",
    )
    for tool, means, after, kind in _TOOLS:
        mine = [find for find in found if find.kind == kind]
        times = [find.delay_s for find in mine if find.delay_s is not None]
        yield (
            f"| {tool} | {means} | {after} | {len(times)} of {len(mine)} "
            f"| {_duration(statistics.median(times)) if times else ''} | {_common(mine)} |"
        )


def _common(mine: Iterable[Find]) -> str:
    return ", ".join(name for name, _ in Counter(name for find in mine for name in find.symptoms).most_common(4))
