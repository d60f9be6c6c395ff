"""Symptoms of a clock: connections, or exchanges inside one, that come at regular times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10, sqrt
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.detect.channel import Channel, Surroundings
from correlator.detect.regularity import (
    LEAST,
    Guesses,
    bayes_bound,
    binomial_tail,
    chance,
    gaps_of,
    guesses,
    preferred,
    regularity,
)
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

INTERVAL: Final = "beacon-interval"
INTERVAL_AND_SIZE: Final = "beacon-interval-and-size"
GUESSED: Final = "guessed-interval"
GUESSED_WITH_SIZE: Final = "guessed-interval-and-size"
PREFERRED: Final = "preferred-interval"
INSIDE: Final = "beacon-in-connection"
_MOST_LOG10_LR: Final = log10(8)
_PAUSE_IN_MEANS: Final = 5
_GUESSED_GAPS: Final = 20

Share = Annotated[float, Meta(gt=0, lt=1)]


class TimingLimits(Struct, frozen=True, kw_only=True):
    """[detect.timing]: when connections are so regular that it is no chance."""

    max_p: Annotated[float, Meta(ge=1e-5, le=0.3)] = 1e-4
    merge_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    least_interval_s: Annotated[float, Meta(ge=0, le=3600)] = 2.0
    preferred_least_s: Annotated[float, Meta(ge=10)] = 30.0
    guess_share: Share = 0.75
    guess_tolerance: Share = 0.1
    guess_chance: Share = 0.07
    guess_least: Annotated[int, Meta(ge=4, le=_GUESSED_GAPS - 1)] = 8


_TEST: Final = (
    "starts of established flows, those within merge_s merged; gaps above 5 medians dropped; standard deviation / mean "
    "of the latest 100 less than chance gives with probability max_p (exponential gaps, simulated with the same "
    "trimming, bench/gap_table.py)"
)
_BOUND: Final = "log10 LR is the Sellke-Bayarri-Berger bound 1/(-e p ln p) of p, at most 8"
_POLLERS: Final = (
    "whatever asks on a timer: mail clients, updates, feeds, monitoring, chats; novelty tells more of them"
)
_EVASIONS: Final = (
    "exponential, lognormal or growing (geometric back-off) intervals; hiding among a user's own requests"
)

SYMPTOMS: Final = (
    Symptom(
        INTERVAL,
        Family.TIMING,
        _MOST_LOG10_LR,
        "connections come at regular intervals",
        f"{_TEST}; {_BOUND}",
        "Castro 2003, connections at a static interval; coefficient of variation as Web Tap (CCS 2004); calibrated",
        _POLLERS,
        _EVASIONS,
    ),
    Symptom(
        INTERVAL_AND_SIZE,
        Family.TIMING,
        _MOST_LOG10_LR,
        "connections come at regular intervals and send about the same each time",
        f"the larger of the p-values of gaps and of bytes sent is at most max_p; {_BOUND}",
        "the test of intervals, of bytes sent too (RITA scores both); the larger p as both have to hold",
        _POLLERS,
        "padding by random amounts, and the evasions of regular intervals",
    ),
    Symptom(
        GUESSED,
        Family.TIMING,
        log10(5),
        "the time of the next connection can be guessed",
        "of the latest 20 gaps, at least guess_share lie within guess_tolerance of the median of the 8 before, "
        "guess_least at the least, and chance does so with at most max_p (binomial, guess_chance each)",
        "Castro 2003, guessing the next connection in 75 %; null rate of memoryless clients computed; LR expert",
        _POLLERS,
        "jitter above 13 % of the interval",
    ),
    Symptom(
        GUESSED_WITH_SIZE,
        Family.TIMING,
        _MOST_LOG10_LR,
        "time and size of the next connection can be guessed",
        "as for the time alone, the bytes sent within guess_tolerance of their median too",
        "Castro 2003, guessing the next connection in 75 %; LR by the bound for periodicity",
        _POLLERS,
        "jitter above 13 % of the interval, or padding above 13 % of the size",
    ),
    Symptom(
        PREFERRED,
        Family.TIMING,
        _MOST_LOG10_LR,
        "one interval between connections comes far oftener than those near it",
        "of the latest 100 gaps, the stretch of 10 % from preferred_least_s on with the most gaps against the "
        "stretches of 10 % just below and above it: binomial tail for a third, times the stretches tried, <= max_p; "
        f"{_BOUND}",
        "Web Tap (CCS 2004), jumps in the distribution of delays; as an exact test of our own",
        f"pages that reload themselves; {_POLLERS}",
        "jitter above 5 % of the interval, where beacon-interval goes on",
    ),
    Symptom(
        INSIDE,
        Family.TIMING,
        _MOST_LOG10_LR,
        "exchanges inside one connection come at regular intervals",
        "standard deviation / mean of the silences between an answer and the next exchange, the longest left out when "
        f"it is above 5 means, by the same table; a mean of least_interval_s at least; {_BOUND}",
        "the test of intervals, from Welford sums in flow records",
        "keep-alives, chats and push channels with a heartbeat, video in segments",
        f"{_EVASIONS}; traffic of another kind in the same connection",
    ),
)


def of_channel(channel: Channel, _around: Surroundings, limits: TimingLimits) -> Iterator[Sight]:
    """Yield what the gaps between the channel's latest established connections say."""
    if len(channel.visits) <= LEAST:
        return
    merged_ns = int(limits.merge_s * NS_PER_S)
    starts, sizes = _starts(channel, merged_ns)
    if len(starts) <= LEAST:
        return
    gaps = gaps_of(starts, merged_ns)
    yield from _by_variation(gaps, sizes[1:], merged_ns, limits)
    yield from _by_guessing(gaps, sizes[1:], merged_ns, limits)
    yield _by_preference(gaps, merged_ns, limits)


def _starts(channel: Channel, merged_ns: int) -> tuple[list[int], list[int]]:
    """Return the starts that count, ascending, and the bytes sent by all that are merged into each."""
    starts: list[int] = []
    sizes: list[int] = []
    for start_ns, _, bytes_out, bytes_in in channel.visits:
        if not bytes_out or not bytes_in:
            continue
        if starts and start_ns - starts[-1] < merged_ns:
            sizes[-1] += bytes_out
        else:
            starts.append(start_ns)
            sizes.append(bytes_out)
    return starts, sizes


def _by_variation(gaps: Sequence[int], sizes: Sequence[int], merged_ns: int, limits: TimingLimits) -> Iterator[Sight]:
    found = regularity(gaps)
    if found is None:
        return
    interval_s = (found.median + merged_ns) / NS_PER_S
    if found.p > limits.max_p or interval_s < limits.least_interval_s:
        yield absent(INTERVAL)
        yield absent(INTERVAL_AND_SIZE)
        return
    text = (
        f"{found.number} connections came every {_seconds(interval_s)}, varying by {found.cv:.0%} of the mean; "
        f"by chance so regular once in {1 / found.p:,.0f}"
    )
    yield present(INTERVAL, found.cv, limits.max_p, text, _log10_lr(found.p))
    size = regularity(sizes)
    if size is None:
        return
    p = max(found.p, size.p)
    if p > limits.max_p:
        yield absent(INTERVAL_AND_SIZE)
        return
    text += f"; each sent about {size.median:,.0f} bytes, varying by {size.cv:.0%}"
    yield present(INTERVAL_AND_SIZE, found.cv, limits.max_p, text, _log10_lr(p))


def _by_guessing(gaps: Sequence[int], sizes: Sequence[int], merged_ns: int, limits: TimingLimits) -> Iterator[Sight]:
    gaps, sizes = gaps[-_GUESSED_GAPS:], sizes[-_GUESSED_GAPS:]
    if len(gaps) <= limits.guess_least:
        return
    seldom = (sorted(gaps)[len(gaps) // 2] + merged_ns) / NS_PER_S >= limits.least_interval_s
    for symptom, what, series in (
        (GUESSED, "the time", (gaps,)),
        (GUESSED_WITH_SIZE, "time and size", (gaps, sizes)),
    ):
        found = guesses(series, limits.guess_tolerance, limits.guess_share)
        if not seldom or found.share < limits.guess_share or _by_chance(found, limits) > limits.max_p:
            yield absent(symptom)
            if symptom == GUESSED:  # time and size are guessed less often than the time
                yield absent(GUESSED_WITH_SIZE)
                return
            continue
        text = (
            f"{what} of the next connection was guessed {found.hits} times in {found.tried}; "
            f"without a clock it is once in {1 / limits.guess_chance:.0f}"
        )
        yield present(symptom, found.share, limits.guess_share, text)


def _by_chance(found: Guesses, limits: TimingLimits) -> float:
    return binomial_tail(found.hits, found.tried, limits.guess_chance)


def _by_preference(gaps: Sequence[int], merged_ns: int, limits: TimingLimits) -> Sight:
    found = preferred(gaps, limits.preferred_least_s * NS_PER_S)
    if found is None or found.p > limits.max_p:
        return absent(PREFERRED)
    text = (
        f"{found.hits} of {len(gaps)} connections came {_seconds((found.value + merged_ns) / NS_PER_S)} after the one "
        f"before, and {found.around} a little sooner or later"
    )
    return present(PREFERRED, found.hits / len(gaps), limits.max_p, text, _log10_lr(found.p))


def of_flow(record: FlowRecord, limits: TimingLimits) -> Iterator[Sight]:
    """Yield what the silences between the exchanges of one connection say."""
    count, mean_s, m2_s2 = record.exchange_gaps, record.exchange_gap_mean_s, record.exchange_gap_m2_s2
    if not count or mean_s is None or m2_s2 is None:
        return
    longest_s = (record.exchange_gap_max_ns or 0) / NS_PER_S
    count, mean_s, m2_s2 = _without_pause(count, mean_s, m2_s2, longest_s)
    if count < LEAST:
        return
    if mean_s < max(limits.least_interval_s, 1e-3):
        yield absent(INSIDE)
        return
    cv = sqrt(max(m2_s2, 0.0) / count) / mean_s
    p = chance(count, cv)
    if p > limits.max_p:
        yield absent(INSIDE)
        return
    text = (
        f"{count} exchanges inside a connection came {_seconds(mean_s)} after the one before, varying by {cv:.0%}; "
        f"by chance so regular once in {1 / p:,.0f}"
    )
    yield present(INSIDE, cv, limits.max_p, text, _log10_lr(p))


def _without_pause(count: int, mean: float, m2: float, longest: float) -> tuple[int, float, float]:
    """Return count, mean and sum of squared deviations without the longest value, where that is a pause."""
    if count < 2:
        return count, mean, m2
    left = (count * mean - longest) / (count - 1)
    if longest <= _PAUSE_IN_MEANS * left:
        return count, mean, m2
    return count - 1, left, m2 - (longest - mean) * (longest - left)


def _log10_lr(p: float) -> float:
    return min(log10(bayes_bound(p)), _MOST_LOG10_LR)


def _seconds(interval_s: float) -> str:
    if interval_s < 120:
        return f"{interval_s:.1f} s"
    return f"{interval_s / 60:.1f} min" if interval_s < 7200 else f"{interval_s / 3600:.1f} h"
