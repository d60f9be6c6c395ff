"""Others' captures and flow logs, with what is known about them: what must be alarmed on, and what must not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from kept_truth import Hits, Truth, hits, labelled, ran_kept, truths, worst
from lab_truth import is_whole

from correlator.detect.alarm import Severity

# What is missed, or alarmed on though it should not be, by (file, kind), and why; the entry goes when it is not so.
_TIMER = "a regular interval alone is worth a factor of 8, for pollers show it too"
_FAILED = "no connection was ever answered, and only answered ones are timed"
WRONG: dict[tuple[str, str], str] = {
    ("a_tunnel/zeek-caldera__sandcat.pcap", "c2-http-beacon"): "58 requests on one connection, at irregular intervals",
    (
        "a_tunnel/ndpi__tls_heur__vmess-websocket.pcapng",
        "vmess-in-websocket",
    ): "frames as of any application",
    ("a_tunnel/ndpi__tor.pcap", "tor"): "TLS as browsers speak it, for minutes",
    ("a_tunnel/slips__test-cc-capture-1.pcap", "beacon"): _TIMER,
    (
        "e_flowlogs/zeek-rita-proxy-beacon",
        "beacon-via-connect-proxy",
    ): "8 x 8 for its interval and its standing: 0.6 %",
    ("e_flowlogs/zeek-ctu-njrat", "beacon-failed"): _FAILED,
    ("e_flowlogs/zeek-ctu-remcos", "beacon-failed"): _FAILED,
}

detects = pytest.mark.skipif(not is_whole(), reason="needs symptoms of every kind, and some are not there yet")
MEDIUM = Severity.MEDIUM.rank
LABELLED = (
    "zeek-ctu-njrat/labeled-conn.log", "zeek-ctu-remcos/conn.log.labeled", "zeek-ctu-normal40-day1/conn.log.labeled",
)  # fmt: skip


def alarm(
    client: str | None = "10.0.0.1", server: str | None = "10.0.0.2:80", severity: str = "high"
) -> dict[str, object]:
    return {"client": client, "server": server, "severity": severity, "probability": 0.5}


@pytest.mark.parametrize(
    ("client", "server", "port", "about"),
    [
        ("10.0.0.1", "10.0.0.2", 80, True),
        ("*", "*", 0, True),
        ("10.0.0.1", "*", 80, True),
        ("10.0.0.1", "10.0.0.2", 443, False),
        ("10.0.0.9", "10.0.0.2", 80, False),
        ("10.0.0.1", "10.0.0.9", 80, False),
    ],
)
def test_a_row_is_about_the_pairs_that_it_names(client: str, server: str, port: int, *, about: bool) -> None:
    row = Truth("x", client, server, port, "POS", "kind")
    assert row.holds(alarm()) is about
    assert not row.holds(alarm(client=None, server=None))


def test_addresses_of_ipv6_are_compared_without_their_brackets() -> None:
    assert Truth("x", "fd00::1", "fd00::2", 80, "POS", "kind").holds(alarm("fd00::1", "[fd00::2]:80"))


def test_the_worst_of_alarms_is_the_most_severe() -> None:
    mild, bad = alarm(severity="low"), alarm(severity="critical")
    assert worst([mild, bad, mild]) is bad
    assert worst([]) is None


def test_a_labelled_pair_counts_once_under_its_most_frequent_label(tmp_path: Path) -> None:
    log = tmp_path / "conn.log"
    rows = [("10.0.0.1", "10.0.0.2", "80", label) for label in ("Malicious", "Malicious", "Benign")]
    rows += [("10.0.0.1", "10.0.0.3", "80", "Benign"), ("10.0.0.1", "10.0.0.4", "80", "Benign")]
    log.write_text("\n".join(["#fields\tid.orig_h\tid.resp_h\tid.resp_p\tlabel", *map("\t".join, rows), "#close"]))
    labels = labelled(log)
    assert labels["10.0.0.1", "10.0.0.2", 80] == Counter(Malicious=2, Benign=1)
    alarms = [alarm(), alarm(server="10.0.0.3:80"), alarm(server="10.0.0.4:80", severity="low"), alarm(server=None)]
    assert hits(labels, alarms) == Hits(Counter(Malicious=1, Benign=2), Counter(Malicious=1, Benign=1))


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(600)
@detects
def test_what_is_known_to_be_a_tunnel_is_alarmed_on_and_what_is_known_not_to_be_is_not(
    shared_dir: Path, tmp_path: Path
) -> None:
    wrong = {}
    done = {}
    for row in truths(shared_dir / "data"):
        if row.verdict not in ("POS", "NEG"):
            continue
        if row.file not in done:
            done[row.file] = ran_kept(shared_dir / "data", row.file, tmp_path).alarms
        bad = worst(filter(row.holds, done[row.file]))
        level = -1 if bad is None else Severity(bad["severity"]).rank
        if (level >= MEDIUM) != (row.verdict == "POS"):
            wrong[row.file, row.kind] = f"{row.verdict}: {bad and bad['message']}"
    assert {key: why for key, why in wrong.items() if key not in WRONG} == {}
    assert WRONG.keys() <= wrong.keys()


@pytest.mark.shared
@pytest.mark.parametrize("file", LABELLED)
def test_every_row_of_a_labelled_log_is_counted(shared_dir: Path, file: str) -> None:
    log = shared_dir / "data/e_flowlogs" / file
    labels = labelled(log)
    rows = sum(counts.total() for counts in labels.values())
    assert rows == sum(not line.startswith("#") for line in log.read_text(encoding="utf-8").splitlines())
    assert hits(labels, []).alarmed == Counter()
    assert sum(hits(labels, []).pairs.values()) == len(labels)
