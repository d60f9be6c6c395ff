from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import RUN, T0, S, alarm, flow, stats

from common.flowlog import MAX_BATCH_RECORDS, MAX_FRAME_BYTES, decode_frame, read_schema
from sensor.batching import Batcher, NumberedFrame


def batcher(batch_records: int = 3, flush_ns: int = S) -> Batcher:
    return Batcher("tap-1", RUN, batch_records, flush_ns)


def flow_ids(frames: list[NumberedFrame]) -> list[list[int]]:
    return [[row[0] for row in decode_frame(item.data).records] for item in frames]


def rows(*ids: int) -> list[tuple[object, ...]]:
    return [flow(flow_id=number) for number in ids]


def test_the_header_names_the_sensor_and_its_fields():
    header = decode_frame(batcher().header(T0))
    assert (header.kind, header.sensor, header.run, header.sequence, header.first_ns) == ("header", "tap-1", RUN, 0, T0)
    assert "client_ip" in read_schema(header)["flow"]


def test_full_frames_go_out_at_once_and_the_rest_waits():
    batches = batcher(batch_records=3)
    assert batches.add_flows(rows(1, 2), 0) == []
    assert flow_ids(batches.add_flows(rows(3, 4, 5, 6, 7), 0)) == [[1, 2, 3], [4, 5, 6]]
    assert flow_ids(batches.flush()) == [[7]]
    assert batches.flush() == []


def test_rows_wait_no_longer_than_the_flush_time():
    batches = batcher(flush_ns=10)
    assert batches.due(1000) == []
    batches.add_flows(rows(1), 100)
    batches.add_flows(rows(2), 105)
    assert batches.due(109) == []
    assert flow_ids(batches.due(110)) == [[1, 2]]
    assert batches.due(1000) == []


def test_the_rest_of_a_full_frame_waits_from_then_on():
    batches = batcher(batch_records=2, flush_ns=10)
    batches.add_flows(rows(1), 100)
    batches.add_flows(rows(2, 3), 108)
    assert batches.due(117) == []
    assert flow_ids(batches.due(118)) == [[3]]


def test_no_rows_start_no_waiting():
    batches = batcher(flush_ns=0)
    assert batches.add_flows([], 5) == []
    assert batches.due(1000) == []


def test_a_frame_covers_the_times_of_its_rows():
    batches = batcher(batch_records=2)
    (item,) = batches.add_flows([flow(start_ns=T0 + 5, end_ns=T0 + 6), flow(start_ns=T0 + 1, end_ns=T0 + 2)], 0)
    batch = decode_frame(item.data)
    assert (batch.first_ns, batch.last_ns) == (T0 + 1, T0 + 6)


def test_frames_of_all_kinds_are_numbered_together_from_1():
    batches = batcher(batch_records=1)
    frames = [
        *batches.alarms([alarm()]),
        *batches.add_flows(rows(1, 2), 0),
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


def test_rows_too_long_for_one_frame_are_split():
    """Facts may be long; a frame has a limit, and the sensor must not stop at it."""
    long_one = flow(facts={str(n): "x" * 1024 for n in range(32)})
    batches = batcher(batch_records=500)
    frames = batches.add_flows([long_one] * 500, 0)
    assert [item.sequence for item in frames] == list(range(1, len(frames) + 1))
    assert all(len(item.data) <= MAX_FRAME_BYTES + 8 for item in frames)
    assert sum(len(decode_frame(item.data).records) for item in frames) == 500
    assert batches.statistics(stats()).sequence == len(frames) + 1


def test_one_row_too_long_for_a_frame_is_an_error_and_takes_no_number():
    batches = batcher()
    batches.add_flows([flow(facts={"a": "x" * MAX_FRAME_BYTES})], 0)
    with pytest.raises(ValueError, match="a frame holds at most"):
        batches.flush()
    assert batches.statistics(stats()).sequence == 1


@given(
    groups=st.lists(st.integers(0, 7), max_size=12),
    batch_records=st.integers(1, 5),
    gap_ns=st.integers(0, 30),
)
def test_every_row_leaves_once_and_in_order(groups, batch_records, gap_ns):
    batches = batcher(batch_records, flush_ns=20)
    frames, last = [], 0
    for turn, count in enumerate(groups):
        frames += batches.add_flows(rows(*range(last, last + count)), turn * gap_ns)
        frames += batches.due(turn * gap_ns)
        last += count
    frames += batches.flush()
    assert [item.sequence for item in frames] == list(range(1, len(frames) + 1))
    assert [number for ids in flow_ids(frames) for number in ids] == list(range(last))
    assert all(1 <= len(ids) <= batch_records for ids in flow_ids(frames))
