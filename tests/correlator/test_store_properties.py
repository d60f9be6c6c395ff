"""What holds for any records: roll-ups, sessions and repeats agree with the records themselves."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from corr_strategies import moments, traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.rows import Selection
from correlator.store import queries
from correlator.store.columns import channel_id, channel_key
from correlator.store.database import Built, Store, writing
from correlator.store.flows import Order, flow_figures, flow_parts, open_flows
from correlator.store.writer import Writer
from correlator.views.figures import total
from correlator.views.merge import merge_parts
from correlator.views.uptime import Interval

GAP_NS = 300 * 10**9
SIZES = st.integers(1, 7)


@contextmanager
def stored(records: Sequence[FlowRecord], size: int = 3) -> Iterator[Store]:
    """Give a store that got the records in batches of a size."""
    with tempfile.TemporaryDirectory() as folder, writing(Path(folder) / "p.db", Built(3600, 300)) as store:
        store.conn.execute("PRAGMA synchronous = OFF")
        pipeline = Pipeline(Writer(store), Thresholds())
        rest = iter(records)
        while batch := list(islice(rest, size)):
            pipeline.store_records([("tap", record) for record in batch], 0)
        yield store


def sessions_of(store: Store) -> list[tuple[int, int, int]]:
    return store.conn.execute("SELECT * FROM channel_sessions ORDER BY 1, 2").fetchall()


def brute_force(intervals: Sequence[Interval]) -> list[Interval]:
    """Join any two intervals that are near enough until none are."""
    joined = list(intervals)
    changed = True
    while changed:
        changed = False
        for i in range(len(joined)):
            for j in range(i + 1, len(joined)):
                (a, b), (c, d) = joined[i], joined[j]
                if max(a, c) - min(b, d) <= GAP_NS:
                    joined[i] = (min(a, c), max(b, d))
                    del joined[j]
                    changed = True
                    break
            if changed:
                break
    return sorted(joined)


@given(traffic(), SIZES)
def test_sessions_are_what_brute_force_says(records: list[FlowRecord], size: int) -> None:
    by_channel: dict[int, list[Interval]] = {}
    for record in records:
        by_channel.setdefault(channel_id(channel_key(record)), []).append((record.start_ns, record.end_ns))
    expected = sorted(
        (channel, *session) for channel, intervals in by_channel.items() for session in brute_force(intervals)
    )
    with stored(records, size) as store:
        assert sessions_of(store) == expected


@given(traffic(), SIZES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(records: list[FlowRecord], size: int, rng: random.Random) -> None:
    shuffled = rng.sample(records, len(records))
    with stored(records) as one, stored(shuffled, size) as other:
        assert sessions_of(one) == sessions_of(other)
        query = "SELECT * FROM channel_periods ORDER BY 1, 2"
        assert one.conn.execute(query).fetchall() == other.conn.execute(query).fetchall()


@given(traffic(), SIZES, moments, moments, st.booleans())
def test_rollup_and_records_give_the_same_channels(
    records: list[FlowRecord], size: int, since: int | None, until: int | None, wire: bool
) -> None:
    chosen = Selection(since_ns=since, until_ns=until, protocol=None, wire=wire)
    with stored(records, size) as store:
        by_rollup = sorted(queries.channels(store, chosen))
        assert by_rollup == sorted(queries.channels(store, chosen, use_rollup=False))


@given(traffic(), SIZES, moments, moments)
def test_channels_periods_minutes_and_flows_add_up_to_the_same(
    records: list[FlowRecord], size: int, since: int | None, until: int | None
) -> None:
    chosen = Selection(since_ns=since, until_ns=until, protocol=None)
    with stored(records, size) as store:
        found = [
            [row.figures for row in queries.channels(store, chosen)],
            [row.figures for row in queries.periods(store, chosen)],
            [row.figures for row in queries.minutes(store, chosen)],
            [row.figures for row in flow_figures(store, chosen)],
        ]
        sums = [total(rows)._replace(channel_uptime_ns=0) for rows in found if rows]
        assert len(sums) in (0, 4)
        assert all(figure == sums[0] for figure in sums)


@given(traffic(), SIZES)
def test_period_uptimes_add_up_to_the_channels(records: list[FlowRecord], size: int) -> None:
    chosen = Selection(protocol=None)
    with stored(records, size) as store:
        by_channel = sum(row.figures.channel_uptime_ns for row in queries.channels(store, chosen))
        assert by_channel == queries.total_uptime_ns(store.conn, chosen)
        # A session goes on through periods in which no record began, and those have no row.
        assert sum(row.figures.channel_uptime_ns for row in queries.periods(store, chosen)) <= by_channel


@given(traffic(), SIZES)
def test_storing_again_adds_nothing(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        before = list(store.conn.iterdump())
        pipeline = Pipeline(Writer(store), Thresholds())
        again = pipeline.store_records([("tap", record) for record in records], 0)
        assert (again.records, again.duplicates) == (0, len(records))
        changed = set(store.conn.iterdump()) ^ set(before)
        assert all('INTO "sensors"' in line for line in changed)


@given(traffic(), SIZES)
def test_flows_are_their_parts_merged(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        for sensor, parts in flow_parts(store, Selection(protocol=None), Order()):
            expected = sorted((r for r in records if r.flow_id == parts[0].flow_id), key=lambda r: r.part)
            assert (sensor, parts) == ("tap", expected)
            merged = merge_parts(parts)
            assert merged.packets_out == sum(part.packets_out for part in expected)
            assert (merged.part, merged.start_ns) == (0, expected[0].start_ns)
            assert merged.end_ns == expected[-1].end_ns
            assert merged.end_reason == expected[-1].end_reason


@given(traffic())
def test_open_flows_are_those_without_an_end(records: list[FlowRecord]) -> None:
    ended = {record.flow_id for record in records if record.end_reason is not None}
    with stored(records) as store:
        assert open_flows(store, Selection(protocol=None)) == len({r.flow_id for r in records} - ended)


def test_a_database_names_what_it_was_built_with(db: Path) -> None:
    with writing(db, Built(900, 60)) as store:
        assert store.built == Built(900, 60)
    with writing(db, Built(3600, 300)) as store:
        assert store.built == Built(900, 60)
