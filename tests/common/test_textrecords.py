from __future__ import annotations

import csv
import io
import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import T0, S, flow, flows

from common.errors import WireError
from common.records import FlowRecord
from common.textrecords import (
    FLOW_COLUMNS,
    REQUIRED_COLUMNS,
    flow_cells,
    flow_from_row,
    flow_row,
    protocol_name,
    protocol_number,
)


# In text an empty cell is nothing, so what is empty text in a record comes back as nothing.
def without_empty_texts(record: FlowRecord) -> FlowRecord:
    names = ("conn_state", "history", "app_out", "app_in", "host")
    empty: dict[str, Any] = {name: None for name in names if getattr(record, name) == ""}
    return record._replace(**empty)


written = flows().map(without_empty_texts)
LEAST = {"client_ip": "10.1.1.46", "server_ip": "10.1.1.1", "start_ns": T0, "end_ns": T0 + S}


@given(record=written)
def test_a_record_is_the_same_after_json(record):
    row = json.loads(json.dumps(flow_row(record, "tap-1")))
    assert tuple(row) == FLOW_COLUMNS
    assert row["sensor"] == "tap-1"
    assert flow_from_row(row, 0) == record


@given(record=written)
def test_a_record_is_the_same_after_csv(record):
    text = io.StringIO()
    csv.writer(text).writerow(flow_cells(record, "tap-1"))
    cells = next(csv.reader([text.getvalue()]))
    assert flow_from_row(dict(zip(FLOW_COLUMNS, cells, strict=True)), 0) == record


def test_a_flow_id_is_text_because_json_numbers_are_doubles_elsewhere():
    assert flow_row(flow(flow_id=(1 << 63) - 1), "s")["flow_id"] == "9223372036854775807"


def test_codes_are_words():
    row = flow_row(flow(), "s")
    assert (row["protocol"], row["end_reason"], row["oriented_by"]) == ("tcp", "end_of_flow", "syn")
    assert (row["client_ip"], row["server_ip"]) == ("10.1.1.46", "10.1.1.1")


def test_four_columns_make_a_whole_tcp_flow_that_has_ended():
    record = flow_from_row(LEAST, 77)
    assert record == FlowRecord(
        77, 0, 3, 6, None, bytes([10, 1, 1, 46]), 0, bytes([10, 1, 1, 1]), 0, 0, T0, T0, T0 + S
    )  # fmt: skip


def test_an_end_reason_that_is_there_and_empty_is_an_open_flow():
    assert flow_from_row({**LEAST, "end_reason": None}, 1).end_reason is None
    assert flow_from_row({**LEAST, "end_reason": ""}, 1).end_reason is None


def test_a_column_that_is_not_known_is_ignored():
    assert flow_from_row({**LEAST, "colour": "blue", "sensor": "x"}, 1) == flow_from_row(LEAST, 1)


@pytest.mark.parametrize("name", REQUIRED_COLUMNS)
@pytest.mark.parametrize("value", [None, "", ...])
def test_a_required_column_without_a_value_is_named(name, value):
    row = {key: item for key, item in {**LEAST, name: value}.items() if item is not ...}
    with pytest.raises(WireError, match=f"^no {name}$"):
        flow_from_row(row, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_ip", "10.1.1"), ("client_ip", 1), ("client_ip", "::1"), ("server_ip", ["10.1.1.1"]),
        ("client_port", 65536), ("client_port", "80.0"), ("client_port", 80.0), ("client_port", True),
        ("client_port", "8_0"), ("client_port", " 80"), ("client_port", "٨٠"), ("client_port", "0x50"),
        ("packets_out", -1), ("packets_out", "-1"), ("packets_out", 1 << 63), ("packets_out", "9" * 5000),
        ("packets_out", 10**400), ("packets_out", {}), ("flow_id", 1.5), ("flow_id", "x"),
        ("protocol", "sctp?"), ("protocol", 256), ("protocol", []), ("protocol", "6" * 5000), ("protocol", "٦"),
        ("end_reason", "bored"), ("end_reason", 3), ("end_reason", {}), ("oriented_by", "dice"),
        ("start_ns", T0 + 2 * S), ("flow_start_ns", T0 + 1), ("end_ns", "soon"),
        ("first_entropy", "much"), ("first_entropy", "nan"), ("first_entropy", "inf"), ("first_entropy", -0.1),
        ("first_entropy", math.nan), ("first_entropy", True), ("first_entropy", 10**400), ("first_entropy", []),
        ("first_entropy", "9" * 5000),
        ("host", 7), ("host", "a\nb"), ("host", "\x1b[31m"), ("host", "x" * 256), ("host", {}),
        ("splt", "no json"), ("splt", "{}"), ("splt", [[1, 2, 3]]), ("splt", 5), ("splt", "[" * 100_000),
        ("splt", "[[1, " + "9" * 5000 + "]]"), ("splt", [[1, 1e400]]),
        ("gaps_in", [1] * 7), ("gaps_in", "[1,1,1,1,1,1,1,true]"), ("gaps_in", "12345678"),
        ("facts", "[]"), ("facts", {"a": [1]}), ("facts", {"a": None}), ("facts", '{"a\\n": 1}'),
        ("anomalies", ["x", 1]), ("anomalies", {"a": 1}), ("anomalies", '"abc"'),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_wire_error_in_one_line(name, value):
    with pytest.raises(WireError) as caught:
        flow_from_row({**LEAST, name: value}, 1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(row=st.dictionaries(st.sampled_from(FLOW_COLUMNS), json_values, max_size=6))
def test_any_row_is_a_record_or_a_wire_error(row):
    with suppress(WireError):
        assert isinstance(flow_from_row({**LEAST, **row}, 1), FlowRecord)


@given(number=st.integers(0, 255))
def test_a_protocol_is_the_same_after_printing_and_parsing(number):
    assert protocol_number(protocol_name(number)) == number
    assert protocol_number(protocol_name(number).upper()) == number


@pytest.mark.parametrize("text", ["", "256", "-6", "tpc", "6.0", "²"])
def test_what_is_no_protocol_is_refused_with_the_remedy(text):
    with pytest.raises(ValueError, match=r"not a protocol: .*; write tcp"):
        protocol_number(text)
