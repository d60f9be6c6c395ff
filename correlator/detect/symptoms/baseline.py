"""Symptoms of more than was learned: a channel's hour against the same hour of earlier days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from correlator.detect.alarm import Severity
from correlator.detect.baseline import BaselineLimits, explained
from correlator.detect.channel import Channel, Surroundings
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

_HIGH_LOG10_LR: Final = 0.9
_SOURCE: Final = "Castro 2003, learned amount per pair and hour; at high, Web Tap's 40-60 KB a day (85-100 % true)"
_FALSE: Final = "work at unusual hours, new software, the first backup; learning that was too short"
_EVASIONS: Final = "growing slowly, staying below the largest hour that was learned"


def _symptom(rule: str, family: Family, log10_lr: float, meaning: str, source: str) -> Symptom:
    return Symptom(
        f"above-baseline-{rule}",
        family,
        log10_lr,
        meaning,
        "value > (1 + medium_percent) x the largest of the latest 28 such hours, and z > medium_z by median and MAD of "
        f"their logarithms; log10 LR {_HIGH_LOG10_LR if rule == 'out' else 0.6} beyond high_percent and high_z",
        source,
        _FALSE,
        _EVASIONS,
    )


SYMPTOMS: Final = (
    _symptom("out", Family.VOLUME, 0.6, "more went out in an hour than ever at that time of day", _SOURCE),
    _symptom("in", Family.VOLUME, 0.3, "more came in in an hour than ever at that time of day", "Castro 2003; expert"),
    _symptom(
        "connections",
        Family.VOLUME,
        0.3,
        "more connections in an hour than ever at that time of day",
        "Castro 2003, learned count per pair and hour; expert",
    ),
)
_HIGH: Final = {"out": _HIGH_LOG10_LR, "in": 0.6, "connections": 0.6}


def of_channel(_channel: Channel, around: Surroundings, limits: BaselineLimits) -> Iterator[Sight]:
    """Yield what the channel's hours of the latest day say; nothing where too little was learned."""
    if around.learned is None:
        return
    for rule in around.learned.tested:
        name = f"above-baseline-{rule}"
        judged = [
            (hour, over, over.severity(limits)) for hour, over in around.learned.overs if over.figure.rule == rule
        ]
        unusual = [(over.z, hour, over, severity) for hour, over, severity in judged if severity is not None]
        if not unusual:
            yield absent(name)
            continue
        _, hour, over, severity = max(unusual, key=lambda one: (one[0], one[1]))
        log10_lr = _HIGH[rule] if severity is Severity.HIGH else None
        yield present(name, over.value, round(over.usual.most), explained(over, hour), log10_lr)
