"""What is unusual: a figure of an hour against what its profile says of that hour, and the alarm about it.

Castro's rule (2003, annexe: medium beyond 10 %, high beyond 30 % of what was learned) is held against the largest
learned value, for a normal hour exceeds the median by as much nearly every second time; and the distance from the
middle has to be large too, measured by median and MAD of the logarithms of the hours in which there was something.
Few connections are judged by a negative binomial distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, log1p
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from common.timespan import NS_PER_S, iso_time
from correlator.detect.alarm import Alarm, Evidence, Severity
from correlator.detect.profile import Level, clock, weekday
from correlator.detect.robust import (
    ORDINARY,
    Weighted,
    dispersion,
    ln_count_tail,
    ln_normal_tail,
    median,
    most,
    spread,
    z_of,
)

KIND: Final = "baseline"
RULE: Final = "period"
FLOOR: Final = 0.1
"""The least spread on the scale of natural logarithms: a tenth."""
FULL_AFTER: Final = 7
"""A cell of so many values counts as much as its parent."""
FEW: Final = 20
"""Below this median, connections are counted and not measured."""


class Figure(NamedTuple):
    """One of the figures that are learned."""

    name: str
    """In Values."""
    rule: str
    """In alarms and symptoms."""
    noun: str
    unit: str


FIGURES: Final = (
    Figure("connections", "connections", "connections", ""),
    Figure("bytes_out", "out", "outbound", "B"),
    Figure("bytes_in", "in", "inbound", "B"),
    Figure("tcp_uptime_s", "tcp-uptime", "TCP uptime", "s"),
    Figure("channel_uptime_s", "channel-uptime", "channel uptime", "s"),
)
BY_RULE: Final = {figure.rule: figure for figure in FIGURES}

Percent = Annotated[float, Meta(ge=0, le=100_000)]
Z = Annotated[float, Meta(ge=0, le=30)]


class BaselineLimits(Struct, frozen=True, kw_only=True):
    """[detect.baseline]: what is learned, and from when on an hour is unusual."""

    enabled: bool = True
    learning_days: Annotated[int, Meta(ge=1, le=365)] = 14
    medium_percent: Percent = 10.0
    medium_z: Z = 3.0
    high_percent: Percent = 30.0
    high_z: Z = 5.0
    least_values: Annotated[int, Meta(ge=2, le=28)] = 5
    least_connections: Annotated[int, Meta(ge=0)] = 20
    least_bytes: Annotated[int, Meta(ge=0)] = 20_000
    least_uptime_s: Annotated[int, Meta(ge=0)] = 900
    alarmed_weight_percent: Annotated[int, Meta(ge=0, le=100)] = 5

    def least(self, figure: Figure) -> int:
        """Return what a figure has to come to before it is looked at."""
        return {"": self.least_connections, "B": self.least_bytes, "s": self.least_uptime_s}[figure.unit]


class Usual(NamedTuple):
    """What is usual of one figure."""

    values: float
    """How many hours were learned, those without anything too; an hour that alarmed counts little."""
    active: float
    """How many of them had something."""
    median: float
    """Of all of them."""
    centre: float
    """Median of ln(1 + x) of the active ones."""
    spread: float
    """1.4826 MAD of the same."""
    most: float
    """The largest; of 100 and more the 99 % quantile."""

    @property
    def factor(self) -> float:
        """The spread as a factor."""
        return exp(self.spread)


class Excess(NamedTuple):
    """A figure that is larger than what was learned."""

    figure: Figure
    value: int
    usual: Usual
    z: float

    @property
    def percent(self) -> float:
        """By how much it is larger than the largest; infinite where there was nothing."""
        return (self.value / self.usual.most - 1) * 100 if self.usual.most else float("inf")

    def severity(self, limits: BaselineLimits) -> Severity | None:
        """Return how much it matters by itself, None where it is within what chance does."""
        if self.percent > limits.high_percent and self.z > limits.high_z:
            return Severity.HIGH
        if self.percent > limits.medium_percent and self.z > limits.medium_z:
            return Severity.MEDIUM
        return None


def usual(values: Sequence[Weighted]) -> Usual | None:
    """Return what is usual by these values, None where none has a weight."""
    weight = sum(weight for _, weight in values)
    if not weight:
        return None
    logs = [(log1p(value), weight) for value, weight in values if value > 0 and weight]
    active = sum(weight for _, weight in logs)
    centre = median(logs) if logs else 0.0
    return Usual(
        weight / ORDINARY,
        active / ORDINARY,
        median(values),
        centre,
        max(FLOOR, spread(logs, centre)) if logs else 0.0,
        most(values),
    )


def shrunk(own: Usual, parent: Usual | None) -> Usual:
    """Return what is usual when few values are drawn towards those of the parent cell, by n / (n + 7)."""
    if parent is None or not parent.active:
        return own
    share = own.active / (own.active + FULL_AFTER)
    return own._replace(
        centre=share * own.centre + (1 - share) * parent.centre,
        spread=max(FLOOR, share * own.spread + (1 - share) * parent.spread),
        most=own.most if own.values >= FULL_AFTER else max(own.most, parent.most),
    )


def excess(
    figure: Figure,
    value: int,
    values: Sequence[Weighted],
    parents: Callable[[], Usual | None],
    limits: BaselineLimits,
) -> Excess | None:
    """Return by how much a figure exceeds what was learned; None where it does not, or too little is known.

    ``parents``, what is usual in other hours, is asked only when it matters.
    """
    if value < limits.least(figure):
        return None
    own = usual(values)
    over = 1 + limits.medium_percent / 100
    if own is None or own.values < limits.least_values or value <= over * own.most:
        return None
    expected = shrunk(own, parents())
    if value <= over * expected.most:
        return None
    ln_tail = _ln_count(value, values) if not figure.unit and own.median < FEW else _ln_amount(value, expected)
    return None if ln_tail is None else Excess(figure, value, expected, z_of(ln_tail))


def _ln_count(value: int, values: Sequence[Weighted]) -> float:
    return ln_count_tail(value, *dispersion(values))


def _ln_amount(value: int, expected: Usual) -> float | None:
    """Return ln of the probability that there is anything, and so much; None where that cannot be told."""
    if not expected.spread:
        return None
    z = (log1p(value) - expected.centre) / expected.spread
    return log((expected.active + 0.5) / (expected.values + 1)) + ln_normal_tail(z)


def explained(over: Excess, period_s: int) -> str:
    """Return an excess in words: what is usual, what is now."""
    figure, most_text = over.figure, amount(over.usual.most, over.figure)
    more = f", {over.percent:.0f} % more" if over.usual.most else ""
    return (
        f"{weekday(period_s)} {clock(period_s)} usually <= {most_text} {figure.noun} "
        f"(most of {over.usual.values:.0f} learned, median {amount(over.usual.median, figure)}), "
        f"now {amount(over.value, figure)}{more}"
    )


def amount(value: float, figure: Figure) -> str:
    """Return a figure's value as a person reads it."""
    if figure.unit != "B":
        return f"{value:.0f} s" if figure.unit else f"{value:.0f}"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


class Learned(NamedTuple):
    """A channel's hours against what was learned of them."""

    tested: tuple[str, ...]
    """Which figures could be judged."""
    overs: tuple[tuple[int, Excess], ...]
    """The hours that exceed (start in s), with what does."""

    @classmethod
    def together(cls, several: Sequence[Learned]) -> Learned:
        """Return several hours as one."""
        tested = dict.fromkeys(rule for one in several for rule in one.tested)
        return cls(tuple(tested), tuple(over for one in several for over in one.overs))


class Subject(NamedTuple):
    """Who a profile is of, in words; what does not apply is None."""

    level: Level
    client: str | None
    server: str | None
    """Address and port."""
    host: str | None
    protocol: int

    @property
    def text(self) -> str:
        """What a person calls it."""
        return " -> ".join(part for part in (self.client, self.host or self.server) if part)


def alarm(subject: Subject, overs: Sequence[Excess], severity: Severity, period_s: int, last_ns: int) -> Alarm:
    """Return the alarm about a client or a service that exceeds what was learned of it in one period."""
    texts = [explained(over, period_s) for over in overs]
    return Alarm(
        kind=KIND,
        rule=RULE,
        subject=f"{subject.protocol}|{subject.text}",
        period_ns=period_s * NS_PER_S,
        severity=severity,
        time_ns=last_ns,
        sensor=None,
        client=subject.client,
        server=subject.server,
        host=subject.host,
        probability=None,
        message=f"{subject.text}: {'; '.join(texts)}; in the period from {iso_time(period_s * NS_PER_S)}",
        evidence=tuple(
            Evidence(
                f"above-baseline-{over.figure.rule}",
                "duration" if over.figure.unit == "s" else "volume",
                None,
                over.value,
                round(over.usual.most),
                text,
            )
            for over, text in zip(overs, texts, strict=True)
        ),
        flows=(),
    )
