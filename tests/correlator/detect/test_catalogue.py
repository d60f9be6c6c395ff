"""Every symptom is documented and bounded."""

from __future__ import annotations

import re

import pytest

from correlator.detect.catalogue import CATALOGUE
from correlator.detect.judge import DECISIVE_CAP, ORDINARY_CAP
from correlator.detect.symptom import Symptom


@pytest.mark.parametrize("symptom", CATALOGUE.symptoms.values(), ids=CATALOGUE.symptoms.keys())
def test_a_symptom_says_what_it_is_where_it_is_from_and_how_it_fails(symptom: Symptom) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", symptom.name)
    for text in (symptom.meaning, symptom.formula, symptom.source, symptom.false_positives, symptom.evasions):
        assert text.strip()
        assert not text.endswith(".")
    assert -3 <= symptom.log10_lr <= (DECISIVE_CAP if symptom.decisive else ORDINARY_CAP)
    assert symptom.log10_lr_absent <= 0
    if symptom.rates is not None:
        assert 0 < symptom.rates.others < symptom.rates.tunnels < 1
