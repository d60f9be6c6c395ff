from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import BAD, GOOD, wire_values

from common import kinds, records
from common.kinds import BYTE, Kind, one_of, or_nil

KINDS = sorted(GOOD, key=lambda kind: kind.name)


def test_every_kind_of_field_has_good_and_bad_values_here():
    every = {value for module in (kinds, records) for value in vars(module).values() if isinstance(value, Kind)}
    assert every == set(GOOD) == set(BAD)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(data=st.data())
def test_a_check_takes_good_values(kind, data):
    assert kind.check(data.draw(GOOD[kind]))


@pytest.mark.parametrize(
    ("kind", "value"),
    [pytest.param(kind, value, id=f"{kind.name}-{value!r:.30}") for kind in KINDS for value in BAD[kind]],
)
def test_a_check_refuses_bad_values(kind, value):
    assert not kind.check(value)


@given(kind=st.sampled_from(KINDS), value=wire_values)
def test_a_check_says_yes_or_no_to_anything_msgpack_can_carry(kind, value):
    assert kind.check(value) in (True, False)


def test_one_of_takes_the_numbers_listed_and_or_nil_nil_too():
    listed = one_of("odd", (1, 3))
    assert [value for value in (0, 1, 2, 3, True, None, "1") if listed.check(value)] == [1, 3]
    assert or_nil(listed).check(None)
    assert (or_nil(BYTE).name, or_nil(BYTE).check(256)) == ("0..255 or nil", False)
