from __future__ import annotations

import sys
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.ship.ranges import Ranges

numbers = st.sets(st.integers(1, 30)).map(sorted)


@given(
    kept=numbers, steps=st.lists(st.tuples(st.sampled_from(["pop", "through", "remove", "back"]), st.integers(0, 31)))
)
def test_it_holds_what_a_deque_would(kept, steps):
    ranges, model = Ranges(kept), deque(kept)
    taken: list[int] = []
    for step, number in steps:
        if step == "pop" and model:
            taken.append(model.popleft())
            assert ranges.popleft() == taken[-1]
        elif step == "through":
            before = len(model)
            model = deque(n for n in model if n > number)
            taken = []
            assert ranges.drop_through(number) == before - len(model)
        elif step == "remove":
            model = deque(n for n in model if n != number)
            ranges.remove(number)
        elif step == "back":
            ranges.extendleft(reversed(taken))
            model.extendleft(reversed(taken))
            taken = []
        assert list(ranges) == list(model)
        assert len(ranges) == len(model)
        assert [n for n in range(32) if n in ranges] == list(model)
        if model:
            assert (ranges[0], ranges[-1]) == (model[0], model[-1])


def test_nothing_in_it_has_no_first():
    for take in (lambda: Ranges()[0], lambda: Ranges()[-1], Ranges().popleft, lambda: Ranges([1, 2])[1]):
        with pytest.raises(IndexError):
            take()


def test_numbers_only_ascend():
    ranges = Ranges([5, 6])
    for put in (lambda: ranges.append(6), lambda: ranges.appendleft(5)):
        with pytest.raises(ValueError, match="does not"):
            put()
    assert list(ranges) == [5, 6]


def test_a_million_numbers_without_a_gap_are_one_range():
    ranges = Ranges(range(1, 1_000_001))
    assert len(ranges) == 1_000_000
    assert sys.getsizeof(ranges._ranges) + sum(map(sys.getsizeof, ranges._ranges)) < 2000
