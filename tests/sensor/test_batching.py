from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import RUN, T0, S, alarm, block, flow, stats

from common.flowlog import MAX_BATCH_RECORDS, decode_frame, read_schema
from sensor.batching import Batcher


def batcher(flush_ns: int = S) -> Batcher:
    return Batcher("tap-1", RUN, flush_ns)


def test_the_header_names_the_sensor_and_its_fields():
    header = decode_frame(batcher().header(T0))
    assert (header.kind, header.sensor, header.run, header.sequence, header.first_ns) == ("header", "tap-1", RUN, 0, T0)
    assert "client_ip" in read_schema(header)["flow"]


def test_a_block_of_flows_is_a_frame_with_its_times():
    (one, other) = batcher().flows(
        [block(flow(start_ns=T0 + 5, end_ns=T0 + 6), flow(start_ns=T0 + 1, end_ns=T0 + 2)), block(flow(flow_id=7))]
    )
    batch = decode_frame(one.data)
    assert (batch.kind, batch.first_ns, batch.last_ns, len(batch.records)) == ("flow", T0 + 1, T0 + 6, 2)
    assert decode_frame(other.data).records == (flow(flow_id=7),)


def test_records_wait_no_longer_than_the_flush_time():
    batches = batcher(flush_ns=10)
    assert not batches.is_due(100, waiting=True)
    assert not batches.is_due(109, waiting=True)
    assert batches.is_due(110, waiting=True)


def test_the_rest_of_a_full_block_waits_from_then_on():
    batches = batcher(flush_ns=10)
    assert not batches.is_due(100, waiting=True)
    batches.flows([block(flow())])
    assert not batches.is_due(111, waiting=True)
    assert batches.is_due(121, waiting=True)


def test_nothing_is_due_when_nothing_waits():
    batches = batcher(flush_ns=10)
    assert not batches.is_due(100, waiting=True)
    assert not batches.is_due(110, waiting=False)
    assert not batches.is_due(120, waiting=True)


def test_frames_of_all_kinds_are_numbered_together_from_1():
    batches = batcher()
    frames = [
        *batches.alarms([alarm()]),
        *batches.flows([block(flow()), block(flow())]),
        batches.statistics(stats()),
        *batches.alarms([alarm(time_ns=T0), alarm(time_ns=T0 + 9)]),
    ]
    decoded = [decode_frame(item.data) for item in frames]
    assert [batch.sequence for batch in decoded] == [item.sequence for item in frames] == [1, 2, 3, 4, 5]
    assert [batch.kind for batch in decoded] == ["alarm", "flow", "flow", "stats", "alarm"]
    assert (decoded[4].first_ns, decoded[4].last_ns) == (T0, T0 + 9)


@pytest.mark.parametrize("count", [0, 1, MAX_BATCH_RECORDS, MAX_BATCH_RECORDS + 1])
def test_any_number_of_alarms_fits(count):
    frames = batcher().alarms([alarm(flow_id=number) for number in range(count)])
    assert sum(len(decode_frame(item.data).records) for item in frames) == count


def test_a_block_that_is_refused_takes_no_number():
    batches = batcher()
    with pytest.raises(ValueError, match="a batch holds at most"):
        batches.flows([block(flow())._replace(record_count=MAX_BATCH_RECORDS + 1)])
    assert batches.statistics(stats()).sequence == 1


@given(waiting=st.lists(st.booleans(), max_size=20), gap_ns=st.integers(0, 30))
def test_waiting_records_are_due_within_two_turns_of_the_flush_time(waiting, gap_ns):
    batches = batcher(flush_ns=20)
    since = None
    for turn, some in enumerate(waiting):
        since = (turn if since is None else since) if some else None
        assert batches.is_due(turn * gap_ns, waiting=some) == (since is not None and (turn - since) * gap_ns >= 20)
