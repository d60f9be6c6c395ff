from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import T0, S, flow, flows

from common.textrecords import FLOW_COLUMNS, flow_from_row, flow_row
from sensor.output.text import csv_format, ndjson_format, zeek_format

ZEEK = zeek_format()


def zeek_row(**fields):
    names = next(line for line in ZEEK.opening.splitlines() if line.startswith("#fields")).split("\t")[1:]
    return dict(zip(names, ZEEK.lines([flow(**fields)]).rstrip("\n").split("\t"), strict=True))


@given(records=st.lists(flows(), max_size=3))
def test_ndjson_is_a_json_object_a_line_that_can_be_imported_again(records):
    lines = ndjson_format("tap-1").lines(records).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(records)
    for line, record in zip(lines, records, strict=True):
        row = json.loads(line)
        assert row == json.loads(json.dumps(flow_row(record, "tap-1")))
        assert flow_from_row(row, 0)._replace(**absent(record)) == record


@given(records=st.lists(flows(), max_size=3))
def test_csv_is_a_line_of_names_and_a_line_a_record(records):
    text_format = csv_format("tap-1")
    lines = (text_format.opening + text_format.lines(records)).split("\n")
    assert lines.pop() == ""
    names, *rows = csv.reader(lines)
    assert tuple(names) == FLOW_COLUMNS
    for cells, record in zip(rows, records, strict=True):
        assert flow_from_row(dict(zip(names, cells, strict=True)), 0)._replace(**absent(record)) == record


def absent(record):
    """Empty texts, which text formats do not tell from nothing."""
    return {name: "" for name in ("conn_state", "history", "app_out", "app_in", "host") if getattr(record, name) == ""}


def test_rows_may_be_plain_tuples():
    assert ndjson_format("s").lines([tuple(flow())]) == ndjson_format("s").lines([flow()])


def test_a_zeek_line_has_zeeks_names_and_units():
    row = zeek_row(
        flow_start_ns=T0 + 1_500_000, start_ns=T0 + 1_500_000, end_ns=T0 + 2 * S, packets_out=3, packets_in=2,
        wire_bytes_out=300, wire_bytes_in=200, payload_bytes_out=30, payload_bytes_in=20, missed_bytes_in=7,
        conn_state="SF", history="ShAD", app_in="http",
    )  # fmt: skip
    assert row == {
        "ts": "1700000000.001500", "uid": "C1", "id.orig_h": "10.1.1.46", "id.orig_p": "1044", "id.resp_h": "10.1.1.1",
        "id.resp_p": "3128", "proto": "tcp", "service": "http", "duration": "1.998500", "orig_bytes": "30",
        "resp_bytes": "20", "conn_state": "SF", "missed_bytes": "7", "history": "ShAD", "orig_pkts": "3",
        "orig_ip_bytes": "300", "resp_pkts": "2", "resp_ip_bytes": "200",
    }  # fmt: skip


def test_a_single_packet_has_no_duration_and_no_bytes_as_in_zeek():
    row = zeek_row(packets_out=1)
    unset = ("duration", "orig_bytes", "resp_bytes", "service", "history", "conn_state")
    assert [row[name] for name in unset] == ["-"] * 6


def test_icmp_of_both_families_is_icmp_in_zeek():
    assert [zeek_row(protocol=protocol)["proto"] for protocol in (1, 58, 17)] == ["icmp", "icmp", "udp"]


@given(first=st.integers(0, (1 << 63) - 1), second=st.integers(0, (1 << 63) - 1))
def test_zeeks_uids_differ_as_flow_ids_do(first, second):
    uids = [zeek_row(flow_id=number)["uid"] for number in (first, second)]
    assert (uids[0] == uids[1]) == (first == second)
    assert all(uid.isalnum() for uid in uids)


@given(record=flows())
def test_any_record_is_one_zeek_line_of_as_many_cells_as_names(record):
    line = ZEEK.lines([record])
    assert line.count("\n") == 1
    assert line.count("\t") == 17


def test_zeeks_file_opens_with_its_header_and_closes():
    assert ZEEK.opening.startswith("#separator \\x09\n")
    names, types = (line.split("\t")[1:] for line in ZEEK.opening.splitlines()[-2:])
    assert len(names) == len(types) == 18
    assert ZEEK.closing == "#close\n"


@pytest.mark.parametrize("text_format", [ndjson_format("s"), csv_format("s"), ZEEK])
def test_no_records_are_no_lines(text_format):
    assert text_format.lines([]) == ""
