"""What the records of real captures say that flows carried, against labels and what others say of the same captures."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from captures import read

from common.addresses import address_text
from common.records import FlowRecord
from sensor.inspect._content import Inspector

pytestmark = pytest.mark.shared

TCP = 6
# What a kind of TRUTH-DETECT.tsv is in a record: what is spoken outside and inside, and what does not fit.
Seen = tuple[tuple[str, str], tuple[str | None, str | None], set[str]]
NOTHING = (None, None)
KINDS: dict[str, Seen] = {
    "ssh-in-websocket": (("http", "http"), ("ssh", "ssh"), {"websocket-protocol"}),
    "http-in-websocket": (("http", "http"), ("http", "http"), {"websocket-protocol"}),
    "vmess-in-websocket": (("http", "http"), ("random", "random"), set()),
    "ssh-on-80": (("ssh", "ssh"), NOTHING, {"odd-port"}),
    "smtp-in-connect": (("http", "http"), ("smtp", "smtp"), {"connect-not-tls", "connect-odd-port"}),
    "http-in-connect": (("http", "http"), ("http", "printable"), {"connect-not-tls", "inside-odd-port"}),
    "tls-in-connect": (("http", "http"), ("tls", "tls"), set()),
    "smb-on-80": (("smb", "random"), NOTHING, {"odd-port"}),
    "c2-http-beacon": (("http", "http"), NOTHING, set()),
    "ftp-on-443": (("ftp", "ftp"), NOTHING, {"odd-port"}),
    "openvpn-on-443": (("openvpn", "openvpn"), NOTHING, {"odd-port"}),
    "tor": (("tls", "tls"), NOTHING, set()),
    "beacon": (("tls", "tls"), NOTHING, set()),
}
REVERSE_SHELLS: dict[str, Seen] = {
    "a_tunnel/zeek__reverse-ssh.pcap": (
        ("ssh", "ssh"), NOTHING, {"server-speaks-client"}
    ),
    "a_tunnel/chrissanders-packets__aurora.pcapng": (
        ("windows-shell", "random"), NOTHING, {"odd-port", "client-speaks-server"}
    ),
}  # fmt: skip
# Services of Zeek's conn.log.
ZEEK = {
    "ssl": "tls", "http": "http", "ssh": "ssh", "smtp": "smtp", "imap": "imap", "pop3": "pop3", "irc": "irc",
    "websocket": "websocket",
}  # fmt: skip
# The laboratory's connections by label: what is inside, where something readable is.
INSIDE = {
    "m01_ssh_connect_interactive": ("ssh", "ssh"),
    "m03_scp_connect": ("ssh", "ssh"),
    "m06_reverse_shell_connect": ("unix-shell", "printable"),
    "m11_socks_ssh_connect": ("ssh", "ssh"),
    "m13_reconnecting_tunnel": ("ssh", "ssh"),
    "m22_raw_file_connect": ("random", None),
}
# Words that say that something is wrong: an ordinary connection has none of them.
WRONG = {
    "directions-disagree", "client-speaks-server", "server-speaks-client", "connect-not-tls", "connect-other-name",
    "websocket-protocol", "inside-directions-disagree", "inside-odd-port", "inside-client-speaks-server",
    "inside-server-speaks-client",
}  # fmt: skip
DATA = "data"


def flows(path: Path) -> list[FlowRecord]:
    """The TCP flows of a capture that carried something."""
    inspector = Inspector()
    _, records = read(path, inspector=inspector)
    assert inspector.failed == inspector.given_up == inspector.used_bytes == 0
    return [
        record for record in records
        if record.protocol == TCP and record.payload_bytes_out + record.payload_bytes_in
    ]  # fmt: skip


def inside(record: FlowRecord) -> tuple[object, object]:
    facts = record.facts or {}
    return facts.get("inside_out"), facts.get("inside_in")


def truth(shared_dir: Path) -> Iterator[tuple[dict[str, str], list[FlowRecord]]]:
    """The rows about captures, each with its flows."""
    with (shared_dir / DATA / "TRUTH-DETECT.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = shared_dir / DATA / row["file"]
            if path.suffix not in (".pcap", ".pcapng"):
                continue
            yield (
                row,
                [
                    record for record in flows(path)
                    if row["orig"] in ("*", address_text(record.client_ip))
                    and row["resp"] in ("*", address_text(record.server_ip))
                    and row["dport"] in ("0", str(record.server_port))
                ],
            )  # fmt: skip


def test_every_labelled_tunnel_shows_in_its_record_and_nothing_ordinary_does(shared_dir: Path) -> None:
    checked = {"POS": 0, "CONNECT": 0, "NEG": 0}
    for row, found in truth(shared_dir):
        expected = REVERSE_SHELLS.get(row["file"]) if row["kind"] == "reverse-shell" else KINDS.get(row["kind"])
        if row["verdict"] == "NEG":
            assert found, row
            assert not WRONG.intersection(*[record.anomalies or () for record in found]), row
        elif expected is None or row["verdict"] == "MAYBE":
            continue
        else:
            seen = [
                record for record in found
                if (record.app_out, record.app_in) == expected[0] and inside(record) == expected[1]
                and expected[2] <= set(record.anomalies or ())
            ]  # fmt: skip
            assert seen, (row, [(r.app_out, r.app_in, r.facts, r.anomalies) for r in found])
        checked[row["verdict"]] += 1
    assert checked == {"POS": 15, "CONNECT": 2, "NEG": 3}


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_what_the_laboratorys_tools_send_through_connect_is_told(shared_dir: Path, name: str) -> None:
    found = [record for record in flows(shared_dir / DATA / "lab" / f"{name}.pcap") if record.server_port == 3128]
    assert found
    for record in found:
        assert inside(record) == INSIDE[name]
        assert "connect-not-tls" in (record.anomalies or ())


def test_what_is_in_the_laboratorys_websockets_is_told(shared_dir: Path) -> None:
    by_capture = {
        name: {
            inside(record)
            for record in flows(shared_dir / DATA / "lab" / f"{name}.pcap")
            if (record.facts or {}).get("http_upgrade") == "websocket"
        }
        for name in ("m14_wstunnel", "m10_web_shell", "b08_ws_chat")
    }
    assert by_capture == {
        "m14_wstunnel": {("ssh", "ssh")},
        "m10_web_shell": {("printable", "unix-shell")},
        "b08_ws_chat": {("printable", "printable")},
    }


def test_nothing_is_wrong_with_ordinary_connections(shared_dir: Path) -> None:
    checked = 0
    for directory, pattern in (("b_benign", "*.pcap*"), ("lab", "b*.pcap")):
        for path in sorted((shared_dir / DATA / directory).glob(pattern)):
            if path.suffix not in (".pcap", ".pcapng"):
                continue
            for record in flows(path):
                assert not WRONG.intersection(record.anomalies or ()), (path.name, record)
                checked += 1
    assert checked >= 850


def test_services_are_those_that_zeek_tells(shared_dir: Path) -> None:
    checked = 0
    for path in sorted((shared_dir / DATA).glob("*/*.zeek-conn.log")):
        found = flows(path.with_name(path.name.removesuffix(".zeek-conn.log")))
        for row in zeek_rows(path):
            services = {ZEEK[name] for name in row["service"].split(",") if name in ZEEK}
            flow = next((record for record in found if is_of(record, row)), None)
            if "imap" in services:
                services.discard("tls")  # after STARTTLS nobody looks again
            if not services or row.get("proto", "tcp") != "tcp":
                continue
            assert flow is not None, (path.name, row)
            told = {flow.app_out, flow.app_in, *inside(flow), (flow.facts or {}).get("http_upgrade")}
            assert services <= told, (path.name, row, told)
            checked += 1
    assert checked >= 40


def is_of(record: FlowRecord, row: dict[str, str]) -> bool:
    """Whether a row of Zeek's is about a flow; some logs are cut down to few columns, and are about one flow."""
    return "id.orig_p" not in row or (
        (address_text(record.client_ip), record.client_port, record.server_port)
        == (row["id.orig_h"], int(row["id.orig_p"]), int(row["id.resp_p"]))
    )


def zeek_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a log, whose columns are named in a comment or in its first line."""
    names: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#fields"):
            names = line.split("\t")[1:]
        elif line and not line.startswith("#"):
            if names:
                yield dict(zip(names, line.split("\t"), strict=True))
            else:
                names = line.split("\t")
