from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import MsgspecError
from msgspec.msgpack import Decoder
from rec_records import BAD, GOOD, alarm, any_record, flow, flows, outcome, rows_of, stats, wire_values

from common import kinds
from common.errors import WireError
from common.kinds import Kind
from common.records import (
    RECORD_TYPES,
    FlowRecord,
    RecordReader,
    SensorStats,
    are_good,
    check_flow,
    fields_of,
    good_flow_row,
)

KINDS = sorted(GOOD, key=lambda kind: kind.name)
TYPES = list(RECORD_TYPES.values())
# What the wire types cannot say: texts that do not print, addresses of other lengths.
LEFT_OPEN: dict[Kind, list[object]] = {
    kinds.ADDRESS: [b"x" * 5, b"x" * 15],
    kinds.NAME: ["a\n", "\x1b[2J", "\u202e"],
    kinds.OPTIONAL_NAME: ["a\n", "\x1b[2J", "\u202e"],
    kinds.FACTS: [{"a\n": 1}, {"a": "b\n"}, {"a": 1, "b": "\x00"}],
    # Not in flow records, so nothing reads them without their checks.
    kinds.OPTIONAL_TEXT: ["a\n", "\x00"],
    kinds.HEADER_NAMES: [("a", "\n")],
    kinds.NAMES: [("a", "\n")],
    kinds.COUNTS_BY_NAME: [{"\n": 1}],
}


def good_row_with(kind, value):
    names = [field.name for field in fields_of(FlowRecord) if field.kind is kind]
    return flow(**{names[0]: value}) if names else flow(conn_state="\n")


def reader_for(record_type, names=None):
    return RecordReader(record_type, record_type._fields if names is None else names)


def decoded(kind, value):
    """(whether the kind's wire type takes the packed value, what becomes of it)."""
    packed = msgpack.packb(value, unicode_errors="surrogatepass")
    try:
        return True, Decoder(kind.wire_type).decode(packed)
    except (MsgspecError, ValueError):
        return False, None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(data=st.data())
def test_a_wire_type_takes_good_values_as_they_are(kind, data):
    value = data.draw(GOOD[kind])
    taken, result = decoded(kind, value)
    assert taken
    assert repr(result) == repr(value)


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_a_wire_type_takes_nothing_that_the_check_refuses_but_texts_and_addresses(kind, data):
    value = data.draw(wire_values | st.sampled_from(BAD[kind]))
    taken, result = decoded(kind, value)
    if taken and not kind.check(result):
        assert kind in LEFT_OPEN
        assert not are_good([good_row_with(kind, result)])


@pytest.mark.parametrize("field", fields_of(FlowRecord), ids=lambda field: field.name)
def test_what_wire_types_leave_open_is_looked_at_in_every_field(field):
    for value in LEFT_OPEN.get(field.kind, ()):
        assert decoded(field.kind, value) == (True, value)
        assert not are_good([flow(), flow(**{field.name: value}), flow()])


@given(rows=st.lists(rows_of(FlowRecord), max_size=4))
def test_good_rows_are_good_together(rows):
    assert are_good(rows)


@pytest.mark.parametrize("record_type", TYPES)
def test_fields_are_documented_in_one_line_each(record_type):
    fields = fields_of(record_type)
    assert [field.name for field in fields] == list(record_type._fields)
    assert all(field.doc and "\n" not in field.doc for field in fields)


@pytest.mark.parametrize("record_type", TYPES)
def test_defaults_are_values_that_the_field_may_hold(record_type):
    assert all(field.kind.check(field.default) for field in fields_of(record_type) if field.default is not ...)


@given(record=any_record)
def test_a_reader_returns_the_record_that_was_written(record):
    assert reader_for(type(record)).read(tuple(record)) == record


@given(record=any_record, seed=st.randoms(use_true_random=False))
def test_a_reader_finds_fields_by_name_whatever_their_order_and_company(record, seed):
    columns = [*zip(record._fields, record, strict=True), ("newer_field", {"a": 1}), ("another", None)]
    seed.shuffle(columns)
    names, row = zip(*columns, strict=True)
    assert reader_for(type(record), names).read(row) == record


@given(record=any_record, data=st.data())
def test_a_field_that_the_writer_did_not_know_gets_its_default(record, data):
    optional = sorted(record._field_defaults)
    absent = data.draw(st.sets(st.sampled_from(optional))) if optional else set()
    names = [name for name in record._fields if name not in absent]
    read = reader_for(type(record), names).read(tuple(getattr(record, name) for name in names))
    assert read == record._replace(**{name: record._field_defaults[name] for name in absent})


def test_a_required_field_that_no_column_holds_is_named():
    names = [name for name in FlowRecord._fields if name not in ("client_ip", "end_ns")]
    with pytest.raises(WireError, match="the header names no client_ip, end_ns"):
        reader_for(FlowRecord, names)


@pytest.mark.parametrize("row", [(), (1,), tuple(flow())[:-1], (*flow(), 1), list(flow()), None, 1, "row", {}])
def test_a_row_of_another_shape_is_refused(row):
    with pytest.raises(WireError) as caught:
        reader_for(FlowRecord).read(row)
    assert caught.value.reason == "record_shape"


@pytest.mark.parametrize("record", [flow(), stats(), alarm()], ids=lambda record: type(record).__name__)
@given(data=st.data())
def test_one_bad_value_is_refused_by_the_name_of_its_field(record, data):
    field = data.draw(st.sampled_from(fields_of(type(record))))
    value = data.draw(st.sampled_from(BAD[field.kind]))
    row = tuple(record._replace(**{field.name: value}))
    with pytest.raises(WireError, match=f"^{field.name} is ") as caught:
        reader_for(type(record)).read(row)
    assert caught.value.reason == "record_value"
    assert str(caught.value).isprintable()


@given(row=rows_of(FlowRecord), seed=st.randoms(use_true_random=False))
def test_a_good_row_under_other_names_is_any_row(row, seed):
    """Another program's header may name the same fields in another order."""
    names = list(FlowRecord._fields)
    seed.shuffle(names)
    reader = reader_for(FlowRecord, names)
    assert outcome(reader, good_flow_row()._make(row)) == outcome(reader, tuple(row))


def test_a_good_row_is_no_record_of_another_type():
    with pytest.raises(WireError) as caught:
        reader_for(SensorStats).read(good_flow_row()._make(flow()))
    assert caught.value.reason == "record_shape"


def test_a_good_row_becomes_a_plain_flow_record():
    record = reader_for(FlowRecord).read(good_flow_row()._make(flow()))
    assert type(record) is FlowRecord
    assert record == flow()


@given(record_type=st.sampled_from(TYPES), data=st.data())
def test_any_row_is_a_good_record_or_a_wire_error(record_type, data):
    row = list(data.draw(rows_of(record_type)))
    for index in data.draw(st.sets(st.integers(0, len(row) - 1), max_size=3)):
        row[index] = data.draw(wire_values)
    try:
        record = reader_for(record_type).read(tuple(row))
    except WireError:
        return
    assert all(field.kind.check(value) for field, value in zip(fields_of(record_type), record, strict=True))


def test_the_default_of_a_mapping_is_shared_and_stays_empty():
    names = [name for name in SensorStats._fields if name != "rejected"]
    record = reader_for(SensorStats, names).read(tuple(getattr(stats(), name) for name in names))
    assert record.rejected == {}


@given(record=flows())
def test_fields_that_agree_pass(record):
    check_flow(record)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"end_ns": 1}, "record_time"),
        ({"flow_start_ns": flow().start_ns + 1}, "record_time"),
        ({"client_ip": bytes(16)}, "record_value"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields, reason):
    with pytest.raises(WireError) as caught:
        check_flow(flow(**fields))
    assert caught.value.reason == reason
