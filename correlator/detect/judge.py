"""Symptoms into the probability of a tunnel: log-odds, one vote a family, caps; every addend is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log10
from typing import Final, NamedTuple

from correlator.detect.alarm import Severity
from correlator.detect.channel import Sighting
from correlator.detect.symptom import Catalogue, Family, Symptom

ORDINARY_CAP: Final = 2.0
"""An ordinary symptom is worth a factor of 100 at the most, for or against."""
DECISIVE_CAP: Final = 5.0
AGAINST_CAP: Final = -3.0
_LN10: Final = 2.302585092994046
SEVERITIES: Final = (
    (0.90, Severity.CRITICAL),
    (0.50, Severity.HIGH),
    (0.10, Severity.MEDIUM),
    (0.01, Severity.LOW),
)


class Addend(NamedTuple):
    """What one symptom has to do with the sum."""

    symptom: str
    family: Family
    log10_lr: float
    counted: bool
    """False where another symptom of the family is stronger."""
    found: bool


class Judgement(NamedTuple):
    """How probable a tunnel is, and why."""

    log10_odds: float
    probability: float
    addends: tuple[Addend, ...]
    """The strongest first."""

    @property
    def severity(self) -> Severity | None:
        """How much it matters; None where it is too improbable to be told."""
        return next((severity for least, severity in SEVERITIES if self.probability >= least), None)


def judge(catalogue: Catalogue, sightings: Mapping[str, Sighting], prior: float, lrs: Mapping[str, float]) -> Judgement:
    """Return what the symptoms of a channel come to; ``lrs`` replace the symptoms' own log10 likelihood ratios.

    The sum is that of detection by Bayes with one vote a family: of each family the strongest symptom for a tunnel
    and the strongest against one, and what decisive symptoms say that were tested for and are absent.
    """
    weights = {name: _weight(catalogue.symptoms[name], seen, lrs) for name, seen in sightings.items()
               if name in catalogue.symptoms}  # fmt: skip
    weights = {name: weight for name, weight in weights.items() if weight}
    counted = set(_votes(catalogue, weights))
    log10_odds = log10(prior / (1 - prior)) + sum(weights[name] for name in sorted(counted))
    addends = sorted(
        (
            Addend(name, catalogue.symptoms[name].family, weight, name in counted, sightings[name].found > 0)
            for name, weight in weights.items()
        ),
        key=lambda addend: (-abs(addend.log10_lr), addend.symptom),
    )
    return Judgement(log10_odds, probability_of(log10_odds), tuple(addends))


def probability_of(log10_odds: float) -> float:
    """Return the probability that odds stand for."""
    odds: float = 10 ** min(max(log10_odds, -300.0), 300.0)
    return odds / (1 + odds)


def severity_of(probability: float) -> Severity | None:
    """Return how much a probability matters; None where it is too small to be told."""
    return Judgement(0.0, probability, ()).severity


def _votes(catalogue: Catalogue, weights: Mapping[str, float]) -> Iterable[str]:
    """Yield the strongest symptom for a tunnel and the strongest against one, of each family."""
    for family in Family:
        mine = sorted(name for name in weights if catalogue.symptoms[name].family is family)
        if not mine:
            continue
        most, least = max(mine, key=weights.__getitem__), min(mine, key=weights.__getitem__)
        if weights[most] > 0:
            yield most
        if weights[least] < 0:
            yield least


def _weight(symptom: Symptom, seen: Sighting, lrs: Mapping[str, float]) -> float:
    """Return what a symptom adds to the odds, in powers of ten."""
    if not seen.found:
        return symptom.log10_lr_absent if symptom.decisive and seen.tested else 0.0
    own = lrs.get(symptom.name, symptom.log10_lr if seen.log10_lr is None else seen.log10_lr)
    if symptom.rates is not None and own > 0 and not accumulated(symptom, seen):
        return 0.0
    cap = DECISIVE_CAP if symptom.decisive else ORDINARY_CAP
    return max(AGAINST_CAP, min(cap, own))


def accumulated(symptom: Symptom, seen: Sighting) -> bool:
    """Tell whether the flows that were tested speak for a tunnel, taken together (Wald's SPRT).

    Before Wald's test decides, its sum has to be above zero; where the flows of a server mostly fail the test, the
    few that pass are chance.
    """
    assert symptom.rates is not None
    tunnels, others = symptom.rates
    found, missed = seen.found, seen.tested - seen.found
    ln_ratio = found * log10(tunnels / others) + missed * log10((1 - tunnels) / (1 - others))
    return ln_ratio * _LN10 > 0
