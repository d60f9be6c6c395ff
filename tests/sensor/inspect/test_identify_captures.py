"""What real connections are told to be, against what others say of the captures kept beside the project."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from streams import Streams, tcp_streams

from sensor.inspect._identify import disagreeing, is_odd_port, is_reversed, names_of, role_of

pytestmark = pytest.mark.shared

# What a kind of TRUTH-DETECT.tsv says of the first bytes; kinds that are not here are about something else.
KINDS = {
    "ssh-in-websocket": ("http", "http"),
    "http-in-websocket": ("http", "http"),
    "vmess-in-websocket": ("http", "http"),
    "ssh-on-80": ("ssh", "ssh"),
    "smtp-in-connect": ("http", "http"),
    "http-in-connect": ("http", "http"),
    "smb-on-80": ("smb", "random"),  # the answer is 60 random bytes: the capture is made up
    "c2-http-beacon": ("http", "http"),
    "ftp-on-443": ("ftp", "ftp"),
    "openvpn-on-443": ("openvpn", "openvpn"),
    "tor": ("tls", "tls"),
    "beacon": ("tls", "tls"),
}
# By file where a kind stands for different protocols.
REVERSE_SHELLS = {
    "a_tunnel/zeek__reverse-ssh.pcap": ("ssh", "ssh"),
    "a_tunnel/chrissanders-packets__aurora.pcapng": ("windows-shell", "random"),  # the stage of shellcode comes first
}
NDPI = {"OpenVPN": "openvpn", "TLS": "tls", "HTTP": "http", "SOCKS": "socks5", "HTTP_Connect": "http"}
# What is not told: picked up in the middle of a record; a protocol of one vendor; no payload.
NDPI_NOT_TOLD = {"b_benign/ndpi__443-chrome.pcap": "random", "b_benign/ndpi__nest_log_sink.pcap": "unknown"}
# First label of a laboratory capture's connections to a port: what both directions are.
LAB = {
    "b09_smtp": {25: "smtp", 587: "smtp"},
    "b10_pop3_imap": {110: "pop3", 993: "tls", 995: "tls"},
    "b11_ftp": {21: "ftp"},
    "b15_ssh_admin": {22: "ssh"},
    "b19_irc": {6667: "irc"},
    "b03_browse_direct": {80: "http", 443: "tls"},
    "m02_ssh443_direct": {443: "ssh"},
    "m14_wstunnel": {80: "http"},
    "m16_shadowsocks": {443: "random"},
    "m17_obfs4": {443: "random"},
    "m18_trojan": {443: "tls"},
    "m19_v2ray": {443: "tls"},
    "m20_ssh_odd_ports": {21: "ssh", 25: "ssh", 80: "ssh"},
}


def names(stream: Streams) -> tuple[str, str]:
    return names_of(stream.out, stream.in_)


def rows(shared_dir: Path, name: str) -> list[dict[str, str]]:
    with (shared_dir / "data" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def matching(shared_dir: Path, row: dict[str, str]) -> list[Streams]:
    found = tcp_streams(shared_dir / "data" / row["file"])
    return [
        stream for stream in found
        if row["orig"] in ("*", stream.client) and row["resp"] in ("*", stream.server)
        and row["dport"] in ("0", str(stream.server_port))
    ]  # fmt: skip


def test_the_labelled_tunnels_are_told_by_their_first_bytes(shared_dir: Path) -> None:
    checked = 0
    for row in rows(shared_dir, "TRUTH-DETECT.tsv"):
        expected = REVERSE_SHELLS.get(row["file"]) if row["kind"] == "reverse-shell" else KINDS.get(row["kind"])
        if row["verdict"] != "POS" or expected is None:
            continue
        found = matching(shared_dir, row)
        assert found, row
        for stream in found:
            assert names(stream) == expected, (row["file"], stream.client_port)
        checked += 1
    assert checked == 15


def test_the_flows_that_ndpi_labels(shared_dir: Path) -> None:
    checked = 0
    for row in rows(shared_dir, "TRUTH-ndpi-flows.tsv"):
        ends = {(row["src"], int(row["sport"])), (row["dst"], int(row["dport"]))}
        found = [
            stream for stream in tcp_streams(shared_dir / "data" / row["file"])
            if {(stream.client, stream.client_port), (stream.server, stream.server_port)} == ends
        ]  # fmt: skip
        if not found:
            assert row["pkts_in"] == "0"  # a SYN alone
            continue
        expected = NDPI_NOT_TOLD.get(row["file"]) or NDPI[row["ndpi_proto"].partition("/")[2].partition(".")[0]]
        assert set(names(found[0])) <= {expected, "nothing"}, row
        checked += 1
    assert checked == 36


@pytest.mark.parametrize("capture", sorted(LAB))
def test_the_tools_of_the_laboratory(shared_dir: Path, capture: str) -> None:
    found = [
        stream for stream in tcp_streams(shared_dir / "data" / "lab" / f"{capture}.pcap")
        if stream.server_port in LAB[capture]
    ]  # fmt: skip
    assert {stream.server_port for stream in found} == set(LAB[capture])
    for stream in found:
        assert names(stream) == (LAB[capture][stream.server_port],) * 2


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("a_tunnel/zeek__get-to-ssh-server.pcap", ("http", "ssh")),
        ("a_tunnel/zeek__ssl-to-http-server.pcap", ("tls", "http")),
    ],
)
def test_directions_that_disagree(shared_dir: Path, capture: str, expected: tuple[str, str]) -> None:
    (stream,) = tcp_streams(shared_dir / "data" / capture)
    assert names(stream) == expected
    assert disagreeing(*expected)


def test_ordinary_connections_neither_disagree_nor_are_reversed(shared_dir: Path) -> None:
    checked = 0
    for directory, pattern in (("b_benign", "*.pcap*"), ("lab", "b*.pcap")):
        for path in sorted((shared_dir / "data" / directory).glob(pattern)):
            if path.suffix not in (".pcap", ".pcapng"):
                continue
            for stream in tcp_streams(path, 4096):
                out, in_ = names(stream)
                if not stream.from_start:
                    continue  # which side is the client is a guess then
                assert not disagreeing(out, in_), (path.name, stream.client_port, out, in_)
                assert not is_reversed(role_of(out, stream.out), role_of(in_, stream.in_)), (path.name, stream[:4])
                checked += 1
    assert checked > 700


@pytest.mark.parametrize(
    ("capture", "port"),
    [
        ("a_tunnel/chrissanders-packets__aurora.pcapng", 4321),
        ("a_tunnel/zeek__reverse-ssh.pcap", 22),
    ],
)
def test_a_client_that_plays_the_servers_part(shared_dir: Path, capture: str, port: int) -> None:
    (stream,) = (s for s in tcp_streams(shared_dir / "data" / capture) if s.server_port == port)
    out, in_ = names(stream)
    assert is_reversed(role_of(out, stream.out), role_of(in_, stream.in_))


@pytest.mark.parametrize(
    "capture", ["zeek__ssh-on-port-80.pcap", "arkime__smb-port80.pcap", "chrissanders-packets__wrongdissector.pcapng"]
)
def test_a_protocol_on_a_port_of_another(shared_dir: Path, capture: str) -> None:
    stream = tcp_streams(shared_dir / "data" / "a_tunnel" / capture)[0]
    assert is_odd_port(names(stream)[0], stream.server_port)
