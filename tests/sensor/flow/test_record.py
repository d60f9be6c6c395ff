"""Records leave the table as msgpack: the same bytes as msgpack's own, and blocks of a bounded size."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, SYN, Conversation, S, all_records, tcp_frame

from common.flowlog import Block, rows_of
from common.records import FlowRecord, RecordReader
from sensor.flow._table import FlowTable
from sensor.inspect._content import Inspector

READER = RecordReader(FlowRecord, FlowRecord._fields)


def blocks_of(table: FlowTable) -> list[Block]:
    found = []
    more = True
    while more:
        more = table.flush()
        found += table.drain_blocks()
    return found


@given(
    sizes=st.lists(st.sampled_from([1, 31, 32, 127, 128, 129, 255, 256, 1400, 32768, 65000]), max_size=40),
    gap_ms=st.sampled_from([1, 127, 128, 255, 256, 32767, 32768, 65536, 10**7]),
    inbound=st.booleans(),
)
def test_a_row_is_what_msgpack_makes_of_its_values_and_passes_every_check(
    sizes: list[int], gap_ms: int, inbound: bool
) -> None:
    talk = Conversation(FlowTable(active_timeout_ns=0, tcp_timeout_ns=10**7 * S)).handshake()
    sequence = 501 if inbound else 101
    for number, size in enumerate(sizes):
        # Counted by the header, whatever was captured.
        frame = tcp_frame(*(talk.ends[::-1] if inbound else talk.ends), ACK, bytes(size), seq=sequence)
        talk.table.feed_frame(1, 1_700_000_001 * S + number * gap_ms * 10**6, frame[:120], len(frame))
        sequence += size
    (block,) = blocks_of(talk.table)
    assert block.record_count == 1
    (row,) = rows_of(block)
    record = READER.read(row)
    # Single precision is enough for what was measured of the first payload; the rest is as msgpack packs it.
    plain = record._replace(first_popcount=None, first_printable=None, first_entropy=None)
    packed = b"".join(map(msgpack.packb, plain))
    singles = [
        value for value in (record.first_popcount, record.first_printable, record.first_entropy) if value is not None
    ]
    assert len(block.rows) == 3 + len(packed) + len(singles) * 4
    if not singles:
        assert block.rows == msgpack.packb(record)


def test_blocks_hold_as_many_records_as_asked_and_the_last_one_grows() -> None:
    table = FlowTable(block_records=3, udp_timeout_ns=S)
    for number in range(8):
        table.feed_frame(1, 1_700_000_000 * S, tcp_frame(("10.0.0.1", 1000 + number), ("10.0.0.2", 80), SYN, seq=1))
    waiting = [table.waiting]
    while table.flush():
        pass
    waiting.append(table.waiting)
    assert [block.record_count for block in table.drain_blocks(partial=False)] == [3, 3]
    waiting.append(table.waiting)
    assert table.drain_blocks(partial=False) == []
    assert [block.record_count for block in table.drain_blocks()] == [2]
    assert [*waiting, table.waiting] == [False, True, True, False]


def test_a_block_covers_the_times_of_its_records() -> None:
    table = FlowTable()
    for port, at_s in ((1, 5), (2, 3), (1, 9)):
        table.feed_frame(1, at_s * S, tcp_frame(("10.0.0.1", port), ("10.0.0.2", 80), SYN, seq=1))
    (block,) = blocks_of(table)
    assert (block.first_ns, block.last_ns) == (3 * S, 9 * S)


def test_long_records_fill_a_block_before_its_number_is_reached() -> None:
    table = FlowTable(block_records=4096, active_timeout_ns=0)
    for flow in range(1500):
        for number in range(33):
            frame = tcp_frame(("10.0.0.1", flow), ("10.0.0.2", 80), ACK, bytes(200), seq=1 + 200 * number)
            table.feed_frame(1, 1_700_000_000 * S + number, frame)
    blocks = blocks_of(table)
    assert sum(block.record_count for block in blocks) == 1500
    assert max(len(block.rows) for block in blocks) < (1 << 17) + 1024
    assert len(blocks) > 1


@pytest.mark.parametrize("count", [0, 4097])
def test_the_size_of_a_block_has_bounds(count: int) -> None:
    with pytest.raises(ValueError, match="block_records is 1 to 4096"):
        FlowTable(block_records=count)


def test_the_table_keeps_within_the_memory_it_is_given() -> None:
    size = FlowTable().flow_bytes
    assert size <= 800
    assert FlowTable(inspector=Inspector()).flow_bytes <= 900
    table = FlowTable(memory_bytes=10 * size)
    assert table.max_flows == 10
    for number in range(50):
        table.feed_frame(
            1, 1_700_000_000 * S, tcp_frame(("10.0.0.1", 1000 + number), ("10.0.0.2", 80), ACK, b"x", seq=1)
        )
    assert table.flows_open == 10
    assert table.shapes_used == 10
    reasons = [record.end_reason for record in all_records(table)]
    assert reasons.count(5) == 40
    assert table.shapes_used == 0
