"""What a pattern's parse tree tells is true of its matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signatures import ALL_KINDS, pattern

from sensor.match.shape import UNBOUNDED, shape_of


@pytest.mark.parametrize(
    ("source", "longest", "reach", "behind"),
    [
        (b"abc", 3, 3, 0), (b"a(?=bcd)", 1, 4, 0), (b"a|bcd", 3, 3, 0), (b"(?:ab){2,3}", 6, 6, 0),
        (b"(?<=xy)z", 1, 2, 2),
        (b"a$", 1, 3, 1), (b"(?:a(?=bbb)){2}", 2, 5, 0), (b"(?>ab)c", 3, 3, 0), (b"(a)?(?(1)bc|d)", 3, 3, 0),
    ],
)  # fmt: skip
def test_how_far_a_pattern_looks(source: bytes, longest: int, reach: int, behind: int) -> None:
    shape = shape_of(source)
    assert (shape.longest, shape.behind) == (longest, behind)
    assert reach <= shape.reach <= reach + 1


@pytest.mark.parametrize("source", [b"a*", b"a+b", b"(?=a.*b)c", b"(a)\\1", b"(?s).*"])
def test_what_repeats_without_end_reaches_without_end(source: bytes) -> None:
    assert shape_of(source).reach > 1 << 30
    assert shape_of(source).reach <= UNBOUNDED


@pytest.mark.parametrize(
    ("source", "literals"),
    [
        (b"SSH-2", (b"ssh-2",)), (b"(foo|barr)x*", (b"foo", b"barr")), (b"(?i)GeT", (b"get",)),
        (b"[Gg][Ee]t", (b"get",)),
        (b"a.*b", ()), (b"(abc)?", ()), (b"(abc)+", (b"abc",)), (b"x(?=abc)", ()), (b"(abc|.)", ()),
        (b"ab.abcd", (b"abcd",)),
    ],
)  # fmt: skip
def test_bytes_that_every_match_holds(source: bytes, literals: tuple[bytes, ...]) -> None:
    assert shape_of(source).literals == literals


@given(st.sampled_from(ALL_KINDS), st.text("abcABC \n\0", max_size=60).map(str.encode))
def test_every_match_is_as_its_shape_says(source: bytes, data: bytes) -> None:
    one = pattern(source)
    for match in one.regex.finditer(data):
        assert one.shape.shortest <= len(match[0]) <= one.shape.longest
        assert not one.shape.literals or any(literal in match[0].lower() for literal in one.shape.literals)


@pytest.mark.parametrize(
    ("source", "nested"),
    [(b"(a+)+b", True), (b"(?:a*b?)*", True), (b"(a|b)*c", False), (b"a+b+", False), (b"(?:a{2,3})+", False),
    (b"(x(a+))*y", True)],
)  # fmt: skip
def test_repeated_repetition_is_seen(source: bytes, nested: bool) -> None:
    assert shape_of(source).nested is nested
