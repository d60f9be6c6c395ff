"""Symptoms of more than was learned."""

from __future__ import annotations

from correlator.detect.baseline import BY_RULE, BaselineLimits, Excess, Learned, Usual
from correlator.detect.catalogue import CATALOGUE
from correlator.detect.channel import Channel, Surroundings
from correlator.detect.symptom import Sight, absent
from correlator.detect.symptoms.baseline import SYMPTOMS, of_channel

TUESDAY_14 = 1_699_970_400
RULES = ("connections", "out", "in")


def sights(learned: Learned | None) -> list[Sight]:
    around = Surroundings(0, 1, 1, 0, 0, learned=learned)
    return list(of_channel(Channel("10.0.0.1", "a.example", 443, 6), around, BaselineLimits()))


def over(rule: str, value: int, z: float) -> Excess:
    return Excess(BY_RULE[rule], value, Usual(14, 14, 900_000, 13.7, 0.1, 1_000_000), z)


def test_without_enough_learned_nothing_is_said() -> None:
    assert sights(None) == []


def test_what_is_usual_is_tested_and_absent() -> None:
    assert sights(Learned(RULES, ())) == [absent(f"above-baseline-{rule}") for rule in RULES]


def test_the_most_unusual_hour_is_told_with_what_is_usual() -> None:
    learned = Learned(RULES, ((TUESDAY_14 - 3600, over("out", 1_200_000, 4)), (TUESDAY_14, over("out", 9_800_000, 9))))
    (_, out, _) = sights(learned)
    assert (out.symptom, out.found, out.value, out.threshold) == ("above-baseline-out", True, 9_800_000, 1_000_000)
    assert out.explanation == (
        "Tuesday 14:00 usually <= 1.0 MB outbound (most of 14 learned, median 900.0 kB), now 9.8 MB, 880 % more"
    )
    assert out.log10_lr == 0.9


def test_medium_is_worth_less_than_high() -> None:
    (_, out, _) = sights(Learned(RULES, ((TUESDAY_14, over("out", 1_200_000, 4)),)))
    assert (out.found, out.log10_lr) == (True, None)


def test_far_from_the_middle_but_not_beyond_the_limit_is_absent() -> None:
    (_, out, _) = sights(Learned(RULES, ((TUESDAY_14, over("out", 1_050_000, 9)),)))
    assert not out.found


def test_hours_put_together_are_tested_for_all() -> None:
    one, other = Learned(("out",), ((1, over("out", 2, 4)),)), Learned(("in",), ())
    assert Learned.together([one, other]) == Learned(("out", "in"), one.overs)


def test_they_are_in_the_catalogue() -> None:
    assert {symptom.name for symptom in SYMPTOMS} <= CATALOGUE.symptoms.keys()
