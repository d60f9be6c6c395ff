"""Symptoms of asking too often: strobes, activity spread over the hours, few resources again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, sqrt
from statistics import median
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.timespan import NS_PER_S
from correlator.detect.channel import HOUR_NS, SLOT_NS, Channel, Surroundings
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

STROBE: Final = "strobe"
ACTIVE: Final = "active-slots"
STEADY: Final = "steady-upload"
FEW: Final = "few-resources"
_SLOTS_IN_8_H: Final = 8 * 12
_SLOTS_IN_48_H: Final = 48 * 12


class FrequencyLimits(Struct, frozen=True, kw_only=True):
    """[detect.frequency]: how often is too often."""

    strobe_per_s: Annotated[float, Meta(gt=0)] = 1.0
    active_share: Annotated[float, Meta(gt=0, le=1)] = 0.16
    steady_connections: Annotated[int, Meta(ge=2)] = 8
    steady_cv_8h: Annotated[float, Meta(gt=0)] = 3.3
    steady_cv_48h: Annotated[float, Meta(gt=0)] = 4.5
    few_least: Annotated[int, Meta(ge=10, le=101)] = 50
    few_least_s: Annotated[int, Meta(ge=60)] = 3600
    few_most_bytes: Annotated[int, Meta(ge=1)] = 20_000
    few_tolerance: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    few_share: Annotated[float, Meta(gt=0.5, le=1)] = 0.9


SYMPTOMS: Final = (
    Symptom(
        STROBE,
        Family.TIMING,
        0.6,
        "connections come without an end, one a second and more",
        "connections in one hour >= 3600 * strobe_per_s; log10 LR 0.9 when those of 24 h >= 86400 * strobe_per_s",
        "RITA's strobe, scaled to the hour; LR expert",
        "monitoring, load tests, resolvers, proxies whose clients' names are not seen",
        "asking less than once a second",
    ),
    Symptom(
        ACTIVE,
        Family.TIMING,
        0.3,
        "something is sent in many five-minute slots of eight hours",
        "five-minute slots with payload / 96 of the latest 8 h > active_share, over steady_connections at least",
        "Web Tap (CCS 2004), regularity by count; 11 % of its alerts were people; LR expert",
        "open chats, mail and office pages in a browser; all that polls",
        "asking less than every half an hour, or in bursts",
    ),
    Symptom(
        STEADY,
        Family.TIMING,
        0.5,
        "what is sent is spread more evenly over the hours than people do",
        "standard deviation / mean of the bytes sent in each five-minute slot, idle ones included, < steady_cv_8h over "
        "8 h, or < steady_cv_48h over 48 h; over steady_connections at least, for one connection is not asking often",
        "Web Tap (CCS 2004), regularity by coefficient of variation; 7 to 11 % of its alerts were people; LR expert",
        "all that polls; pages that stay open all day",
        "bursts: one large upload among little ones",
    ),
    Symptom(
        FEW,
        Family.TIMING,
        0.5,
        "the same few small things are asked for again and again",
        "of the latest established flows, few_least at least over few_least_s, few_share have both bytes sent and "
        "bytes received within few_tolerance of their medians, which are at most few_most_bytes together",
        "Castro 2003, trace of few resources requested too often; thresholds and LR expert",
        "pollers: feeds, version checks, monitoring, meta refresh",
        "padding; answers of different sizes",
    ),
)


def of_channel(channel: Channel, _around: Surroundings, limits: FrequencyLimits) -> Iterator[Sight]:
    """Yield what the channel's hours, five-minute slots and latest flows say."""
    if channel.hours:
        yield _strobe(channel, limits)
    if channel.slots:
        sent = _latest(channel, _SLOTS_IN_8_H)
        yield _active(channel, sent, limits)
        yield _steady(channel, sent, limits)
    yield from _few(channel, limits)


def _strobe(channel: Channel, limits: FrequencyLimits) -> Sight:
    latest = max(channel.hours)
    day = [hour.connections for number, hour in channel.hours.items() if number > latest - 24]
    for number, hours, log10_lr in ((sum(day), 24, 0.9), (max(day), 1, None)):
        limit = limits.strobe_per_s * hours * HOUR_NS / NS_PER_S
        if number >= limit:
            text = f"{number:,} connections in {hours} h; {limit:,.0f} are one every {1 / limits.strobe_per_s:g} s"
            return present(STROBE, number, limit, text, log10_lr)
    return absent(STROBE)


def _active(channel: Channel, sent: Sequence[int], limits: FrequencyLimits) -> Sight:
    share = len(sent) / _SLOTS_IN_8_H
    if share <= limits.active_share or _connections(channel, 8) < limits.steady_connections:
        return absent(ACTIVE)
    text = f"active in {len(sent)} of the {_SLOTS_IN_8_H} five-minute slots of 8 h; {limits.active_share:.0%} are usual"
    return present(ACTIVE, share, limits.active_share, text)


def _steady(channel: Channel, sent_8_h: Sequence[int], limits: FrequencyLimits) -> Sight:
    for slots, limit in ((_SLOTS_IN_8_H, limits.steady_cv_8h), (_SLOTS_IN_48_H, limits.steady_cv_48h)):
        hours = slots * SLOT_NS // HOUR_NS
        if (
            len(channel.slots) * (1 + limit * limit) <= slots
            or _connections(channel, hours) < limits.steady_connections
        ):
            continue  # even if all were alike, so few slots would vary by more
        cv = variation(sent_8_h if slots == _SLOTS_IN_8_H else _latest(channel, slots), slots)
        if cv < limit:
            text = (
                f"the bytes sent in each five minutes of {hours} h vary by {cv:.1f} times their mean; "
                f"what people do varies by {limit:g} and more"
            )
            return present(STEADY, cv, limit, text)
    return absent(STEADY)


def _latest(channel: Channel, slots: int) -> list[int]:
    """Return the bytes sent in the active ones of the latest slots."""
    last = max(channel.slots)
    return [sent for slot, sent in channel.slots.items() if slot > last - slots]


def _connections(channel: Channel, hours: int) -> int:
    last = max(channel.hours, default=0)
    return sum(hour.connections for number, hour in channel.hours.items() if number > last - hours)


def variation(sent: Sequence[int], slots: int) -> float:
    """Return standard deviation / mean over ``slots`` slots, of which those not given are zero; inf for nothing."""
    mean = sum(sent) / slots
    if not mean:
        return inf
    return sqrt(max(sum(one * one for one in sent) / slots - mean * mean, 0.0)) / mean


def _few(channel: Channel, limits: FrequencyLimits) -> Iterator[Sight]:
    if len(channel.visits) < limits.few_least:
        return
    visits = [visit for visit in channel.visits if visit.bytes_out and visit.bytes_in]
    if len(visits) < limits.few_least or visits[-1].start_ns - visits[0].start_ns < limits.few_least_s * NS_PER_S:
        return
    out, into = median(visit.bytes_out for visit in visits), median(visit.bytes_in for visit in visits)
    near = limits.few_tolerance
    alike = sum(abs(v.bytes_out - out) <= near * out and abs(v.bytes_in - into) <= near * into for v in visits)
    share = alike / len(visits)
    if share < limits.few_share or out + into > limits.few_most_bytes:
        yield absent(FEW)
        return
    hours = (visits[-1].start_ns - visits[0].start_ns) / HOUR_NS
    text = f"{alike} of {len(visits)} connections in {hours:.1f} h sent about {out:,.0f} and got {into:,.0f} bytes"
    yield present(FEW, share, limits.few_share, text)
