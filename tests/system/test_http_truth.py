"""HTTP exchanges beside what others say of the same captures: tshark's dissector, and the lab's own tables.

tshark is asked for methods, targets, hosts, statuses and Content-Length of every message.  It says nothing of a
message whose body was cut off, for it waits for the rest.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from http_talk import exchanges_of

from common.addresses import address_text
from common.records import HttpExchange

pytestmark = pytest.mark.shared

TSHARK = shutil.which("tshark")
FIELDS = (
    "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "http.request.method", "http.request.uri", "http.host",
    "http.response.code", "http.content_length_header",
)  # fmt: skip
LAB = [f"{kind}{number:02}" for kind, last in (("b", 20), ("m", 22)) for number in range(1, last + 1)]

Connection = tuple[str, int, str, int]
Message = tuple[str, ...]


def lab_captures(shared_dir: Path, start: str) -> list[Path]:
    found = sorted((shared_dir / "data" / "lab").glob(f"{start}*.pcap"))
    if not found:
        pytest.skip(f"needs the captures {start}*.pcap of the lab")
    return found


def by_connection(exchanges: list[HttpExchange]) -> dict[Connection, list[HttpExchange]]:
    found: dict[Connection, list[HttpExchange]] = defaultdict(list)
    for one in exchanges:
        key = (address_text(one.client_ip), one.client_port, address_text(one.server_ip), one.server_port)
        found[key].append(one)
    for some in found.values():
        some.sort(key=lambda one: (one.start_ns, one.number))
    return found


def tshark_messages(path: Path) -> tuple[dict[Connection, list[Message]], dict[Connection, list[Message]]]:
    """Return (method, bytes of the target, Host, the target) of requests, and (status, Content-Length) of responses."""
    command = [str(TSHARK), "-r", str(path), "-Y", "http.request or http.response", "-T", "fields"]
    command += ["-E", "separator=/t", "-E", "aggregator=|", *(part for name in FIELDS for part in ("-e", name))]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    requests: dict[Connection, list[Message]] = defaultdict(list)
    responses: dict[Connection, list[Message]] = defaultdict(list)
    for line in out.splitlines():
        source, sport, target, dport, methods, uris, hosts, codes, lengths = line.split("\t")
        if methods:
            parts = zip(methods.split("|"), uris.split("|"), hosts.split("|"), strict=True)
            requests[source, int(sport), target, int(dport)] += [(m, str(len(u)), h, u) for m, u, h in parts]
        if codes:
            several = codes.split("|")
            sizes = lengths.split("|") if len(lengths.split("|")) == len(several) else [""] * len(several)
            responses[target, int(dport), source, int(sport)] += list(zip(several, sizes, strict=True))
    return requests, responses


def _is_cut(one: HttpExchange) -> bool:
    return "body-short" in (one.anomalies or ())


def _name(host: str) -> str:
    """Return a host without its port, in lower case."""
    return host.rsplit(":", 1)[0].lower()


@pytest.mark.skipif(TSHARK is None, reason="needs tshark")
@pytest.mark.slow
@pytest.mark.parametrize("start", LAB)
def test_every_message_is_one_that_tshark_finds(shared_dir: Path, start: str) -> None:
    for path in lab_captures(shared_dir, start):
        requests, responses = tshark_messages(path)
        ours = by_connection(exchanges_of(path))
        asked = {
            key: [
                (str(one.method), str(one.uri_bytes), str(one.host))
                for one in some
                if one.method and one.request_end_ns
            ]
            for key, some in ours.items()
        }
        wanted = {
            key: [(method, size, _name(host or uri)) for method, size, host, uri in some]
            for key, some in requests.items()
        }
        assert {key: some for key, some in asked.items() if some} == wanted
        # Interim responses are no exchange's.
        final = {
            key: [message for message in some if not message[0].startswith("1") or message[0] == "101"]
            for key, some in responses.items()
        }
        answered = {key: [one for one in some if one.status and not _is_cut(one)] for key, some in ours.items()}
        assert {key: [str(one.status) for one in some] for key, some in answered.items() if some} == {
            key: [code for code, _ in some] for key, some in final.items() if some
        }
        for key, some in answered.items():
            for one, (_, length) in zip(some, final.get(key, []), strict=True):
                if length and one.method != "HEAD" and one.status not in (204, 304) and not one.anomalies:
                    assert one.response_body_bytes == int(length)


def lab_rows(shared_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the lab's connections whose first request tells a target, by capture."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with (shared_dir / "data" / "lab" / "conn.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["target"]:
                rows[row["pcap"]].append(row)
    return rows


@pytest.mark.parametrize("start", LAB)
def test_the_first_exchange_of_a_connection_goes_where_the_lab_says(shared_dir: Path, start: str) -> None:
    rows = lab_rows(shared_dir)
    for path in lab_captures(shared_dir, start):
        ours = by_connection(exchanges_of(path))
        for row in rows[path.name]:
            key = (row["client"], int(row["client_port"]), row["server"], int(row["server_port"]))
            method, target = row["target"].split(" ", 1)
            host, port = target.rsplit(":", 1)
            first = [(one.method, one.host, one.host_port or 80) for one in ours[key] if one.number == 0]
            assert (method, host.lower(), int(port)) in first


# Zeek's own http.log of these captures (its btest baselines): method, host, status, bytes of both bodies. Of a form it
# counts two bytes more than Content-Length declares and the client sends.
ZEEK = {
    "b_benign/zeek__no_crlf.pcap": [
        ("POST", "5.2.136.90", 200, 6086 - 2, 306596),
        ("POST", "5.2.136.90", 200, 7558 - 2, 411556),
        ("POST", "5.2.136.90", 200, 8214 - 2, 473908),
        ("POST", "5.2.136.90", 200, 6278 - 2, 287012),
        ("POST", "5.2.136.90", 200, 6230 - 2, 1172),
    ],
    "a_tunnel/zeek__connect-with-smtp.pcap": [("CONNECT", "mailin03.sul.t-online.de", 200, 0, 0)],
}


@pytest.mark.parametrize("name", ZEEK)
def test_exchanges_are_those_of_zeeks_http_log(shared_dir: Path, name: str) -> None:
    path = shared_dir / "data" / name
    if not path.exists():
        pytest.skip(f"needs the capture {path}")
    found = [(o.method, o.host, o.status, o.request_body_bytes, o.response_body_bytes) for o in exchanges_of(path)]
    assert found == ZEEK[name]
