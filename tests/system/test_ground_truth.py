"""Every capture kept beside the project is read, and agrees with what tshark saw in it.

``*.tshark-conn.tsv`` holds one row per TCP connection, made with tshark and not by this project.  A
connection agrees when its two endpoints, its packets, IP bytes and unique payload bytes, each way, are
all the same.  Where a capture does not agree, DIFFERENCES says how and why; nothing else may differ.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from captures import read
from packets import accounted, all_records, records

from common.addresses import address_text
from common.records import FlowRecord
from sensor.capture.pcapfile import read_capture
from sensor.flow._table import FlowTable

pytestmark = pytest.mark.shared


class Difference(NamedTuple):
    """What is seen instead of tshark's figures, and why that is so."""

    connections: int
    packets: int
    reason: str


# capture: (TCP flows seen, packets in them, reason)
DIFFERENCES = {
    "ipfixprobe__tls.pcap": Difference(
        41, 204, "the capture holds a day twice, years between: the idle timeout ends 13 connections in that gap"
    ),
    "zeek__pop3.pcap": Difference(11, 125, "a SYN after a refused one is a new connection, as in Zeek's own log of 11"),
    "arkime__tcp-reassembly-synthetic.pcap": Difference(
        12, 106, "a SYN after both FINs is a new connection even when it repeats the old sequence number"
    ),
    "zeek__vlan-collisions.pcap": Difference(3, 42, "the VLAN is in the key; without it there is one (see below)"),
    "zeek__reassembly.pcap": Difference(
        1, 112, "5 frames are shorter on the wire than their IP header says: rejected as bad_ip, as Zeek does"
    ),
    "pcapplusplus__frag_http_req.pcap": Difference(
        1, 1, "IP bytes are the whole datagram's, as in Zeek; tshark's row has those of the last of 11 fragments"
    ),
    "zeek__fragmented-syn.pcap": Difference(1, 1, "the same: a SYN in two fragments"),
}

# (address, port, packets, IP bytes, unique payload bytes) of one end
End = tuple[str, int, int, int, int]


def connection(one: End, other: End) -> tuple[End, End]:
    """Both ends in a fixed order, so that who is client does not matter here."""
    return (one, other) if one < other else (other, one)


def expected(path: Path) -> Counter[tuple[End, End]]:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return Counter(
        connection(*(
            (
                row[f"{side}_h"], int(row[f"{side}_p"]), int(row[f"{side}_pkts"]), int(row[f"{side}_ip_bytes"]),
                int(row[f"{side}_payload_unique"]),
            )
            for side in ("orig", "resp")
        ))
        for row in rows
    )  # fmt: skip


def seen(flows: list[FlowRecord]) -> Counter[tuple[End, End]]:
    return Counter(
        connection(
            (address_text(f.client_ip), f.client_port, f.packets_out, f.wire_bytes_out, f.payload_bytes_out),
            (address_text(f.server_ip), f.server_port, f.packets_in, f.wire_bytes_in, f.payload_bytes_in),
        )
        for f in flows
        if f.protocol == 6
    )


def packets(connections: Counter[tuple[End, End]]) -> int:
    return sum((one[2] + other[2]) * count for (one, other), count in connections.items())


def test_every_tcp_capture_agrees_with_tshark_or_says_why_not(shared_dir: Path) -> None:
    tables = sorted((shared_dir / "data").glob("*/*.tshark-conn.tsv"))
    assert len(tables) > 100
    wrong = {}
    for table in tables:
        capture = table.with_name(table.name.removesuffix(".tshark-conn.tsv"))
        want, got = expected(table), seen(read(capture)[1])
        known = DIFFERENCES.get(capture.name)
        if known is None:
            if want != got:
                wrong[capture.name] = f"not in tshark: {got - want}; only in tshark: {want - got}"
        elif (got.total(), packets(got)) != known[:2]:
            wrong[capture.name] = f"{got.total()} flows with {packets(got)} packets, listed are {known[:2]}"
        elif want == got:
            wrong[capture.name] = "agrees now: take it off the list"
    assert wrong == {}


def test_without_the_vlan_in_the_key_the_vlan_collisions_are_one_connection_as_in_tshark(shared_dir: Path) -> None:
    capture = shared_dir / "data/c_edge/zeek__vlan-collisions.pcap"
    table = capture.with_name(capture.name + ".tshark-conn.tsv")
    assert seen(read(capture, vlan_in_key=False)[1]) == expected(table)


def test_the_laboratory_captures_agree_connection_by_connection(shared_dir: Path) -> None:
    with (shared_dir / "data/lab/conn.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    by_capture: dict[str, Counter[tuple[Any, ...]]] = {}
    for row in rows:
        key = (
            row["client"], int(row["client_port"]), row["server"], int(row["server_port"]), int(row["pkts_c2s"]),
            int(row["pkts_s2c"]), int(row["ip_c2s"]), int(row["ip_s2c"]), int(row["stream_c2s"]),
            int(row["stream_s2c"]),
        )  # fmt: skip
        by_capture.setdefault(row["pcap"], Counter())[key] += 1
    assert len(by_capture) > 40
    for name, want in by_capture.items():
        got = Counter(
            (
                address_text(f.client_ip), f.client_port, address_text(f.server_ip), f.server_port, f.packets_out,
                f.packets_in, f.wire_bytes_out, f.wire_bytes_in, f.payload_bytes_out, f.payload_bytes_in,
            )
            for f in read(shared_dir / "data/lab" / name)[1]
            if f.protocol == 6
        )  # fmt: skip
        assert got == want, name


def test_every_capture_is_read_and_every_packet_accounted_for(shared_dir: Path) -> None:
    captures = [path for path in (shared_dir / "data").rglob("*") if path.suffix in (".pcap", ".pcapng", ".cap")]
    assert len(captures) > 200
    for capture in captures:
        table, flows = read(capture)
        assert accounted(table), capture
        assert table.records_dropped == 0, capture
        assert sum(flow.packets_out + flow.packets_in for flow in flows) == table.accepted, capture


def test_parts_add_up_to_the_same_totals_as_whole_flows(shared_dir: Path) -> None:
    capture = shared_dir / "data/lab/mixed.pcap"
    _, whole = read(capture)
    table = FlowTable(active_timeout_ns=1_000_000_000)
    parts: list[FlowRecord] = []

    def collect() -> bool:
        parts.extend(records(table))
        return True

    read_capture(str(capture), table, "", collect)
    parts += all_records(table)
    assert len(parts) > 2 * len(whole)
    for name in ("packets_out", "packets_in", "wire_bytes_in", "payload_bytes_out", "payload_bytes_in"):
        assert sum(getattr(part, name) for part in parts) == sum(getattr(flow, name) for flow in whole), name
