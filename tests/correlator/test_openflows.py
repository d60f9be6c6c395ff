"""A flow is open until a record ends it, whatever came first."""

from __future__ import annotations

import random

from corr_flows import flow, parts
from corr_store import stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.rows import Selection
from correlator.store.flows import open_flows
from correlator.store.openflows import note_open

CHOICES = st.builds(
    Selection,
    client=st.sampled_from([None, "10.0.0.1", "10.0.0.0/30"]),
    server=st.sampled_from([None, "192.0.2.1"]),
    server_port=st.sampled_from([None, 443]),
    server_ports=st.none(),
    protocol=st.sampled_from([None, 6]),
    since_ns=st.none(),
    until_ns=st.none(),
    host=st.none(),
    wire=st.just(value=False),
)


@given(traffic(), st.integers(1, 5), CHOICES, st.randoms(use_true_random=False))
def test_open_are_the_flows_of_the_selection_that_no_record_ends(
    records: list[FlowRecord], size: int, chosen: Selection, rng: random.Random
) -> None:
    ended = {record.flow_id for record in records if record.end_reason is not None}
    mine = {
        record.flow_id
        for record in records
        if (chosen.client != "10.0.0.1" or record.client_ip == bytes((10, 0, 0, 1)))
        and (chosen.server is None or record.server_ip == bytes((192, 0, 2, 1)))
        and chosen.server_port in (None, record.server_port)
        and chosen.protocol in (None, record.protocol)
    }
    twice = rng.sample([*records, *records], 2 * len(records))
    with stored(twice, size) as store:
        assert open_flows(store, chosen) == len(mine - ended)
        assert store.conn.execute("SELECT count(*) FROM open_flows").fetchone()[0] == len(
            {record.flow_id for record in records} - ended
        )


def test_an_end_that_comes_before_the_beginning_counts() -> None:
    first, *_, last = parts(7, [60, 60, 60])
    with stored([last, first]) as store:
        assert open_flows(store, Selection()) == 0


def test_whole_flows_cost_nothing() -> None:
    with stored([flow(n) for n in range(1, 9)]) as store:
        assert store.conn.execute("SELECT count(*) FROM open_flows").fetchone()[0] == 0


def test_another_part_of_an_open_flow_costs_the_same_however_many_there_are() -> None:
    steps = []
    for count in (100, 3000):
        several = parts(7, [1] * (count + 1), closed=False)
        with stored(several[:count], count) as store:
            done = [0]
            store.conn.set_progress_handler(lambda done=done: done.__setitem__(0, done[0] + 1), 100)  # type: ignore[misc]
            store.conn.execute("BEGIN")
            note_open(store.conn, count, count)
            store.conn.execute("COMMIT")
            steps.append(done[0])
    assert steps[1] <= steps[0] + 2
