"""The sensor's conn.log beside Zeek's own: every capture that has a ``conn.log`` of Zeek's test suite.

``*.zeek-*.log`` beside a capture is what Zeek itself writes for it (a btest baseline: times and most uids are
masked).  Rows are compared in all columns that both have, history apart from the rest.  DIFFERENCES lists what
differs, and why that is a choice; nothing else may differ.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from captures import read

from sensor.output.text import zeek_format

pytestmark = pytest.mark.shared

S = 1_000_000_000
# Zeek's tcp_attempt_delay, with which the baselines were made.
ZEEK_SETTINGS = {"tcp_attempt_timeout_ns": 5 * S}
COMPARED = (
    "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "duration", "orig_bytes", "resp_bytes", "conn_state",
    "missed_bytes", "history", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes", "ip_proto",
)  # fmt: skip


class Difference(NamedTuple):
    """Rows that only Zeek has and rows that only the sensor has, as many of each, and the reason."""

    only_zeek: int
    only_here: int
    reason: str


DIFFERENCES = {
    "zeek__wikipedia.pcap": Difference(
        1, 1, "of a lone SYN-ACK the sender is the server; Zeek ran without the list of ports that tells it so"
    ),
    "zeek__vxlan-encapsulated-http.pcap": Difference(
        1, 0, "a packet is counted once, in the flow inside the tunnel; Zeek counts the carrier's datagram as well"
    ),
}

Row = tuple[str, ...]


def baselines(shared_dir: Path) -> list[Path]:
    return sorted((shared_dir / "data").glob("*/*.zeek-conn*.log"))


def table(lines: list[str]) -> tuple[list[str], list[dict[str, str]]]:
    """The names and rows of a log; some baselines are cut down to columns, with their names in the first line."""
    names: list[str] = []
    rows = []
    for line in lines:
        if line.startswith("#fields"):
            names = line.split("\t")[1:]
        elif line and not line.startswith("#"):
            if names:
                rows.append(dict(zip(names, line.split("\t"), strict=True)))
            else:
                names = line.split("\t")
    return names, rows


def ours(capture: Path) -> list[dict[str, str]]:
    log = zeek_format(lambda: 0)
    return table((log.opening + log.lines(read(capture, **ZEEK_SETTINGS)[1])).splitlines())[1]


class Compared(NamedTuple):
    total: int
    without_history: tuple[Counter[Row], Counter[Row]]
    with_history: tuple[Counter[Row], Counter[Row]]


def compared(log: Path) -> Compared:
    names, zeek = table(log.read_text(encoding="utf-8").splitlines())
    mine = ours(log.with_name(log.name.split(".zeek-")[0]))
    columns = [name for name in COMPARED if name in names]
    plain = [name for name in columns if name != "history"]

    def rows(found: list[dict[str, str]], chosen: list[str]) -> Counter[Row]:
        return Counter(tuple(row[name] for name in chosen) for row in found)

    return Compared(len(zeek), (rows(zeek, plain), rows(mine, plain)), (rows(zeek, columns), rows(mine, columns)))


def test_every_connection_of_zeeks_logs_is_the_same_here_or_listed_with_a_reason(shared_dir: Path) -> None:
    logs = baselines(shared_dir)
    assert len(logs) >= 23
    wrong = {}
    total = same = same_with_history = 0
    for log in logs:
        found = compared(log)
        zeek, mine = found.with_history
        total += found.total
        same += (found.without_history[0] & found.without_history[1]).total()
        same_with_history += (zeek & mine).total()
        known = DIFFERENCES.get(log.name.split(".zeek-")[0], Difference(0, 0, ""))
        if ((zeek - mine).total(), (mine - zeek).total()) != known[:2]:
            wrong[log.name] = f"only in Zeek's: {zeek - mine}; only here: {mine - zeek}"
    assert wrong == {}
    assert total > 150
    assert same >= 0.98 * total
    assert same_with_history >= 0.95 * total
