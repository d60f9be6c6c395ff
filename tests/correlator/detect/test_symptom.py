"""The words of symptoms."""

from __future__ import annotations

import pytest

from correlator.detect.catalogue import CATALOGUE
from correlator.detect.symptom import Catalogue, absent, present


def test_answers_say_whether_something_was_found() -> None:
    assert not absent("x").found
    assert present("x", 2.0, 1.0, "two, which is more than one").found


def test_two_symptoms_cannot_have_one_name() -> None:
    one = next(iter(CATALOGUE.symptoms.values()))
    with pytest.raises(ValueError, match="same name"):
        Catalogue.of((one,), (one,))
