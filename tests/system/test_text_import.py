"""What the sensor writes as text, the correlator's import reads back as the same records."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import T0, flows

from common.communityid import community_id
from common.kinds import COUNT, OPTIONAL_COUNT
from common.records import FlowRecord, fields_of
from correlator.ingest.formats.lines import BadLine, Row, numbered_lines
from correlator.ingest.formats.textrows import read_csv, read_ndjson
from correlator.ingest.formats.zeek import read_tsv
from sensor.output.text import TextFormat, csv_format, ndjson_format, zeek_format

US = 1_000
TIMES = ("flow_start_ns", "start_ns", "end_ns")
# What conn.log has a column for; the missed bytes of both sides are in one.
IN_CONN_LOG = (
    "protocol", "client_ip", "client_port", "server_ip", "server_port", *TIMES, "packets_out", "packets_in",
    "wire_bytes_out", "wire_bytes_in", "payload_bytes_out", "payload_bytes_in", "conn_state", "history", "app_out",
    "app_in",
)  # fmt: skip
words = st.none() | st.text("abcdHS^", min_size=1, max_size=8)


@st.composite
def plausible(draw: st.DrawFn) -> FlowRecord:
    """Records that a sensor could have measured; no empty texts, which texts do not tell from nothing."""
    record = draw(flows())
    counts = {
        field.name: value % (1 << 40)
        for field, value in zip(fields_of(FlowRecord), record, strict=True)
        if field.kind in (COUNT, OPTIONAL_COUNT) and isinstance(value, int) and field.name != "flow_id"
    }
    first, second, third = sorted(draw(st.tuples(*[st.integers(0, 10**12)] * 3)))
    texts = {name: draw(words) for name in ("conn_state", "history", "app_out", "app_in", "host")}
    times = {"flow_start_ns": T0 + first, "start_ns": T0 + second, "end_ns": T0 + third}
    return record._replace(**{**counts, **texts, **times})


def written(text_format: TextFormat, record: FlowRecord) -> io.BytesIO:
    return io.BytesIO((text_format.opening + text_format.lines([record]) + text_format.closing()).encode())


def one(rows: Iterator[Row | BadLine]) -> Row:
    (row,) = rows
    assert isinstance(row, Row), row
    return row


@pytest.mark.parametrize("extra", [None, community_id])
@given(record=plausible())
def test_ndjson_and_csv_are_imported_as_the_records_they_were(extra, record):
    ndjson = one(read_ndjson(numbered_lines(written(ndjson_format("tap-1", extra), record))))
    table = one(read_csv(numbered_lines(written(csv_format("tap-1", extra), record))))
    assert ndjson == table == Row("tap-1", record)


@pytest.mark.parametrize("extra", [None, community_id])
@given(record=plausible(), service=words)
def test_conn_log_is_imported_as_the_connection_it_was(extra, record, service):
    start_ns = record.flow_start_ns // US * US
    whole = record._replace(
        missed_bytes_in=record.missed_bytes_in % 2**40, payload_bytes_in=record.payload_bytes_in % 2**40,
        missed_bytes_out=record.missed_bytes_out % 2**40, payload_bytes_out=record.payload_bytes_out % 2**40,
        flow_start_ns=start_ns, start_ns=start_ns, end_ns=start_ns + record.end_ns // US * US % 10**12 + US,
        closed_ns=None, app_out=service, app_in=service,
    )  # fmt: skip
    got = one(read_tsv(numbered_lines(written(zeek_format(lambda: T0, ["10.0.0.0/8"], extra), whole)))).record
    # Zeek's bytes are those that were sent, seen or missed.
    sent = whole._replace(
        payload_bytes_out=whole.payload_bytes_out + whole.missed_bytes_out,
        payload_bytes_in=whole.payload_bytes_in + whole.missed_bytes_in,
    )
    for name in IN_CONN_LOG:
        assert getattr(got, name) == getattr(sent, name), name
    assert got.missed_bytes_out == whole.missed_bytes_out + whole.missed_bytes_in
    assert (got.part, got.vlan) == (0, None)


def test_logs_without_a_record_are_imported_as_nothing():
    log = zeek_format(lambda: T0)
    assert list(read_tsv(numbered_lines(io.BytesIO((log.opening + log.closing()).encode())))) == []
    assert list(read_csv(numbered_lines(io.BytesIO(csv_format("tap-1").opening.encode())))) == []
