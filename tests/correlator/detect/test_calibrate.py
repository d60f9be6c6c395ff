"""Likelihood ratios by counts."""

from __future__ import annotations

import tomllib
from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.calibrate import LEAST_ORDINARY, as_toml, recomputed, share, upper
from correlator.detect.catalogue import CATALOGUE
from correlator.detect.symptom import Catalogue, Family, Symptom
from correlator.detect.tunnels import CHANNELS, TUNNELS


def symptom(name: str, log10_lr: float, *, decisive: bool = False) -> Symptom:
    return Symptom(name, Family.TIMING, log10_lr, "", "", "", "", "", decisive=decisive)


MINE = Catalogue.of([symptom("a", 0.9), symptom("b", 5.0, decisive=True), symptom("c", -1.0), symptom("d", 0.3)])


def new(ordinary: dict[str, tuple[int, int]], tunnels: dict[str, tuple[int, int]]) -> dict[str, float | None]:
    return {one.symptom: one.new for one in recomputed(MINE, ordinary, tunnels, {})}


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_bound_is_above_the_share_and_falls_with_every_miss(hits: int, others: int) -> None:
    counts = (hits, hits + others)
    assert share(counts) <= upper(counts) <= 1
    assert upper((hits, hits + others + 1)) <= upper(counts)
    assert upper((hits + 1, hits + others + 1)) >= upper(counts)


def test_a_symptom_that_only_speaks_when_found_was_looked_for_everywhere() -> None:
    every = {"": (0, 1000), "a": (100, 100)}
    (one, *_) = recomputed(MINE, every, {"": (0, 40), "a": (30, 30)}, {})
    assert (one.ordinary, one.tunnels) == ((100, 1000), (30, 40))


def test_nothing_in_a_thousand_is_not_never() -> None:
    assert 0.001 < upper((0, 1000)) < 0.005


def test_a_ratio_is_the_tunnels_share_over_the_bound_of_the_ordinary() -> None:
    found = new({"a": (100, 1000)}, {"a": (30, 40)})
    assert found["a"] == pytest.approx(log10(share((30, 40)) / upper((100, 1000))))
    assert found["b"] is found["d"] is None


@pytest.mark.parametrize(
    ("ordinary", "tunnels"),
    [((0, LEAST_ORDINARY - 1), (30, 40)), ((0, 1000), (4, 4)), ((0, 1000), (0, 40))],
)
def test_where_little_is_known_the_old_one_stays(ordinary: tuple[int, int], tunnels: tuple[int, int]) -> None:
    assert new({"a": ordinary}, {"a": tunnels})["a"] is None


def test_ratios_are_capped_as_in_the_sum() -> None:
    counts = dict.fromkeys("abcd", (0, 10_000_000))
    tunnels = dict.fromkeys("abcd", (1000, 1000))
    assert new(counts, tunnels) == {"a": 2.0, "b": 5.0, "c": None, "d": 2.0}
    usual = dict.fromkeys("abcd", (9_999, 10_000))
    rare = {"a": (1, 10_000), "b": (1, 10_000), "d": (1, 10_000)}
    assert new(usual, rare)["a"] == -3.0


def test_the_section_is_toml_with_those_that_change() -> None:
    found = recomputed(MINE, {"a": (100, 1000)}, {"a": (30, 40)}, {"a": 0.5})
    assert found[0].old == 0.5
    assert tomllib.loads(as_toml(found)) == {"detect": {"log10_lr": {"a": round(found[0].new or 0, 2)}}}


def test_the_shipped_tunnels_are_of_symptoms_that_there_are() -> None:
    assert set(TUNNELS) <= set(CATALOGUE.symptoms)
    assert all(0 <= hits <= number <= CHANNELS for hits, number in TUNNELS.values())
