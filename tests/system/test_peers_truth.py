"""Captures that other flow programs have published their own results for: the records agree, or it is said why not.

Beside a capture lie Arkime's sessions, nDPI's flows, ipfixprobe's records or Suricata's checks, each from
that program's own tests.  A row agrees when everything that it and a record both hold is the same; which
end is the client does not matter, and frames are the IP packets with what dpkt finds around them.
DIFFERENCES counts the rows that do not agree, by peer and capture; nothing else may differ.
"""

from __future__ import annotations

import csv
import json
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from captures import Direction, directions, frame_bytes, read

from common.addresses import address_text
from common.communityid import community_id
from common.records import FlowRecord

pytestmark = pytest.mark.shared

FIN, SYN, RST, PSH, URG, ECE, CWR = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40, 0x80
TCP, ICMP, ICMP6 = 6, 1, 58
MS, US = 1_000_000, 1_000
Rows = Counter[tuple[Any, ...]]


class Difference(NamedTuple):
    """How many rows only the peer has, how many only the records give, and why."""

    peers: int
    ours: int
    reason: str


DIFFERENCES = {
    ("arkime", "arkime__long-session.pcap.arkime.json"): Difference(
        2, 1, "Arkime splits a session that lasts; without an active timeout it is one flow here"
    ),
    ("arkime", "arkime__tcp-reassembly-synthetic.pcap.arkime.json"): Difference(
        2, 3, "Arkime counts a stream up to its gap; a SYN after both FINs is a new connection here, even repeated"
    ),
    ("ndpi", "ndpi__tor.pcap.ndpi.txt"): Difference(
        1, 2, "ndpiReader ends no flow while it reads; 120 s of silence end a UDP flow here"
    ),
    ("ndpi", "ndpi__nest_log_sink.pcap.ndpi.txt"): Difference(
        1, 4, "ndpiReader ends no flow while it reads; 120 s of silence end a UDP flow here"
    ),
    ("ipfixprobe", "ipfixprobe__smtp.pcap.ipfixprobe-smtp.csv"): Difference(
        0, 3, "the file holds what its SMTP plugin saw: not DNS, NetBIOS and ICMP"
    ),
    ("ipfixprobe", "ipfixprobe__tls.pcap.ipfixprobe-tls.csv"): Difference(
        13, 27,
        "the capture holds a day twice, years between: the idle timeout ends 13 connections in that gap, "
        "ipfixprobe goes on with them; one without a TLS hello is not in its plugin's file",
    ),
}  # fmt: skip


class Peer(NamedTuple):
    """How a peer's file is found and read, and the same rows made of records."""

    suffix: str
    captures: int
    rows: Callable[[Path], Rows]
    """What the peer's file says."""
    frames: Callable[[Path], Counter[Direction]]
    """The bytes of frames that it counts, by direction; nothing where it does not."""
    row: Callable[[FlowRecord], tuple[Any, ...]]
    """What a record says of the same."""


def either_way(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Both ends in a fixed order."""
    return (one, other) if one[:2] < other[:2] else (other, one)


def ends(record: FlowRecord, payload: Callable[[int, int], int | None] | None = None) -> tuple[Any, ...]:
    """Both ends as (address, port, packets), with payload bytes where these are asked for."""
    (_, client, client_port, server, server_port), _ = directions(record)
    there: tuple[Any, ...] = (client, client_port, record.packets_out)
    back: tuple[Any, ...] = (server, server_port, record.packets_in)
    if payload is not None:
        there += (payload(record.payload_bytes_out, record.packets_out),)
        back += (payload(record.payload_bytes_in, record.packets_in),)
    return either_way(there, back)


# -- Arkime: sessions of its test suite


def arkime_sessions(path: Path) -> Iterator[dict[str, Any]]:
    for session in json.loads(path.read_text())["sessions3"]:
        yield session["body"]


def arkime_rows(path: Path) -> Rows:
    rows: Rows = Counter()
    for body in arkime_sessions(path):
        flags = body.get("tcpflags", {})
        # Without a handshake Arkime leaves the stream's bytes at 0.
        known = body["ipProtocol"] != TCP or flags["syn"] or flags["syn-ack"]
        pair = either_way(
            *(
                (end["ip"], end["port"], end["packets"], body[role]["bytes"] if known else None)
                for end, role in ((body["source"], "client"), (body["destination"], "server"))
            )
        )
        seen = {name for name in ("fin", "syn", "rst", "psh", "urg", "ece", "cwr") if flags.get(name)}
        if flags.get("syn-ack"):
            seen.add("syn")
        rows[
            body["ipProtocol"], pair, body["firstPacket"], body["lastPacket"], body["network"]["community_id"],
            tuple(sorted(seen)),
        ] += 1  # fmt: skip
    return rows


def arkime_frames(path: Path) -> Counter[Direction]:
    frames: Counter[Direction] = Counter()
    for body in arkime_sessions(path):
        source, destination = ((body[end]["ip"], body[end]["port"]) for end in ("source", "destination"))
        frames[(body["ipProtocol"], *source, *destination)] += body["source"]["bytes"]
        frames[(body["ipProtocol"], *destination, *source)] += body["destination"]["bytes"]
    return +frames


def arkime_row(record: FlowRecord) -> tuple[Any, ...]:
    flags = record.tcp_flags_out | record.tcp_flags_in
    names = {"fin": FIN, "syn": SYN, "rst": RST, "psh": PSH, "urg": URG, "ece": ECE, "cwr": CWR}

    def payload(stream_bytes: int, packets: int) -> int | None:
        if record.protocol == TCP and not flags & SYN:
            return None
        # Arkime counts an ICMP message's header as its bytes.
        return stream_bytes + 8 * packets if record.protocol in (ICMP, ICMP6) else stream_bytes

    return (
        record.protocol, ends(record, payload), record.flow_start_ns // MS, record.end_ns // MS, community_id(record),
        tuple(sorted(name for name, bit in names.items() if flags & bit)),
    )  # fmt: skip


# -- nDPI: the flows that ndpiReader prints in its regression tests

_NDPI = re.compile(
    r"\t\d+\t(?P<protocol>TCP|UDP) (?P<source>\S+):(?P<source_port>\d+) <?-> (?P<target>\S+):(?P<target_port>\d+) "
    r".*?\[(?P<out>\d+) pkts/(?P<out_bytes>\d+) bytes <?-> (?P<back>\d+) pkts/(?P<back_bytes>\d+) bytes\]"
    r"\[Goodput ratio[^]]*\]\[(?P<duration>[^]]*)\]"
)


def ndpi_flows(path: Path) -> Iterator[dict[str, str]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if re.match(r"\t\d+\t\S+ \S+ <?-> ", line):
            found = _NDPI.match(line)
            assert found, line
            yield {name: value.strip("[]") for name, value in found.groupdict().items()}


def ndpi_rows(path: Path) -> Rows:
    return Counter(
        (
            {"TCP": 6, "UDP": 17}[flow["protocol"]],
            either_way(
                (flow["source"], int(flow["source_port"]), int(flow["out"])),
                (flow["target"], int(flow["target_port"]), int(flow["back"])),
            ),
            flow["duration"],
        )
        for flow in ndpi_flows(path)
    )


def ndpi_frames(path: Path) -> Counter[Direction]:
    frames: Counter[Direction] = Counter()
    for flow in ndpi_flows(path):
        protocol = {"TCP": 6, "UDP": 17}[flow["protocol"]]
        source, target = (flow["source"], int(flow["source_port"])), (flow["target"], int(flow["target_port"]))
        frames[(protocol, *source, *target)] += int(flow["out_bytes"])
        frames[(protocol, *target, *source)] += int(flow["back_bytes"])
    return +frames


def ndpi_row(record: FlowRecord) -> tuple[Any, ...]:
    # ndpiReader keeps milliseconds and prints hundredths of a second, by way of a C float.
    duration_ms = record.end_ns // MS - record.flow_start_ns // MS
    (duration_s,) = struct.unpack("f", struct.pack("f", duration_ms / 1000))
    duration = f"{duration_s:.2f} sec" if duration_ms else "< 1 sec"
    return record.protocol, ends(record), duration


# -- ipfixprobe: the records that its functional tests expect


def ipfixprobe_rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    # The sorted file ends with its header: "type NAME" in each cell.
    names = [cell.split()[1] for cell in lines.pop()]
    rows: Rows = Counter()
    for line in lines:
        row = dict(zip(names, line, strict=True))
        pair = either_way(
            (row["SRC_IP"], int(row["SRC_PORT"]), int(row["PACKETS"]), int(row["BYTES"]), int(row["TCP_FLAGS"])),
            (
                row["DST_IP"], int(row["DST_PORT"]), int(row["PACKETS_REV"]), int(row["BYTES_REV"]),
                int(row["TCP_FLAGS_REV"]),
            ),
        )  # fmt: skip
        rows[int(row["PROTOCOL"]), pair, time_us(row["TIME_FIRST"]), time_us(row["TIME_LAST"])] += 1
    return rows


def ipfixprobe_row(record: FlowRecord) -> tuple[Any, ...]:
    pair = either_way(
        (
            address_text(record.client_ip), record.client_port, record.packets_out, record.wire_bytes_out,
            record.tcp_flags_out,
        ),
        (
            address_text(record.server_ip), record.server_port, record.packets_in, record.wire_bytes_in,
            record.tcp_flags_in,
        ),
    )  # fmt: skip
    return record.protocol, pair, record.flow_start_ns // US, record.end_ns // US


def time_us(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(
        microseconds=1
    )


def no_frames(_: Path) -> Counter[Direction]:
    return Counter()


PEERS = {
    "arkime": Peer(".arkime.json", 17, arkime_rows, arkime_frames, arkime_row),
    "ndpi": Peer(".ndpi.txt", 8, ndpi_rows, ndpi_frames, ndpi_row),
    "ipfixprobe": Peer(".ipfixprobe-*.csv", 4, ipfixprobe_rows, no_frames, ipfixprobe_row),
}


def truths(shared_dir: Path, peer: Peer) -> Iterator[tuple[Path, Path]]:
    """Yield (the peer's file, the capture it is about)."""
    for truth in sorted((shared_dir / "data").glob(f"*/*{peer.suffix}")):
        name = re.sub(r"(\.pcap(ng)?)\..*", r"\1", truth.name)
        yield truth, truth.with_name(name)


@pytest.mark.parametrize("name", PEERS)
def test_flows_agree_with_a_peers_own_results_or_it_is_said_why_not(shared_dir: Path, name: str) -> None:
    peer, wrong, count = PEERS[name], {}, 0
    for truth, capture in truths(shared_dir, peer):
        count += 1
        want, got = peer.rows(truth), Counter(map(peer.row, read(capture)[1]))
        known = DIFFERENCES.get((name, truth.name))
        found = ((want - got).total(), (got - want).total())
        if known is not None and found == (0, 0):
            wrong[truth.name] = "agrees now: take it off the list"
        elif found != (known[:2] if known else (0, 0)):
            wrong[truth.name] = f"{found}: only the peer's {list(want - got)}, only ours {list(got - want)}"
    assert count == peer.captures
    assert wrong == {}


@pytest.mark.parametrize("name", ["arkime", "ndpi"])
def test_frames_have_as_many_bytes_each_way_as_a_peer_counted(shared_dir: Path, name: str) -> None:
    peer, wrong = PEERS[name], {}
    for truth, capture in truths(shared_dir, peer):
        want, got = peer.frames(truth), frame_bytes(capture, read(capture)[1])
        if want != got:
            wrong[truth.name] = f"only the peer's {want - got}, only ours {got - want}"
    assert wrong == {}


def test_every_flow_of_the_ndpi_table_is_a_record(shared_dir: Path) -> None:
    with (shared_dir / "data/TRUTH-ndpi-flows.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 37
    records = {name: set(map(ndpi_row, read(shared_dir / "data" / name)[1])) for name in {row["file"] for row in rows}}
    for row in rows:
        pair = either_way(
            (row["src"], int(row["sport"]), int(row["pkts_out"])), (row["dst"], int(row["dport"]), int(row["pkts_in"]))
        )
        duration = f"{row['duration_s']} sec" if row["duration_s"] else "< 1 sec"
        assert (TCP, pair, duration) in records[row["file"]], row


# -- Suricata: the checks of its verification suite on flow and netflow events


def suricata_checks(path: Path, event: str) -> list[dict[str, str]]:
    """What the checks on a kind of event say, one dict a check."""
    checks = [
        dict(re.findall(r"^\s+([\w.]+): '?([^'\n]+)'?$", check, re.MULTILINE))
        for check in path.read_text().split("- filter:")
    ]
    return [check for check in checks if check.get("event_type") == event]


def only_record(shared_dir: Path, name: str) -> tuple[FlowRecord, Counter[Direction], Path]:
    capture = shared_dir / "data/c_edge" / name
    (record,) = read(capture)[1]
    return record, frame_bytes(capture, [record]), capture


def test_a_one_sided_flow_is_as_suricatas_flow_check_says(shared_dir: Path) -> None:
    name = "suricata-verify__bug-2491-02__simple_http_download.onesided.nosyn.pcap"
    record, frames, capture = only_record(shared_dir, name)
    (check,) = suricata_checks(capture.with_name(name + ".suricata-test.yaml"), "flow")
    there, back = directions(record)
    assert {
        "flow.pkts_toserver": record.packets_out, "flow.pkts_toclient": record.packets_in,
        "flow.bytes_toserver": frames[there], "flow.bytes_toclient": frames[back],
        "flow.age": record.end_ns // 10**9 - record.flow_start_ns // 10**9,
    } == {key: int(check[key]) for key in check if key.startswith(("flow.pkts", "flow.bytes", "flow.age"))}  # fmt: skip
    assert [record.tcp_flags_out, record.tcp_flags_in, record.tcp_flags_out | record.tcp_flags_in] == [
        int(check[key], 16) for key in ("tcp.tcp_flags_ts", "tcp.tcp_flags_tc", "tcp.tcp_flags")
    ]


def test_both_sides_of_a_flow_are_as_suricatas_netflow_checks_say(shared_dir: Path) -> None:
    name = "suricata-verify__eve-metadata__testmyids.pcap"
    record, frames, capture = only_record(shared_dir, name)
    checks = suricata_checks(capture.with_name(name + ".suricata-netflow-eve.yaml"), "netflow")
    there, back = directions(record)
    sides = {
        there: (record.packets_out, record.tcp_flags_out),
        back: (record.packets_in, record.tcp_flags_in),
    }
    assert len(checks) == 2
    for check in checks:
        direction = TCP, check["src_ip"], int(check["src_port"]), check["dest_ip"], int(check["dest_port"])
        packets, flags = sides.pop(direction)
        assert (packets, frames[direction]) == (int(check["netflow.pkts"]), int(check["netflow.bytes"]))
        assert flags == int(check["tcp.tcp_flags"], 16)
        for key, time_ns in (("netflow.start", record.flow_start_ns), ("netflow.end", record.end_ns)):
            assert time_ns == time_us(check[key].removesuffix("+0000")) * US
    assert sides == {}
