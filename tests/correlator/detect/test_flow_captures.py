"""What the tests of single flows say of real tools and of ordinary use, in captures with labels."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from lab_flows import LabFlow, flows_of, lab_flows

from common.addresses import address_text

pytestmark = pytest.mark.shared

# By label: what every one of its flows shows, and how many flows there are. What is not here shows nothing in single
# flows: beacons, slow and large uploads are told by channels; vmess in WebSocket in TLS (v2ray) is missed.
EVERY_FLOW = {
    "ssh-interactive-connect": ({"foreign-in-tunnel", "keystroke-echoes"}, 2),
    "ssh-command-connect": ({"foreign-in-tunnel"}, 2),
    "ssh-reconnecting-connect": ({"foreign-in-tunnel", "keystroke-echoes"}, 9),
    "bulk-upload-connect": ({"foreign-in-tunnel"}, 1),
    "bulk-download-connect": ({"foreign-in-tunnel"}, 2),
    "socks-ssh-connect": ({"foreign-in-tunnel"}, 1),
    "ssh-interactive-443": ({"foreign-protocol", "keystroke-echoes"}, 1),
    "ssh-command-443": ({"foreign-protocol"}, 2),
    "ssh-on-21": ({"foreign-protocol"}, 2),
    "ssh-on-25": ({"foreign-protocol", "keystroke-echoes"}, 2),
    "ssh-on-80": ({"foreign-protocol", "keystroke-echoes"}, 2),
    "reverse-shell-connect": ({"foreign-in-tunnel"}, 2),
    "raw-file-connect": ({"raw-transfer"}, 2),
    "ssh-in-tls-interactive": ({"ssh-shaped", "keystroke-echoes"}, 2),
    "ssh-in-tls-bulk": ({"ssh-shaped"}, 4),
    "shadowsocks": ({"random-first-bytes", "unknown-protocol"}, 19),
    "obfs4": ({"random-first-bytes", "unknown-protocol"}, 2),
    "websocket-shell": ({"keystroke-echoes"}, 2),
    "wstunnel": ({"no-user-agent"}, 16),
    "httptunnel": ({"no-user-agent"}, 2),
}
# By label: what some of its flows show, and in how many.
SOME_FLOWS = {
    "trojan": {"tls-in-tls": 6, "ssh-shaped": 1},
    "wstunnel": {"foreign-in-tunnel": 4},
    "httptunnel": {"http-trickle": 1},
    "websocket-shell": {"foreign-in-tunnel": 1},
    "vpn-tcp443": {"foreign-protocol": 1, "foreign-in-tunnel": 1},
    "v2ray-ws-tls": {"foreign-protocol": 0, "tls-in-tls": 0},
    "connect-refused": {"foreign-in-tunnel": 0, "raw-transfer": 0},
}
# Ordinary use that looks like a tunnel's, flow by flow. Typing in a page is typing.
BENIGN = {
    ("typing-in-page", "keystroke-echoes"): 2,
    ("typing-in-page", "small-and-frequent"): 2,
}
BEACONS = {"beacon-in-connection"}
"""Told of flows, but about their timing."""

# What single flows of these kinds show; other kinds are told by channels, or not at all.
KINDS = {
    "ssh-in-websocket": "foreign-in-tunnel",
    "http-in-websocket": "foreign-in-tunnel",
    "ssh-on-80": "foreign-protocol",
    "smtp-in-connect": "foreign-in-tunnel",
    "http-in-connect": "foreign-in-tunnel",
    "smb-on-80": "foreign-protocol",
    "ftp-on-443": "foreign-protocol",
    "openvpn-on-443": "foreign-protocol",
    "reverse-shell": "client-serves",
}
DECISIVE = {"foreign-protocol", "foreign-in-tunnel", "shell", "client-serves", "raw-transfer"}


@pytest.fixture(scope="module")
def tunnels(shared_dir: Path) -> dict[str, list[LabFlow]]:
    alone = lab_flows(shared_dir / "data" / "lab", "m??*_*")
    mixed = lab_flows(shared_dir / "data" / "lab", "mixed")
    return {label: alone.get(label, []) + mixed.get(label, []) for label in alone}


@pytest.mark.parametrize("label", EVERY_FLOW)
def test_every_flow_of_a_tool_shows_it(tunnels: dict[str, list[LabFlow]], label: str) -> None:
    symptoms, count = EVERY_FLOW[label]
    found = [flow for flow in tunnels[label] if flow.record.payload_bytes_out]
    assert len(found) == count
    missing = [
        (flow.capture, flow.record.client_port, flow.symptoms) for flow in found if symptoms - set(flow.symptoms)
    ]
    assert not missing


@pytest.mark.parametrize("label", SOME_FLOWS)
def test_some_flows_of_a_tool_show_it(tunnels: dict[str, list[LabFlow]], label: str) -> None:
    seen = Counter(name for flow in tunnels[label] for name in flow.symptoms)
    assert {name: seen[name] for name in SOME_FLOWS[label]} == SOME_FLOWS[label]


def test_ordinary_use_shows_nothing_but_what_is_listed(shared_dir: Path) -> None:
    lab = shared_dir / "data" / "lab"
    alone, mixed = lab_flows(lab, "b??_*"), lab_flows(lab, "mixed")
    seen: Counter[tuple[str, str]] = Counter()
    flows = [flow for some in (*alone.values(), *mixed.values()) for flow in some if flow.benign]
    for flow in flows:
        seen.update((flow.label, name) for name in flow.symptoms if name not in BEACONS)
    assert len(flows) > 900
    assert seen == BENIGN


def test_what_is_known_of_others_captures(shared_dir: Path) -> None:
    data, checked = shared_dir / "data", 0
    with (data / "TRUTH-DETECT.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if (data / row["file"]).is_file()]
    for row in rows:
        found = [flow for flow in flows_of(data / row["file"]) if _is_of(row, flow)]
        if row["verdict"] == "NEG":
            assert not [flow.symptoms for flow in found if DECISIVE & set(flow.symptoms)], row
            checked += 1
        elif row["verdict"] == "POS" and row["kind"] in KINDS:
            assert any(KINDS[row["kind"]] in flow.symptoms for flow in found), row
            checked += 1
    assert checked == 14


def test_others_ordinary_captures_show_nothing_decisive(shared_dir: Path) -> None:
    checked = 0
    for path in sorted((shared_dir / "data" / "b_benign").glob("*.pcap*")):
        if path.suffix in (".pcap", ".pcapng"):
            for flow in flows_of(path):
                assert not DECISIVE & set(flow.symptoms), (path.name, flow.symptoms)
                checked += 1
    assert checked > 200


def _is_of(row: dict[str, str], flow: LabFlow) -> bool:
    record = flow.record
    return (
        row["orig"] in ("*", address_text(record.client_ip))
        and row["resp"] in ("*", address_text(record.server_ip))
        and row["dport"] in ("0", str(record.server_port))
    )
