from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.addresses import address_packed
from common.records import FlowRecord
from correlator.ingest.formats.argus import read_argus
from correlator.ingest.formats.detect import Format, detect_format
from correlator.ingest.formats.lines import BadLine, LeftOut, Row, numbered_lines

COLUMNS = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts"
LOGS = Path(__file__).parents[3] / "shared/data/e_flowlogs/argus-binetflow"


def read(*lines: str, columns: str = COLUMNS) -> list[Row | BadLine | LeftOut]:
    text = "\n".join((columns, *lines))
    return list(read_argus(numbered_lines(io.BytesIO(text.encode()))))


def one(line: str, columns: str = COLUMNS) -> FlowRecord:
    (row,) = read(line, columns=columns)
    assert isinstance(row, Row), row
    return row.record


def test_a_line_is_a_flow_with_ethernets_headers_taken_off() -> None:
    flow = one(
        "2026/03/01 10:00:00.500000,1.250000,tcp,10.1.1.5,50000,   ->,192.0.2.7,443,FSPA_FSPA,0,0,12,3168,1084,6"
    )
    assert (flow.client_ip, flow.client_port) == (address_packed("10.1.1.5"), 50_000)
    assert (flow.server_ip, flow.server_port, flow.protocol) == (address_packed("192.0.2.7"), 443, 6)
    assert (flow.start_ns, flow.end_ns) == (1_772_359_200_500_000_000, 1_772_359_201_750_000_000)
    assert (flow.packets_out, flow.packets_in) == (6, 6)
    assert (flow.wire_bytes_out, flow.wire_bytes_in) == (1084 - 6 * 14, 2084 - 6 * 14)
    assert (flow.payload_bytes_out, flow.payload_bytes_in) == (1000 - 6 * 40, 2000 - 6 * 40)
    assert (flow.tcp_flags_out, flow.tcp_flags_in, flow.conn_state, flow.end_reason) == (0x1B, 0x1B, "SF", 3)


def test_payload_is_what_argus_counted_where_it_says_it() -> None:
    line = "2026-03-01T10:00:00,0,udp,10.1.1.5,5000,<->,192.0.2.7,53,CON,0,0,2,200,90,1,48,68"
    flow = one(line, f"{COLUMNS},SAppBytes,DAppBytes")
    assert (flow.payload_bytes_out, flow.payload_bytes_in) == (48, 68)


def test_payload_is_estimated_where_argus_was_not_told_to_count_it() -> None:
    line = "1764591600.500000,0,udp,10.1.1.5,5000,<->,192.0.2.7,53,CON,0,0,2,200,90,1,0,0"
    flow = one(line, f"{COLUMNS},SAppBytes,DAppBytes")
    assert (flow.payload_bytes_out, flow.payload_bytes_in) == (90 - 14 - 28, 110 - 14 - 28)
    assert flow.start_ns == 1_764_591_600_500_000_000


@pytest.mark.parametrize(
    ("direction", "client"), [("->", "10.1.1.5"), ("<-", "192.0.2.7"), ("<?>", "10.1.1.5"), ("<?", "192.0.2.7")]
)
def test_the_client_is_whom_the_arrow_begins_at(direction: str, client: str) -> None:
    flow = one(f"2026/03/01 10:00:00,0,tcp,10.1.1.5,5000,{direction},192.0.2.7,443,CON,0,0,5,500,200,2")
    assert flow.client_ip == address_packed(client)
    assert flow.packets_out == (2 if client == "10.1.1.5" else 3)


@pytest.mark.parametrize(
    ("total", "source_bytes", "out"), [(3, 300, 3), (3, 0, 0), (3, 100, 2), (4, 100, 2), (0, 0, 0)]
)
def test_packets_of_both_directions_are_shared_out_where_only_their_sum_is_told(
    total: int, source_bytes: int, out: int
) -> None:
    columns = COLUMNS.removesuffix(",SrcPkts")
    flow = one(
        f"2026/03/01 10:00:00,0,udp,10.1.1.5,5000,->,192.0.2.7,53,INT,0,0,{total},{300 if total else 0},{source_bytes}",
        columns,
    )
    assert (flow.packets_out, flow.packets_in) == (out, total - out)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("S_", "S0"), ("S_RA", "REJ"), ("SA_SA", "S1"), ("FSPA_FSPA", "SF"), ("SRPA_SPA", "RSTO"), ("SPA_SRPA", "RSTR"),
        ("FSPA_SPA", "S2"), ("SPA_FSPA", "S3"), ("PA_PA", "OTH"), ("S_A", "OTH"), ("REQ", "S0"), ("FIN", "SF"),
        ("CON", None), ("", None),
    ],
)  # fmt: skip
def test_flags_and_words_are_zeeks_states(state: str, expected: str | None) -> None:
    assert (
        one(f"2026/03/01 10:00:00,0,tcp,10.1.1.5,5000,->,192.0.2.7,443,{state},0,0,5,500,200,2").conn_state == expected
    )


def test_icmps_type_and_code_are_hexadecimal_and_its_state_is_none() -> None:
    flow = one("2026/03/01 10:00:00,0,icmp,10.1.1.5,0x0303,->,192.0.2.7,0x00b0,URP,0,0,1,70,70,1")
    assert (flow.client_port, flow.server_port, flow.conn_state) == (0x0303, 0xB0, None)


@pytest.mark.parametrize("protocol", ["arp", "man", "llc", "RARP"])
def test_what_is_no_ip_is_left_out_and_told(protocol: str) -> None:
    row = f"2026/03/01 10:00:00,0,{protocol},00:00:00:00:00:00,0,who,0,,CON,0,0,1,60,60,1"
    assert read(row) == [LeftOut(2, protocol.lower())]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("2026/03/01 10:00:00,0,tcp,10.1.1.5,5000,->,192.0.2.7,https,FIN,0,0,5,500,200,2", "ra -n"),
        ("2026/03/01 10:00:00,0,tcp,10.1.1.5,5000,->,192.0.2.7,443,FIN,0,0,5,100,200,2", "TotBytes"),
        ("2026/03/01 10:00:00,0,tcp,10.1.1.5,5000,->,192.0.2.7,443,FIN,0,0,1,500,200,2", "TotPkts"),
        ("2026/03/01 10:00:00,-1,tcp,10.1.1.5,5000,->,192.0.2.7,443,FIN,0,0,5,500,200,2", ""),
        ("yesterday,0,tcp,10.1.1.5,5000,->,192.0.2.7,443,FIN,0,0,5,500,200,2", "not a time"),
        ("2026/03/01 10:00:00,0,tcp,10.1.1.5,99999,->,192.0.2.7,443,FIN,0,0,5,500,200,2", ""),
        ("2026/03/01 10:00:00,0,tcp,host,1,->,192.0.2.7,443,FIN,0,0,5,500,200,2", "not an IP address"),
        ("2026/03/01 10:00:00,0,what,10.1.1.5,1,->,192.0.2.7,443,FIN,0,0,5,500,200,2", "not a protocol"),
        ("a,b,c", "3 cells"),
    ],
)
def test_a_line_that_is_wrong_is_told_with_the_reason(cells: str, reason: str) -> None:
    (row,) = read(cells)
    assert isinstance(row, BadLine)
    assert reason in row.reason


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=5))
def test_no_line_raises(lines: list[str]) -> None:
    read(*lines)


def test_the_columns_tell_the_format() -> None:
    assert detect_format(COLUMNS.encode(), "x") is Format.ARGUS
    assert detect_format(COLUMNS.replace(",", "\t").encode(), "x") is Format.ARGUS


@pytest.mark.shared
@pytest.mark.parametrize(("name", "flows", "others"), [("test4-malicious", 392, 2), ("test5-mixed", 296, 4)])
def test_recorded_files_are_taken_whole(name: str, flows: int, others: int) -> None:
    file = LOGS / f"{name}.binetflow"
    if not file.exists():
        pytest.skip("needs the recorded flow logs kept beside the project")
    rows = list(read_argus(numbered_lines(io.BytesIO(file.read_bytes()))))
    assert (sum(isinstance(row, Row) for row in rows), sum(isinstance(row, LeftOut) for row in rows)) == (flows, others)
    assert len(rows) == flows + others
    # Of every line that is IP, both directions' packets are those of the file.
    at = 11
    lines = [line.replace("\t", ",").split(",") for line in file.read_text().splitlines()[1:]]
    told = sum(int(cells[at]) for cells in lines if cells[2] not in ("arp", "man", "llc"))
    assert sum(row.record.packets_out + row.record.packets_in for row in rows if isinstance(row, Row)) == told
