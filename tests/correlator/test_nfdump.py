from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.addresses import address_packed
from common.errors import UserError
from common.records import FlowRecord
from correlator.ingest.formats.detect import Format, detect_format
from correlator.ingest.formats.lines import BadLine, Row, numbered_lines
from correlator.ingest.formats.nfdump import read_nfdump

COLUMNS = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt"
FILE = Path(__file__).parents[3] / "shared/data/e_flowlogs/nfdump-file/test1-malicious.nfdump"


def read(*lines: str) -> list[Row | BadLine]:
    return list(read_nfdump(numbered_lines(io.BytesIO("\n".join((COLUMNS, *lines)).encode()))))


def one(line: str) -> FlowRecord:
    (row,) = read(line)
    assert isinstance(row, Row), row
    return row.record


def line(addresses: str, protocol: str = "TCP", flags: str = "...AP.SF", counts: str = "5,700,4,4160") -> str:
    return f"2026-03-01 10:00:00,2026-03-01 10:00:02,1.500,{addresses},{protocol},{flags},0,0,{counts}"


def test_a_line_of_both_directions_is_a_flow() -> None:
    flow = one(line("10.1.1.5,192.0.2.7,50000,443"))
    assert (flow.client_ip, flow.client_port) == (address_packed("10.1.1.5"), 50_000)
    assert (flow.server_ip, flow.server_port, flow.protocol) == (address_packed("192.0.2.7"), 443, 6)
    assert (flow.start_ns, flow.end_ns) == (1_772_359_200_000_000_000, 1_772_359_201_500_000_000)
    assert (flow.packets_out, flow.packets_in, flow.wire_bytes_out, flow.wire_bytes_in) == (5, 4, 700, 4160)
    assert (flow.payload_bytes_out, flow.payload_bytes_in) == (500, 4000)
    assert flow.end_reason == 3


def test_the_lower_port_is_the_servers_whoever_is_named_first() -> None:
    flow = one(line("192.0.2.7,10.1.1.5,443,50000", counts="4,4160,5,700"))
    assert (flow.client_ip, flow.packets_out, flow.packets_in) == (address_packed("10.1.1.5"), 5, 4)
    assert flow.oriented_by == 4


def test_who_sent_only_a_syn_is_the_client_whatever_the_ports() -> None:
    flow = one(line("10.1.1.5,192.0.2.7,100,4444", flags="......S.", counts="1,60,0,0"))
    assert (flow.client_ip, flow.server_port, flow.conn_state) == (address_packed("10.1.1.5"), 4444, "S0")


def test_icmps_type_and_code_are_the_ports() -> None:
    flow = one(line("10.1.1.5,192.0.2.7,0,8.1", "ICMP", "........"))
    assert (flow.client_port, flow.server_port, flow.protocol) == (8, 1, 1)


def test_payload_is_never_below_nothing() -> None:
    assert one(line("10.1.1.5,192.0.2.7,50000,443", counts="5,10,4,10")).payload_bytes_out == 0


def test_nfdumps_summary_ends_the_flows() -> None:
    rows = read(
        line("10.1.1.5,192.0.2.7,50000,443"), "Summary", "flows,bytes,packets,avg_bps,avg_pps,avg_bpp", "1,2,3,4"
    )
    assert [type(row) for row in rows] == [Row]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("a,b", "2 cells"),
        (line("10.1.1.5,nowhere,50000,443"), "not an IP address"),
        (line("10.1.1.5,192.0.2.7,50000,https"), "not a count"),
        (line("10.1.1.5,192.0.2.7,50000,443", "WHAT"), "not a protocol"),
        (line("10.1.1.5,192.0.2.7,50000,443").replace("1.500", "-1"), ""),
        (line("10.1.1.5,192.0.2.7,50000,443").replace("2026-03-01 10:00:00", "now"), "not a time"),
    ],
)
def test_a_line_that_is_wrong_is_told_with_the_reason(cells: str, reason: str) -> None:
    (row,) = read(cells)
    assert isinstance(row, BadLine)
    assert reason in row.reason


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=5))
def test_no_line_raises(lines: list[str]) -> None:
    read(*lines)


def test_the_columns_tell_the_format_and_a_binary_file_is_refused_with_the_way_round() -> None:
    assert detect_format(COLUMNS.encode(), "x") is Format.NFDUMP
    with pytest.raises(UserError, match="nfdump -r x -B -o csv"):
        detect_format(b"\x0c\xa5\x01\x00rest", "x")


@pytest.mark.shared
def test_a_recorded_file_gives_the_packets_and_bytes_that_nfdump_counts() -> None:
    if not FILE.exists():
        pytest.skip("needs the recorded flow logs kept beside the project")
    if shutil.which("nfdump") is None:
        pytest.skip("needs nfdump")
    command = ["nfdump", "-r", str(FILE), "-B", "-o", "csv"]
    text = subprocess.run(command, capture_output=True, check=True, env={"TZ": "UTC"}).stdout
    rows = list(read_nfdump(numbered_lines(io.BytesIO(text))))
    records = [row.record for row in rows if isinstance(row, Row)]
    assert len(records) == len(rows)
    assert sum(flow.packets_out + flow.packets_in for flow in records) == 4652
    assert sum(flow.wire_bytes_out + flow.wire_bytes_in for flow in records) == 241_025
    assert {flow.start_ns // 10**9 for flow in records} <= set(range(1_515_771_450, 1_515_771_484))
