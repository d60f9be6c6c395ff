"""Likelihood ratios recomputed: how often symptoms show in tunnels, against how often on this site.

LR = ((hits + .5) / (n + 1)) of tunnels / the upper 95 % bound of the same share of ordinary channel-days.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log10, sqrt
from typing import Final, NamedTuple

from correlator.detect.judge import AGAINST_CAP, DECISIVE_CAP, ORDINARY_CAP
from correlator.detect.symptom import Catalogue

LEAST_ORDINARY: Final = 100
"""Channel-days with the test made, below which a site's history says nothing."""
LEAST_TUNNELS: Final = 5
_Z95: Final = 1.6448536269514722

EVERY: Final = ""
"""In place of a symptom: all channels."""
Counts = tuple[int, int]
"""In how many it was found, of how many in which it was tested for."""


class Recomputed(NamedTuple):
    """What becomes of one symptom's ratio."""

    symptom: str
    old: float
    """log10 LR in force."""
    new: float | None
    """None where too little is known, and the old one stays."""
    ordinary: Counts
    tunnels: Counts


def share(counts: Counts) -> float:
    """Return how often something is found, with half a case added."""
    hits, number = counts
    return (hits + 0.5) / (number + 1)


def upper(counts: Counts) -> float:
    """Return the upper 95 % bound of a share (one-sided, Wilson's with half a case added)."""
    _, number = counts
    middle, size = share(counts), number + 1
    root = sqrt(middle * (1 - middle) / size + _Z95**2 / (4 * size * size))
    return min(1.0, (middle + _Z95**2 / (2 * size) + _Z95 * root) / (1 + _Z95**2 / size))


def _counts(known: Mapping[str, Counts], name: str) -> Counts:
    """Return a symptom's counts; one that says nothing where it is not found was looked for everywhere."""
    found, tested = known.get(name, (0, 0))
    return (found, tested) if tested > found else (found, max(tested, known.get(EVERY, (0, 0))[1]))


def recomputed(
    catalogue: Catalogue,
    ordinary: Mapping[str, Counts],
    tunnels: Mapping[str, Counts],
    in_force: Mapping[str, float],
) -> list[Recomputed]:
    """Return every symptom's ratio by a site's own history, by name; capped as the sum caps it.

    Symptoms that speak against a tunnel by design keep their ratios: no tunnel among a handful says how seldom.
    """
    found = []
    for name, symptom in sorted(catalogue.symptoms.items()):
        old = in_force.get(name, symptom.log10_lr)
        mine, theirs = _counts(ordinary, name), _counts(tunnels, name)
        new: float | None = None
        if mine[1] >= LEAST_ORDINARY and theirs[1] >= LEAST_TUNNELS and theirs[0] and old > 0:
            cap = DECISIVE_CAP if symptom.decisive else ORDINARY_CAP
            new = max(AGAINST_CAP, min(cap, log10(share(theirs) / upper(mine))))
        found.append(Recomputed(name, old, new, mine, theirs))
    return found


def as_toml(found: list[Recomputed]) -> str:
    """Return the new ratios as a section of the configuration."""
    lines = [
        "# found in {} of {} ordinary days of channels, in {} of {} tunnels\n".format(*one.ordinary, *one.tunnels)
        + f"{one.symptom} = {one.new:.2f}\n"
        for one in found
        if one.new is not None
    ]
    return "[detect.log10_lr]\n" + "".join(lines)
