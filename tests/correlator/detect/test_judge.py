"""The sum of symptoms: what counts, what is capped, and that it is the sum of what is shown."""

from __future__ import annotations

from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.alarm import Severity
from correlator.detect.channel import Sighting
from correlator.detect.judge import DECISIVE_CAP, ORDINARY_CAP, accumulated, judge, probability_of
from correlator.detect.symptom import Catalogue, Family, Rates, Symptom

PRIOR = 1e-4


def symptom(name: str, family: Family = Family.TIMING, log10_lr: float = 0.9, **more: object) -> Symptom:
    return Symptom(name, family, log10_lr, "m", "f", "s", "fp", "e", **more)  # type: ignore[arg-type]


CATALOGUE = Catalogue.of(
    (
        symptom("timing-a"),
        symptom("timing-b", log10_lr=0.5),
        symptom("volume", Family.VOLUME, 0.9),
        symptom("huge", Family.CONTENT, 7.0),
        symptom("foreign", Family.PROTOCOL, 5.0, decisive=True, log10_lr_absent=-0.05),
        symptom("popular", Family.NOVELTY, -1.3),
        symptom("rare", Family.NOVELTY, 0.6),
        symptom("random", Family.INTERACTION, 1.5, rates=Rates(0.9, 0.02)),
    )
)
NAMES = sorted(CATALOGUE.symptoms)
found_names = st.sets(st.sampled_from(NAMES))


def seen(*names: str) -> dict[str, Sighting]:
    return {name: Sighting(tested=1, found=1, value=1.0) for name in names}


def odds(*names: str) -> float:
    return judge(CATALOGUE, seen(*names), PRIOR, {}).log10_odds


@given(found_names, st.sampled_from(NAMES))
def test_one_more_symptom_for_a_tunnel_never_lowers_the_odds(names: set[str], more: str) -> None:
    if CATALOGUE.symptoms[more].log10_lr > 0:
        assert odds(*names, more) >= odds(*names)


@given(st.permutations(NAMES), st.integers(0, len(NAMES)))
def test_the_order_of_symptoms_does_not_matter(names: list[str], some: int) -> None:
    assert judge(CATALOGUE, seen(*names[:some]), PRIOR, {}) == judge(CATALOGUE, seen(*sorted(names[:some])), PRIOR, {})


def test_of_two_symptoms_of_a_family_the_stronger_one_counts_alone() -> None:
    assert odds("timing-a", "timing-b") == odds("timing-a")
    judgement = judge(CATALOGUE, seen("timing-a", "timing-b"), PRIOR, {})
    assert [(addend.symptom, addend.counted) for addend in judgement.addends] == [
        ("timing-a", True),
        ("timing-b", False),
    ]


def test_in_one_family_what_speaks_against_a_tunnel_counts_beside_what_speaks_for_one() -> None:
    assert odds("popular", "rare") == pytest.approx(odds() - 1.3 + 0.6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "foreign"])
def test_no_ordinary_symptom_alone_gets_beyond_low(name: str) -> None:
    severity = judge(CATALOGUE, seen(name), PRIOR, {name: 9.0}).severity
    assert severity in (None, Severity.LOW)


def test_a_foreign_protocol_alone_is_critical_or_nearly() -> None:
    judgement = judge(CATALOGUE, seen("foreign"), PRIOR, {})
    assert judgement.probability == pytest.approx(0.909, abs=1e-3)
    assert judgement.severity is Severity.CRITICAL


def test_ordinary_symptoms_are_capped_at_a_hundred_and_decisive_ones_at_their_own_cap() -> None:
    assert odds("huge") == pytest.approx(odds() + ORDINARY_CAP)
    assert judge(CATALOGUE, seen("foreign"), PRIOR, {"foreign": 50.0}).log10_odds == pytest.approx(
        odds() + DECISIVE_CAP
    )


def test_a_test_that_was_not_made_adds_nothing() -> None:
    assert judge(CATALOGUE, {"timing-a": Sighting()}, PRIOR, {}).log10_odds == odds()


def test_only_decisive_symptoms_speak_by_their_absence() -> None:
    absent = {name: Sighting(tested=3) for name in NAMES}
    assert judge(CATALOGUE, absent, PRIOR, {}).log10_odds == pytest.approx(odds() - 0.05)


@given(found_names)
def test_the_probability_is_that_of_the_addends_shown(names: set[str]) -> None:
    judgement = judge(CATALOGUE, seen(*names), PRIOR, {})
    total = log10(PRIOR / (1 - PRIOR)) + sum(addend.log10_lr for addend in judgement.addends if addend.counted)
    assert judgement.log10_odds == pytest.approx(total, abs=1e-12)
    assert judgement.probability == pytest.approx(probability_of(total), rel=1e-12)


@pytest.mark.parametrize(
    ("found", "tested", "speaks"), [(1, 1, True), (3, 3, True), (1, 2, True), (1, 10, False), (0, 5, False)]
)
def test_flows_that_fail_a_test_outvote_those_that_pass(found: int, tested: int, *, speaks: bool) -> None:
    sighting = Sighting(tested=tested, found=found)
    assert accumulated(CATALOGUE.symptoms["random"], sighting) is speaks
    expected = odds() + (1.5 if speaks and found else 0)
    assert judge(CATALOGUE, {"random": sighting}, PRIOR, {}).log10_odds == pytest.approx(expected)


def test_settings_replace_what_a_symptom_is_worth() -> None:
    assert judge(CATALOGUE, seen("volume"), PRIOR, {"volume": 0.3}).log10_odds == pytest.approx(odds() + 0.3)


def test_a_symptom_that_this_program_does_not_know_is_passed_over() -> None:
    assert judge(CATALOGUE, seen("from-a-newer-program"), PRIOR, {}).log10_odds == odds()


def test_odds_beyond_all_numbers_are_a_probability_still() -> None:
    assert probability_of(1e9) == 1.0
    assert probability_of(-1e9) >= 0.0
