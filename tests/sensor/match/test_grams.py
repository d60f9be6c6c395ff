"""Short byte strings looked for many at once: what is found is what is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.match._grams import GramFinder

GRAMS = st.lists(st.binary(min_size=2, max_size=4).map(bytes.lower), max_size=20, unique=True)


def found_slowly(grams: list[bytes], data: bytes, before: bytes) -> dict[int, int]:
    text = (before[-3:] + data).lower()
    known = len(before[-3:])
    places = {number: text.rfind(gram) for number, gram in enumerate(grams)}
    return {number: at - known for number, at in places.items() if at >= 0 and at + len(grams[number]) > known}


@given(GRAMS, st.binary(max_size=3), st.binary(max_size=60))
def test_the_last_place_of_every_gram_is_found(grams: list[bytes], before: bytes, data: bytes) -> None:
    data = data + b"".join(grams).upper()
    assert dict(GramFinder(grams).find(data, before)) == found_slowly(grams, data, before)


@given(st.text("abAB", max_size=40).map(str.encode), st.integers(0, 3))
def test_few_letters_make_many_places(data: bytes, known: int) -> None:
    grams = [b"ab", b"aba", b"abab", b"bb"]
    assert dict(GramFinder(grams).find(data[known:], data[:known])) == found_slowly(grams, data[known:], data[:known])


def test_calls_know_nothing_of_each_other() -> None:
    finder = GramFinder([b"needle"[:4]])
    assert finder.find(b"need") == [(0, 0)]
    assert finder.find(b"nothing") == []


def test_more_grams_than_the_first_table_holds_are_told_apart() -> None:
    grams = [b"%04x" % number for number in range(0, 65_536, 3)]
    found = dict(GramFinder(grams).find(b"..0003..fffc.."))
    assert {grams[number] for number in found} == {b"0003", b"fffc"} & set(grams)


@pytest.mark.parametrize("grams", [[b"a"], [b"abcde"], [b"AB"], [b"ab", b"ab"]])
def test_what_is_no_gram_is_refused(grams: list[bytes]) -> None:
    with pytest.raises(ValueError, match="gram"):
        GramFinder(grams)


def test_without_grams_nothing_is_found() -> None:
    assert GramFinder([]).find(b"anything") == []
