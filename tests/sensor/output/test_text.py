from __future__ import annotations

import csv
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import T0, S, flow, flows

from common import kinds, records
from common.addresses import address_packed
from common.records import FlowRecord, fields_of
from common.textrecords import FLOW_COLUMNS, REQUIRED_COLUMNS, flow_from_row, flow_row
from sensor.output.text import csv_format, ndjson_format, zeek_format

ZEEK = zeek_format(lambda: T0)
TEXTS = ("conn_state", "history", "app_out", "app_in", "host")


def zeek_row(text_format=ZEEK, **fields):
    names = next(line for line in text_format.opening.splitlines() if line.startswith("#fields")).split("\t")[1:]
    return dict(zip(names, text_format.lines([flow(**fields)]).rstrip("\n").split("\t"), strict=True))


def an_id(record):
    return f"1:{record.client_port}"


@given(written=st.lists(flows(), max_size=3))
def test_ndjson_is_a_json_object_a_line_that_can_be_imported_again(written):
    lines = ndjson_format("tap-1").lines(written).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(written)
    for line, record in zip(lines, written, strict=True):
        row = json.loads(line)
        assert row == json.loads(json.dumps(flow_row(record, "tap-1")))
        assert flow_from_row(row, 0)._replace(**absent(record)) == record


@given(written=st.lists(flows(), max_size=3))
def test_csv_is_a_line_of_names_and_a_line_a_record(written):
    text_format = csv_format("tap-1")
    lines = (text_format.opening + text_format.lines(written)).split("\n")
    assert lines.pop() == ""
    names, *rows = csv.reader(lines)
    assert tuple(names) == FLOW_COLUMNS
    for cells, record in zip(rows, written, strict=True):
        assert flow_from_row(dict(zip(names, cells, strict=True)), 0)._replace(**absent(record)) == record


def absent(record):
    """Empty texts, which text formats do not tell from nothing."""
    return {name: "" for name in TEXTS if getattr(record, name) == ""}


def test_every_field_of_a_record_is_a_column_that_survives_both_texts():
    record = full_record()
    ndjson, table = ndjson_format("tap-1"), csv_format("tap-1")
    (from_json,) = [json.loads(line) for line in ndjson.lines([record]).splitlines()]
    (from_csv,) = csv.DictReader((table.opening + table.lines([record])).splitlines())
    for row in (from_json, from_csv):
        assert list(row) == ["sensor", *FlowRecord._fields]
        assert flow_from_row(row, 0) == record
        for name in FlowRecord._fields:
            emptied = flow_from_row({**row, name: None}, 0) if name not in REQUIRED_COLUMNS else None
            assert emptied is None or getattr(emptied, name) != getattr(record, name), name


def full_record() -> FlowRecord:
    """A record in which no field has what a missing column would give."""
    examples = {
        kinds.COUNT: 3 << 40, kinds.OPTIONAL_COUNT: 5 << 40, kinds.BYTE: 17, kinds.PORT: 60_000,
        kinds.VLAN: 4095, records.END_REASON: 4, records.ORIENTATION: 5, kinds.ADDRESS: bytes(range(16)),
        kinds.OPTIONAL_NAME: 'a,b "c"; \\ é', kinds.HISTOGRAM: tuple(range(1, 9)), kinds.SHARE: 0.1 + 0.2,
        kinds.SPLT: ((517, 0), (-1400, 12)), kinds.FACTS: {"alpn": "h2,http/1.1", "status": 200},
        kinds.NAMES: ("gap", "no, handshake"),
    }  # fmt: skip
    record = FlowRecord._make(examples[field.kind] for field in fields_of(FlowRecord))
    return record._replace(flow_start_ns=7 << 40, start_ns=8 << 40, end_ns=9 << 40)


@given(record=flows())
def test_a_community_id_is_a_last_column_that_the_import_ignores(record):
    plain, extended = ndjson_format("s"), ndjson_format("s", an_id)
    row = json.loads(extended.lines([record]))
    assert list(row)[-1] == "community_id"
    assert row == {**json.loads(plain.lines([record])), "community_id": an_id(record)}
    table = csv_format("s", an_id)
    names, cells = csv.reader((table.opening + table.lines([record])).splitlines())
    assert (names[-1], cells[-1]) == ("community_id", an_id(record))
    assert flow_from_row(row, 0) == flow_from_row(dict(zip(names, cells, strict=True)), 0)
    assert flow_from_row(row, 0)._replace(**absent(record)) == record


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
        "resp_bytes": "27", "conn_state": "SF", "local_orig": "-", "local_resp": "-", "missed_bytes": "7",
        "history": "ShAD", "orig_pkts": "3", "orig_ip_bytes": "300", "resp_pkts": "2", "resp_ip_bytes": "200",
        "tunnel_parents": "-", "ip_proto": "6",
    }  # fmt: skip


def test_what_did_not_last_has_no_duration_and_no_bytes_as_in_zeek():
    row = zeek_row(packets_out=2, payload_bytes_out=9, end_ns=T0)
    unset = ("duration", "orig_bytes", "resp_bytes", "service", "history", "conn_state")
    assert [row[name] for name in unset] == ["-"] * 6


def test_zeek_knows_four_protocols_by_name_and_all_by_number():
    rows = [zeek_row(protocol=protocol) for protocol in (1, 58, 17, 6, 132)]
    assert [row["proto"] for row in rows] == ["icmp", "icmp", "udp", "tcp", "unknown_transport"]
    assert [row["ip_proto"] for row in rows] == ["1", "58", "17", "6", "132"]


@pytest.mark.parametrize(
    ("client", "server", "words"),
    [
        ("10.1.1.46", "192.0.2.1", "TF"), ("192.0.2.1", "10.255.0.1", "FT"), ("10.0.0.1", "10.0.0.2", "TT"),
        ("192.0.2.1", "192.0.2.2", "FF"), ("2001:db8::1", "a00::1", "TF"),
    ],
)  # fmt: skip
def test_what_is_local_is_known_when_the_home_networks_are(client, server, words):
    home = zeek_format(lambda: T0, ["10.0.0.1/8", "2001:db8::/32"])
    ends = {"client_ip": address_packed(client), "server_ip": address_packed(server)}
    row = zeek_row(home, **ends)
    assert row["local_orig"] + row["local_resp"] == words
    assert zeek_row(**ends)["local_orig"] == "-"


@pytest.mark.parametrize(
    ("out", "back", "service"),
    [
        (None, None, "-"), ("http", "http", "http"), ("http", None, "http"), (None, "ssh", "ssh"), ("", "", "-"),
        ("http", "ssh", "http,ssh"), ("-", None, "\\x2d"), ("(empty)", None, "\\x28empty)"), ("a\\b", None, "a\\\\b"),
    ],
)  # fmt: skip
def test_a_service_is_what_both_sides_speak_and_never_one_of_zeeks_marks(out, back, service):
    assert zeek_row(app_out=out, app_in=back)["service"] == service


def test_a_community_id_is_the_column_of_zeeks_own_script():
    row = zeek_row(zeek_format(lambda: T0, (), an_id))
    assert list(row.items())[-1] == ("community_id", "1:1044")


@given(first=st.integers(0, (1 << 63) - 1), second=st.integers(0, (1 << 63) - 1))
def test_zeeks_uids_differ_as_flow_ids_do(first, second):
    uids = [zeek_row(flow_id=number)["uid"] for number in (first, second)]
    assert (uids[0] == uids[1]) == (first == second)
    assert all(uid.isalnum() for uid in uids)


@given(record=flows())
def test_any_record_is_one_zeek_line_of_as_many_cells_as_names(record):
    line = ZEEK.lines([record])
    assert line.count("\n") == 1
    assert line.count("\t") == 21


def test_zeeks_file_opens_with_its_header_and_closes_with_the_time(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    times = iter([T0, T0 + 5 * S])
    text_format = zeek_format(lambda: next(times))
    assert text_format.opening.startswith("#separator \\x09\n#set_separator\t,\n")
    assert "\n#path\tconn\n#open\t2023-11-15-00-13-20\n#fields\tts\tuid\t" in text_format.opening
    names, types = (line.split("\t")[1:] for line in text_format.opening.splitlines()[-2:])
    assert len(names) == len(types) == 22
    assert text_format.closing() == "#close\t2023-11-15-00-13-25\n"
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("text_format", [ndjson_format("s"), csv_format("s"), ZEEK])
def test_no_records_are_no_lines(text_format):
    assert text_format.lines([]) == ""
