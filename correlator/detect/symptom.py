"""What a symptom is, and what a test for one answers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import NamedTuple


class Family(StrEnum):
    """Symptoms of one family are so alike that only the strongest of them counts."""

    VOLUME = "volume"
    TIMING = "timing"
    DURATION = "duration"
    INTERACTION = "interaction"
    PROTOCOL = "protocol"
    CONTENT = "content"
    CONTEXT = "context"
    NOVELTY = "novelty"
    REPUTATION = "reputation"


class Rates(NamedTuple):
    """How often a test of one flow answers yes: for tunnels, and for everything else (0..1)."""

    tunnels: float
    others: float


class Symptom(NamedTuple):
    """One weak piece of evidence, as it is documented; what finds it is in the module that lists it."""

    name: str
    family: Family
    log10_lr: float
    """What it adds to the odds of a tunnel where it is found, in powers of ten; negative speaks against one."""
    meaning: str
    formula: str
    source: str
    """Castro's trace, or the publication."""
    false_positives: str
    evasions: str
    log10_lr_absent: float = 0.0
    """What it adds where it was tested for and not found; for decisive ones only."""
    decisive: bool = False
    """Nearly deterministic: a foreign protocol that was read, say. It is not capped like the others."""
    rates: Rates | None = None
    """Of a test of single flows: many flows to one server are accumulated by Wald's test with these."""


class Sight(NamedTuple):
    """What a test of one flow, or of a channel, answered."""

    symptom: str
    found: bool
    value: float = 0.0
    threshold: float = 0.0
    explanation: str = ""
    """For a person: what was measured, in what unit, and what is usual."""
    log10_lr: float | None = None
    """In place of the symptom's own, where that depends on the value."""


def present(symptom: str, value: float, threshold: float, explanation: str, log10_lr: float | None = None) -> Sight:
    """Return the answer of a test that found something."""
    return Sight(symptom, found=True, value=value, threshold=threshold, explanation=explanation, log10_lr=log10_lr)


@cache  # most answers are this one
def absent(symptom: str) -> Sight:
    """Return the answer of a test that could be made and found nothing; one that could not be made answers nothing."""
    return Sight(symptom, found=False)


class Catalogue(NamedTuple):
    """Symptoms by name."""

    symptoms: dict[str, Symptom]

    @classmethod
    def of(cls, *groups: Sequence[Symptom]) -> Catalogue:
        """Return the catalogue of all; ValueError when two have one name."""
        listed = [symptom for group in groups for symptom in group]
        by_name = {symptom.name: symptom for symptom in listed}
        if len(by_name) < len(listed):
            raise ValueError("two symptoms have the same name")
        return cls(by_name)
