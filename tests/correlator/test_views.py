"""Views without a store: intervals, merged parts, lists, sorting, segments of time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from corr_flows import flow, parts
from hypothesis import given
from hypothesis import strategies as st

from correlator.rows import ChannelRow
from correlator.store.where import Table, segments
from correlator.views.clients import client_view
from correlator.views.figures import Figures, combine, total
from correlator.views.merge import merge_parts
from correlator.views.ranking import channel_nodes, ranked
from correlator.views.tree import Sorting, sorted_nodes
from correlator.views.uptime import bridge, clip, spread, uptime_ns

intervals = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100)).map(lambda p: (p[0], p[0] + p[1])))
figures = st.builds(Figures, *[st.integers(0, 10**6)] * 10)


def channel(client: str, port: int = 443, **changes: int) -> ChannelRow:
    return ChannelRow(0, client, "192.0.2.1", port, 6, Figures(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)._replace(**changes))


def test_a_gap_is_bridged_up_to_and_with_its_length() -> None:
    assert bridge([(0, 10), (310, 320)], 300) == [(0, 320)]
    assert bridge([(0, 10), (311, 320)], 300) == [(0, 10), (311, 320)]
    assert bridge([(0, 100), (10, 20)], 0) == [(0, 100)]
    assert bridge([], 5) == []


@given(intervals, st.integers(0, 50))
def test_sessions_are_apart_and_cover_every_interval(given_intervals: list[tuple[int, int]], gap: int) -> None:
    sessions = bridge(given_intervals, gap)
    assert all(later[0] - earlier[1] > gap for earlier, later in pairwise(sessions))
    assert all(any(s <= start and end <= e for s, e in sessions) for start, end in given_intervals)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 100))
def test_spreading_loses_nothing(start: int, length: int, bucket: int) -> None:
    pieces = list(spread((start, start + length), bucket))
    assert sum(piece for _, piece in pieces) == length
    assert all(begin % bucket == 0 and piece <= bucket for begin, piece in pieces)


def test_clipping() -> None:
    assert clip((10, 20), None, None) == (10, 20)
    assert clip((10, 20), 15, 18) == (15, 18)
    assert clip((10, 20), 30, None) is None
    assert uptime_ns([(0, 5), (10, 12)]) == 7


@given(figures, figures, figures)
def test_figures_add_up_in_any_order(a: Figures, b: Figures, c: Figures) -> None:
    assert combine(a, b) == combine(b, a)
    assert combine(combine(a, b), c) == total([c, b, a])


def test_figures_of_nothing_are_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        total([])


def test_merged_parts_have_sums_last_words_and_first_packets() -> None:
    one, two = parts(1, [10, 20])
    one = one._replace(gaps_out=(1,) * 8, splt=((5, 0),), host=None, conn_state="S1", max_idle_ns=7, echoes=None)
    two = two._replace(gaps_out=(2,) * 8, splt=None, host="a.example", conn_state="SF", max_idle_ns=3, echoes=4)
    merged = merge_parts([one, two])
    assert merged.gaps_out == (3,) * 8
    assert (merged.splt, merged.host, merged.conn_state, merged.max_idle_ns, merged.echoes) == (
        ((5, 0),),
        "a.example",
        "SF",
        7,
        4,
    )
    assert (merged.packets_out, merged.end_reason, merged.end_ns) == (10, 3, two.end_ns)


@given(st.lists(st.floats(0.001, 1000), min_size=2, max_size=20), st.data())
def test_merged_gap_moments_are_those_of_all_gaps(gaps: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(gaps)))

    def moments(values: list[float]) -> dict[str, float | int | None]:
        if not values:
            return {"exchange_gaps": 0}
        mean = sum(values) / len(values)
        m2 = sum((value - mean) ** 2 for value in values)
        return {"exchange_gaps": len(values), "exchange_gap_mean_s": mean, "exchange_gap_m2_s2": m2}

    halves = [flow(1, **moments(gaps[:cut])), flow(1, part=1, **moments(gaps[cut:]))]
    merged = merge_parts(halves)
    whole = moments(gaps)
    assert merged.exchange_gaps == len(gaps)
    assert merged.exchange_gap_mean_s == pytest.approx(whole["exchange_gap_mean_s"])
    assert merged.exchange_gap_m2_s2 == pytest.approx(whole["exchange_gap_m2_s2"], rel=1e-6, abs=1e-6)


def test_ranks_break_ties_by_name_at_both_ends() -> None:
    nodes = channel_nodes([channel("b"), channel("a"), channel("c", bytes_out=9)])
    assert [line.node.names["client"] for line in ranked(nodes, "outbound", 3, bottom=False)] == ["c", "a", "b"]
    assert [line.node.names["client"] for line in ranked(nodes, "outbound", 2, bottom=True)] == ["a", "b"]


def test_a_level_without_the_field_is_sorted_by_last_activity() -> None:
    (client,) = client_view([channel("a", 1, last_ns=1), channel("a", 2, last_ns=2)], (), 2)
    (found,) = sorted_nodes([client], Sorting("services"))
    assert [child.names["server"] for child in found.children] == ["192.0.2.1:2", "192.0.2.1:1"]


@given(st.none() | st.integers(0, 100), st.none() | st.integers(0, 100))
def test_segments_cover_a_range_once_and_roll_up_whole_periods_only(since: int | None, until: int | None) -> None:
    found = segments(since, until, 10)
    for moment in range(110):
        wanted = (since is None or moment >= since) and (until is None or moment < until)
        holders = [
            part
            for part in found
            if (part.since_ns is None or moment >= part.since_ns) and (part.until_ns is None or moment < part.until_ns)
        ]
        assert len(holders) == wanted
    for part in found:
        if part.table is Table.PERIODS:
            assert all(bound is None or bound % 10 == 0 for bound in (part.since_ns, part.until_ns))
