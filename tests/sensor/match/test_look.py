"""The first look names every pattern that can match, and of many only few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from signatures import ALL_KINDS, pattern

from sensor.match.look import GramLook


@given(st.lists(st.text("abcABC \0", max_size=12).map(str.encode), max_size=8))
def test_every_match_holds_a_place_that_was_named(pieces: list[bytes]) -> None:
    patterns = [pattern(source) for source in ALL_KINDS]
    look = GramLook(patterns)
    stream = look.open()
    named = set()
    offset = 0
    for piece in pieces:
        named |= {(number, place + offset) for number, place in stream.feed(piece)}
        offset += len(piece)
    data = b"".join(pieces)
    for number, one in enumerate(patterns):
        if number in look.always:
            continue
        matches = [match for match in one.regex.finditer(data) if match[0]]
        # Of several places in one piece the last is named.
        assert bool(matches) <= any(name == number for name, _ in named)
        if matches:
            assert max(place for name, place in named if name == number) >= matches[-1].start()


def test_patterns_without_bytes_of_their_own_are_always_looked_for() -> None:
    assert GramLook([pattern(b"abc"), pattern(b"[0-9]+")]).always == (1,)


def test_what_patterns_share_is_not_what_is_looked_for() -> None:
    look = GramLook([pattern(b"User-Agent: %s" % name) for name in (b"first", b"second", b"third")])
    stream = look.open()
    assert {number for number, _ in stream.feed(b"User-Agent: second")} == {1}


def test_a_place_may_be_in_what_went_before_but_not_beyond_a_gap() -> None:
    stream = GramLook([pattern(b"abcd")]).open()
    assert stream.feed(b"xab") == []
    assert stream.feed(b"cd") == [(0, -2)]
    stream.feed(b"ab")
    stream.restart()
    assert stream.feed(b"cd") == []
    stream.close()
