"""Castro's rules as he wrote them (2003, 1.3.3, 2.4 and annexe), for pairs of client and service, hour by hour.

They are for comparison and for networks where next to nothing varies; what they cost is in docs/learning.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from common.timespan import NS_PER_S
from correlator.detect.alarm import Alarm, Evidence, Severity
from correlator.detect.baseline import BY_RULE, Figure, Percent, Subject, amount
from correlator.detect.profile import DAY_S, History, Values

KIND: Final = "castro"
_MINUTE_NS: Final = 60 * NS_PER_S
Hour = Annotated[int, Meta(ge=0, le=24)]


class TimeOfDay(Struct, frozen=True, kw_only=True):
    """[[detect.castro.times]]: other percentages for some hours of the day: night, day, lunch."""

    from_hour: Hour
    to_hour: Hour
    medium_percent: Percent
    high_percent: Percent


class CastroRules(Struct, frozen=True, kw_only=True):
    """[detect.castro]: which of the rules are on."""

    count: bool = False
    amount: bool = False
    guess: bool = False
    probability: bool = False
    learned: Literal["mean", "most"] = "mean"
    medium_percent: Percent = 10.0
    high_percent: Percent = 30.0
    guess_percent: Annotated[float, Meta(ge=0, le=100)] = 75.0
    event_connections: Annotated[int, Meta(ge=1)] = 5
    event_minutes: Annotated[int, Meta(ge=1, le=1440)] = 5
    event_bytes: Annotated[int, Meta(ge=0)] = 1_000_000
    event_from_hour: Hour = 2
    event_to_hour: Hour = 3
    times: tuple[TimeOfDay, ...] = ()

    @property
    def are_on(self) -> bool:
        """Whether any rule is."""
        return self.count or self.amount or self.guess or self.probability


class Broken(NamedTuple):
    """A rule that was broken."""

    rule: str
    severity: Severity
    value: float
    limit: float
    text: str


class Visit(NamedTuple):
    """A connection of the pair."""

    start_ns: int
    bytes_out: int


def events(visits: Sequence[Visit], rules: CastroRules) -> int:
    """Return how often there were more than n connections within t minutes that sent more than a bytes.

    The counters begin anew after a match, so that one burst is one event.
    """
    found = 0
    recent: deque[Visit] = deque()
    for visit in sorted(visits):
        recent.append(visit)
        while visit.start_ns - recent[0].start_ns >= rules.event_minutes * _MINUTE_NS:
            recent.popleft()
        if len(recent) > rules.event_connections and sum(one.bytes_out for one in recent) > rules.event_bytes:
            found += 1
            recent.clear()
    return found


def is_time_of_events(period_s: int, rules: CastroRules) -> bool:
    """Whether the probability rule looks at a period."""
    return _within(period_s, rules.event_from_hour, rules.event_to_hour)


def may_have_events(values: Values, rules: CastroRules) -> bool:
    """Whether a period has connections and bytes enough for an event."""
    return values.connections > rules.event_connections and values.bytes_out > rules.event_bytes


def broken(
    period_s: int, now: Values, same_hour: History, all_counts: Sequence[int], rules: CastroRules
) -> Iterator[Broken]:
    """Yield the rules that a pair breaks in a period.

    ``same_hour`` is what was learned of it in this hour of the day, ``all_counts`` its connections in all learned
    hours, those without any too.
    """
    if rules.count:
        yield from _exceeded("learned-count", BY_RULE["connections"], now, same_hour, period_s, rules)
    if rules.amount:
        for name in ("out", "in"):
            yield from _exceeded(f"learned-amount-{name}", BY_RULE[name], now, same_hour, period_s, rules)
    if rules.guess and all_counts:
        yield from _wrong_guess(now.connections, all_counts, rules)
    if rules.probability and is_time_of_events(period_s, rules):
        yield from _more_probable(now, same_hour)


def _exceeded(
    rule: str, figure: Figure, now: Values, same_hour: History, period_s: int, rules: CastroRules
) -> Iterator[Broken]:
    known = [value for value, weight in same_hour.of(figure.name) if weight]
    value = getattr(now, figure.name)
    if not known or not value:
        return
    limit = max(known) if rules.learned == "most" else sum(known) / len(known)
    medium, high = percentages(period_s, rules)
    for percent, severity in ((high, Severity.HIGH), (medium, Severity.MEDIUM)):
        if value > limit * (1 + percent / 100):
            more = f" by {100 * (value / limit - 1):.0f} %, more than {percent:g} %" if limit else ""
            text = f"exceeded the learned {figure.noun}{more}: {amount(value, figure)}, learned {amount(limit, figure)}"
            yield Broken(rule, severity, value, round(limit, 1), text)
            return


def percentages(period_s: int, rules: CastroRules) -> tuple[float, float]:
    """Return medium and high percentage at a time of the day."""
    for time in rules.times:
        if _within(period_s, time.from_hour, time.to_hour):
            return time.medium_percent, time.high_percent
    return rules.medium_percent, rules.high_percent


def _within(period_s: int, from_hour: int, to_hour: int) -> bool:
    hour = period_s % DAY_S // 3600
    if from_hour <= to_hour:
        return from_hour <= hour < to_hour
    return hour >= from_hour or hour < to_hour


def _wrong_guess(count: int, all_counts: Sequence[int], rules: CastroRules) -> Iterator[Broken]:
    average = sum(all_counts) / len(all_counts)
    lower = 100 * sum(count > one for one in all_counts) / len(all_counts)
    if count > average and lower > rules.guess_percent:
        text = (
            f"had {count} connections, more than in {lower:.0f} % of {len(all_counts)} learned hours "
            f"({average:.1f} on average)"
        )
        yield Broken("guess", Severity.MEDIUM, round(lower, 1), rules.guess_percent, text)


def _more_probable(now: Values, same_hour: History) -> Iterator[Broken]:
    if not now.events or not now.connections:
        return
    known = sum(value.connections for value in same_hour.values)
    learned = sum(value.events for value in same_hour.values) / known if known else 0.0
    running = now.events / now.connections
    if running > learned:
        text = f"had {now.events} bursts in {now.connections} connections, {running:.2g}; learned {learned:.2g}"
        yield Broken("probability", Severity.MEDIUM, round(running, 4), round(learned, 4), text)


def alarms(subject: Subject, period_s: int, last_ns: int, found: Iterator[Broken]) -> Iterator[Alarm]:
    """Yield an alarm for every rule that a pair has broken in a period."""
    for one in found:
        yield Alarm(
            kind=KIND,
            rule=one.rule,
            subject=f"{subject.protocol}|{subject.text}",
            period_ns=period_s * NS_PER_S,
            severity=one.severity,
            time_ns=last_ns,
            sensor=None,
            client=subject.client,
            server=subject.server,
            host=subject.host,
            probability=None,
            message=f"at {period_s % DAY_S // 3600} h, {subject.text} {one.text}",
            evidence=(Evidence(f"castro-{one.rule}", "volume", None, one.value, one.limit, one.text),),
            flows=(),
        )
