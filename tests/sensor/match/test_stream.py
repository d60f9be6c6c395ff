"""Matches in streams that come in pieces are those that re finds in the whole."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signatures import ALL_KINDS, found_by_re, found_in_parts, pattern

from sensor.match.look import GramLook
from sensor.match.patterns import Pattern
from sensor.match.stream import Match, PatternSet, Stopwatch, StreamMatcher

LETTERS = st.lists(st.sampled_from([b"a", b"b", b"c", b"ab", b"abc", b"\0", b"\n", b" ", b"A", b"\xff"]), max_size=60)
CUTS = st.lists(st.integers(0, 999))
STREAMS = LETTERS.map(b"".join)


def in_pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in pairwise(places):
        yield data[start:stop]


def plain(matches: Sequence[Match]) -> list[tuple[int, str, bytes]]:
    return sorted((match.offset, match.pattern.name, match.data) for match in matches)


def whole(matcher: StreamMatcher, pieces: Sequence[bytes]) -> list[Match]:
    found = [match for piece in pieces for match in matcher.feed(piece)]
    return found + matcher.finish()


def test_there_are_fifty_kinds_of_pattern() -> None:
    assert len(set(ALL_KINDS)) >= 50


@given(st.lists(st.sampled_from(ALL_KINDS), min_size=1, max_size=5, unique=True), STREAMS, CUTS)
def test_a_stream_in_pieces_gives_what_re_finds_in_the_whole(
    sources: list[bytes], data: bytes, cuts: list[int]
) -> None:
    patterns = [pattern(source) for source in sources]
    matcher = StreamMatcher(PatternSet(patterns, GramLook))
    found = whole(matcher, list(in_pieces(data, cuts)))
    assert plain(found) == found_in_parts(patterns, [(0, data)])


@given(st.sampled_from(ALL_KINDS), STREAMS, CUTS, st.integers(8, 40))
def test_a_small_window_finds_all_that_fits_into_it(source: bytes, data: bytes, cuts: list[int], window: int) -> None:
    one = pattern(source)
    expected = found_by_re(one, data)
    # What re looks at is at most as long as its match where nothing is repeated in vain.
    if max((len(match) for _, match in expected), default=0) >= window - 2 or len(
        re.findall(b"[^\n]{%d}" % window, data)
    ):
        return
    found = whole(StreamMatcher(PatternSet([one], GramLook, window=window)), list(in_pieces(data, cuts)))
    assert [(match.offset, match.data) for match in found] == expected


@given(st.sampled_from(ALL_KINDS), STREAMS, CUTS, st.integers(2, 30), st.integers(0, 9))
def test_how_a_stream_is_cut_changes_nothing_even_beyond_the_window(
    source: bytes, data: bytes, cuts: list[int], window: int, after: int
) -> None:
    def found(pieces: list[bytes], after: int) -> list[tuple[int, str, bytes]]:
        return plain(whole(StreamMatcher(PatternSet([pattern(source)], GramLook, window=window, after=after)), pieces))

    assert found(list(in_pieces(data, cuts)), after) == found([data], 0)


@given(
    st.lists(st.sampled_from(ALL_KINDS), min_size=1, max_size=3, unique=True),
    st.lists(st.tuples(st.integers(1, 9), STREAMS, st.lists(st.integers(0, 99), max_size=5)), min_size=1, max_size=4),
)
def test_no_match_reaches_over_a_gap(sources: list[bytes], parts: list[tuple[int, bytes, list[int]]]) -> None:
    patterns = [pattern(source) for source in sources]
    matcher = StreamMatcher(PatternSet(patterns, GramLook))
    found = []
    for gap, data, cuts in parts:
        found += matcher.gap(gap)
        for piece in in_pieces(data, cuts):
            found += matcher.feed(piece)
    found += matcher.finish()
    assert plain(found) == found_in_parts(patterns, [(gap, data) for gap, data, _ in parts])


@given(st.sampled_from(ALL_KINDS), STREAMS, CUTS, st.integers(0, 12), st.integers(0, 12))
def test_context_is_what_stands_around_the_match(
    source: bytes, data: bytes, cuts: list[int], before: int, after: int
) -> None:
    patterns = PatternSet([pattern(source)], GramLook, before=before, after=after)
    for match in whole(StreamMatcher(patterns), list(in_pieces(data, cuts))):
        end = match.offset + len(match.data)
        assert data[match.offset : end] == match.data
        assert match.before == data[max(0, match.offset - before) : match.offset]
        assert match.after == data[end : end + after]


def test_a_match_is_told_as_soon_as_nothing_can_change_it() -> None:
    matcher = StreamMatcher(PatternSet([pattern(b"SSH-2\\.0-")], GramLook))
    assert matcher.feed(b"SSH-2.0") == []
    assert [match.offset for match in matcher.feed(b"-")] == [0]
    assert matcher.finish() == []


def test_offsets_count_from_the_start_of_the_stream_over_gaps() -> None:
    matcher = StreamMatcher(PatternSet([pattern(b"needle")], GramLook))
    assert matcher.feed(b"x" * 100_000) == []
    assert matcher.gap(5_000_000_000) == []
    assert [match.offset for match in matcher.feed(b"..needle")] == [5_000_100_002]


@pytest.mark.parametrize("sources", [[b"needle"], [b"a.*b"], [b"x[0-9]+y", b"(?s)begin.*end", b"qqq"]])
def test_memory_of_a_stream_is_bounded(sources: list[bytes]) -> None:
    patterns = PatternSet([pattern(source) for source in sources], GramLook, before=4096, after=4096)
    matcher = StreamMatcher(patterns)
    held = 0
    for number in range(2000):
        matcher.feed(b"a begin x12 needl qqq "[: number % 23] * 20)
        held = max(held, matcher.held_bytes)
    assert held < 20_000


def test_of_many_patterns_only_those_are_searched_for_whose_bytes_are_there() -> None:
    searched: list[str] = []

    class Spy(StreamMatcher):
        def _search(self, number: int, *rest: object) -> int:
            searched.append(self._set.patterns[number].name)
            return super()._search(number, *rest)  # type: ignore[arg-type]

    patterns = [pattern(b"signature-%d-[a-z]+" % number) for number in range(100, 600)]
    matcher = Spy(PatternSet(patterns, GramLook))
    matcher.feed(b"nothing of that kind, " * 1000)
    matcher.finish()
    assert searched == []
    matcher.feed(b"SIGNATURE-123-")
    matcher.finish()
    assert searched == ["signature-123-[a-z]+"]


@contextmanager
def ticking(tick: Callable[[], None], seconds: float) -> Iterator[None]:
    old = signal.signal(signal.SIGALRM, lambda *_: tick())
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_a_search_that_goes_on_and_on_is_stopped_and_the_others_go_on() -> None:
    watch = Stopwatch()
    bad, good = pattern(b"(a+)+b"), pattern(b"fine")
    assert bad.shape.nested
    matcher = StreamMatcher(PatternSet([bad, good], GramLook), watch)
    # The timer of pytest-timeout is the same one; it comes back with the next test.
    left = signal.getitimer(signal.ITIMER_REAL)
    handler = signal.getsignal(signal.SIGALRM)
    with ticking(watch.tick, 0.1):
        found = matcher.feed(b"a" * 64 + b"!fine")
        found += matcher.gap(1)
        found += whole(matcher, [b"a" * 64 + b"!", b"fine"])
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *left)
    assert [match.pattern for match in found] == [good, good]
    assert matcher.stopped == [bad]


def test_a_tick_between_searches_raises_nothing() -> None:
    watch = Stopwatch()
    for _ in range(5):
        watch.tick()


def every_kind() -> list[Pattern]:
    return [pattern(source) for source in ALL_KINDS]


@given(STREAMS)
def test_all_kinds_at_once_find_what_each_finds_alone(data: bytes) -> None:
    together = whole(StreamMatcher(PatternSet(every_kind(), GramLook)), [data[:7], data[7:]])
    assert plain(together) == found_in_parts(every_kind(), [(0, data)])
