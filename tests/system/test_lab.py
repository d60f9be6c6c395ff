"""Real tools' tunnels beside ordinary use, labelled: which alarms come with the default configuration, and which must.

Each capture goes through the sensor and the correlator as a user would have it, nothing learned before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from lab_runs import cut_short, judged, ran
from lab_truth import HIGH, MEDIUM, Group, Unit, Verdict, is_whole, outranked, score, speaking, units, verdicts

# What is missed, by (capture, label, tool), and why. Each of them must really be missed, or the entry goes.
_TIMER: Final = "a regular interval, and at most a false User-Agent beside it: pollers show the interval too"
_ONE_UPLOAD: Final = "one or a dozen uploads, as forms and backups have them"
MISSED: dict[tuple[str, str, str], str] = {
    ("m04_httptunnel", "httptunnel", "htc/hts carrying ssh"): "30 x 10 for trickling without a User-Agent: 2.6 %, low",
    ("m07a_http_beacon", "http-beacon", "curl every 5 s jitter 0%"): _TIMER,
    ("m07a_http_beacon", "http-beacon", "curl every 8 s jitter 10%"): _TIMER,
    ("m07a_http_beacon", "http-beacon", "curl every 5 s jitter 30%"): _TIMER,
    ("m07b_https_beacon", "https-beacon", "curl every 5 s jitter 0%"): _TIMER,
    ("m07b_https_beacon", "https-beacon", "curl every 5 s jitter 10%"): _TIMER,
    ("m07b_https_beacon", "https-beacon", "curl every 6 s jitter 30%"): _TIMER,
    ("mixed", "https-beacon", "curl every 6 s jitter 30%"): _TIMER,
    ("m10_web_shell", "websocket-shell", "terminado, wss"): "echoes of keystrokes, as typing in a page has them",
    ("m10_web_shell", "http-keepalive-messages", "python requests.Session"): "requests as any page makes them",
    ("m08_slow_exfil", "slow-exfil-http", "curl --data-binary"): _ONE_UPLOAD,
    ("m08_slow_exfil", "slow-exfil-https", "curl --data-binary"): _ONE_UPLOAD,
    ("mixed", "slow-exfil-http", "curl --data-binary"): _ONE_UPLOAD,
    ("m09_big_post", "big-post-http", "curl --data-binary"): _ONE_UPLOAD,
    ("m19_v2ray", "v2ray-ws-tls", "v2ray vmess+ws+tls"): "echoes of keystrokes inside TLS and nothing else",
    ("m21_get_covert", "http-get-covert", "curl"): _TIMER,
    ("mixed", "http-get-covert", "curl"): _TIMER,
}
# Tunnels with a benign twin that do not rank above all benign use of their capture: the reason is as above.
OUTRANKED: Final = {("mixed", "slow-exfil-http", "curl --data-binary")}

detects = pytest.mark.skipif(not is_whole(), reason="needs symptoms of every kind, and some are not there yet")
PAYLOADS = 10
MOST_BENIGN_SHARE = 0.02


@pytest.fixture(scope="session")
def lab(shared_dir: Path) -> Path:
    """The labelled captures."""
    return shared_dir / "data/lab"


@pytest.fixture(scope="session")
def captures(lab: Path) -> dict[str, list[Unit]]:
    """The labels of every capture."""
    names = sorted(path.name.removesuffix(".labels.json") for path in lab.glob("*.labels.json"))
    assert len(names) > 40
    return {name: units(lab, name) for name in names}


@pytest.fixture(scope="session")
def found(
    lab: Path, captures: dict[str, list[Unit]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Verdict]]:
    """What the alarms of every capture say about its labels."""
    folder = tmp_path_factory.mktemp("lab")
    return {name: judged(lab, name, labels, folder) for name, labels in captures.items()}


def every(found: dict[str, list[Verdict]]) -> list[Verdict]:
    return [verdict for verdicts_ in found.values() for verdict in verdicts_]


def told(found: Sequence[Verdict]) -> str:
    return "\n".join(
        f"{verdict.unit.capture}: {verdict.unit.label} ({verdict.unit.tool}): {verdict.severity}, "
        f"{', '.join(verdict.symptoms)}"
        for verdict in found
    )


def missed(found: dict[str, list[Verdict]], group: Group, least: int) -> list[Verdict]:
    return [
        verdict
        for verdict in every(found)
        if verdict.unit.group is group and verdict.unit.asked and verdict.level < least
    ]


# -- the labels -------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_every_connection_of_a_capture_belongs_to_a_label_and_every_label_to_a_group(
    lab: Path, captures: dict[str, list[Unit]]
) -> None:
    for name, labels in captures.items():
        rows = (lab / "conn" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        assert sum(len(unit.connections) for unit in labels) == len(rows), name
        assert {unit.benign for unit in labels if unit.group is Group.BENIGN} <= {True}
    groups = {unit.group for labels in captures.values() for unit in labels}
    assert groups == set(Group)


@pytest.mark.shared
def test_beacons_with_fewer_gaps_than_asked_are_not_counted(captures: dict[str, list[Unit]]) -> None:
    beacons = [unit for labels in captures.values() for unit in labels if unit.label.endswith("beacon")]
    assert {unit.asked for unit in beacons} == {True}
    assert not beacons[0]._replace(connections=beacons[0].connections[:20]).asked
    assert beacons[0]._replace(connections=beacons[0].connections[:21]).asked


# -- matching ---------------------------------------------------------------------------------------------------------


def unit(label: str, *, port: int, benign: bool = False, server: str = "10.1.1.1") -> Unit:
    connection = "10.1.1.46", port, server, 3128
    return Unit("capture", label, "tool", benign, "10.1.1.46", server, 3128, 0.0, (connection,))


def flow(flow_id: str, port: int, host: str | None = None, server: str = "10.1.1.1") -> dict[str, Any]:
    return {
        "flow_id": flow_id, "client_ip": "10.1.1.46", "client_port": port, "server_ip": server, "server_port": 3128,
        "host": host,
    }  # fmt: skip


def alarm(*flows: str, host: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "client": "10.1.1.46", "server": "10.1.1.1:3128", "host": host, "severity": "high", "probability": 0.6,
        "flows": list(flows), "evidence": [], **fields,
    }  # fmt: skip


def levels(found: Sequence[Verdict]) -> list[str | None]:
    return [verdict.severity for verdict in found]


def test_an_alarm_is_about_the_label_whose_flow_it_names_though_both_share_client_and_proxy() -> None:
    labels = [unit("ssh-on-80", port=1), unit("obfs4", port=2)]
    flows = [flow("7", 1, "a.example"), flow("8", 2, "b.example")]
    assert levels(verdicts(labels, flows, [alarm("8", host="b.example")])) == [None, "high"]


def test_an_alarm_without_flows_is_about_the_labels_of_its_channel() -> None:
    labels = [unit("ssh-on-80", port=1), unit("obfs4", port=2)]
    flows = [flow("7", 1, "A.example"), flow("8", 2)]
    assert levels(verdicts(labels, flows, [alarm(host="a.example")])) == ["high", None]
    assert levels(verdicts(labels, flows, [alarm()])) == [None, "high"]
    assert levels(verdicts(labels, flows, [alarm(server="10.1.1.1:80")])) == [None, None]
    assert levels(verdicts(labels, flows, [alarm(server=None, client=None)])) == [None, None]


def test_an_alarm_about_a_tunnel_is_none_about_the_ordinary_use_of_its_channel() -> None:
    labels = [unit("web-https-proxy", port=1, benign=True), unit("obfs4", port=2)]
    flows = [flow("7", 1, "a.example"), flow("8", 2, "a.example")]
    assert levels(verdicts(labels, flows, [alarm("7", "8", host="a.example")])) == [None, "high"]
    assert levels(verdicts(labels, flows, [alarm("7", host="a.example")])) == ["high", None]


def test_of_several_alarms_the_worst_tells_severity_and_symptoms_that_speak_for_a_tunnel() -> None:
    evidence = [
        {"symptom": "prior", "family": "prior", "log10_lr": -4.0},
        {"symptom": "new", "family": "novelty", "log10_lr": 0.6},
        {"symptom": "tls", "family": "protocol", "log10_lr": -0.3},
        {"symptom": "banner", "family": "protocol", "log10_lr": 5.0},
        {"symptom": "limit", "family": "volume", "log10_lr": None},
    ]
    mild, bad = alarm("7", severity="low"), alarm("7", severity="critical", evidence=evidence)
    (verdict,) = verdicts([unit("obfs4", port=1)], [flow("7", 1)], [mild, bad, mild])
    assert verdict.severity == "critical"
    assert verdict.symptoms == ("banner", "new", "limit") == speaking(bad)


def test_channels_are_ranked_by_probability_and_equals_share_a_rank() -> None:
    labels = [unit("obfs4", port=port, server=f"10.9.9.{port}") for port in range(1, 5)]
    flows = [flow(str(port), port, server=f"10.9.9.{port}") for port in range(1, 5)]
    alarms = [
        alarm(str(port), server=f"10.9.9.{port}:3128", probability=probability)
        for port, probability in ((1, 0.2), (2, 0.9), (3, 0.2))
    ]
    assert [verdict.rank for verdict in verdicts(labels, flows, alarms)] == [2, 1, 2, None]
    judged = {("10.1.1.46", "10.9.9.4", 3128): 0.3, ("10.1.1.46", "10.9.9.1", 3128): 0.1}
    found = verdicts(labels, flows, alarms, judged)
    assert [(verdict.rank, verdict.probability) for verdict in found] == [(3, 0.2), (1, 0.9), (3, 0.2), (2, 0.3)]


def test_a_score_counts_what_its_group_asks_for() -> None:
    labels = [unit("obfs4", port=1), unit("httptunnel", port=2), unit("http-beacon", port=3), unit("trojan", port=4)]
    flows = [flow(str(port), port) for port in range(1, 5)]
    found = verdicts(labels, flows, [alarm("1"), alarm("2", severity="low"), alarm("4")])
    assert score(Group.BEHAVIOUR, found, MEDIUM) == (Group.BEHAVIOUR, 2, 1)
    assert score(Group.FOREIGN, found, MEDIUM).share == 1.0


def test_a_twin_below_or_beside_benign_use_is_told() -> None:
    labels = [unit("trojan", port=1, server="10.9.9.1"), unit("video", port=2, benign=True, server="10.9.9.2")]
    flows = [flow("1", 1, server="10.9.9.1"), flow("2", 2, server="10.9.9.2")]
    for probability, expected in ((0.5, 1), (0.6, 1), (0.7, 0)):
        alarms = [
            alarm("1", server="10.9.9.1:3128", probability=probability),
            alarm("2", server="10.9.9.2:3128"),
        ]
        assert len(list(outranked(verdicts(labels, flows, alarms)))) == expected


# -- what is asked of detection ---------------------------------------------------------------------------------------


T = TypeVar("T", bound=Callable[..., None])


def long(test: T) -> T:
    """Mark a test that reads all captures."""
    marked: T = pytest.mark.shared(pytest.mark.slow(pytest.mark.timeout(900)(test)))
    return marked


def asks(test: T) -> T:
    """Mark such a test that asks something of detection."""
    marked: T = detects(test)
    return long(marked)


@long
def test_the_flows_of_every_capture_are_those_of_its_labels(found: dict[str, list[Verdict]]) -> None:
    assert len(every(found)) > 150
    assert all(verdict.severity is None or verdict.rank is not None for verdict in every(found))
    ranked = [verdict for verdict in every(found) if verdict.rank is not None]
    assert len(ranked) > 0.9 * len(every(found))


@asks
def test_where_a_foreign_protocol_can_be_read_the_alarm_is_high(found: dict[str, list[Verdict]]) -> None:
    lost = [v for v in missed(found, Group.FOREIGN, HIGH) if v.unit[:3] not in MISSED]
    assert not lost, told(lost)


@asks
def test_ten_packets_of_payload_each_way_are_enough_to_read_a_foreign_protocol(
    lab: Path, captures: dict[str, list[Unit]], tmp_path: Path
) -> None:
    lost = []
    for name, labels in captures.items():
        if not any(unit.group is Group.FOREIGN for unit in labels):
            continue
        short = cut_short(lab / f"{name}.pcap", tmp_path / f"{name}.pcap", PAYLOADS)
        lost += [
            verdict
            for verdict in verdicts(labels, *ran(short, tmp_path))
            if verdict.unit.group is Group.FOREIGN and verdict.level < HIGH and verdict.unit[:3] not in MISSED
        ]
    assert not lost, told(lost)


@asks
@pytest.mark.parametrize("group", [Group.BEHAVIOUR, Group.TWIN], ids=str)
def test_of_tunnels_that_cannot_be_read_those_listed_are_missed_and_no_others(
    found: dict[str, list[Verdict]], group: Group
) -> None:
    lost = [verdict for verdict in missed(found, group, MEDIUM) if verdict.unit[:3] not in MISSED]
    assert not lost, told(lost)


@asks
def test_a_tunnel_with_a_benign_twin_ranks_above_every_benign_channel_of_its_capture(
    found: dict[str, list[Verdict]],
) -> None:
    below = [pair for verdicts_ in found.values() for pair in outranked(verdicts_)]
    assert {tunnel.unit[:3] for tunnel, _ in below} == OUTRANKED
    below = [pair for pair in below if pair[0].unit[:3] not in OUTRANKED]
    assert not below, "\n".join(f"{told([tunnel])} below {told([other])}" for tunnel, other in below)


@asks
def test_ordinary_use_has_no_high_alarm_and_next_to_none_at_medium(found: dict[str, list[Verdict]]) -> None:
    benign = [v for v in every(found) if v.unit.group is Group.BENIGN and v.unit.asked]
    high = [verdict for verdict in benign if verdict.level >= HIGH]
    assert not high, told(high)
    medium = [verdict for verdict in benign if verdict.level >= MEDIUM]
    assert len(medium) <= MOST_BENIGN_SHARE * len(benign), told(medium)


@asks
def test_what_is_listed_as_missed_is_missed(found: dict[str, list[Verdict]]) -> None:
    least = {Group.FOREIGN: HIGH}
    reached = {verdict.unit[:3] for verdict in every(found) if verdict.level >= least.get(verdict.unit.group, MEDIUM)}
    assert not MISSED.keys() & reached
    assert MISSED.keys() <= {verdict.unit[:3] for verdict in every(found)}


# -- cutting captures -------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_a_capture_cut_short_has_so_many_packets_of_payload_each_way_and_no_more(lab: Path, tmp_path: Path) -> None:
    short = cut_short(lab / "m02_ssh443_direct.pcap", tmp_path / "short.pcap", 4)
    flows = ran(short, tmp_path).flows
    assert len(flows) == 3
    assert {flow["data_packets_out"] for flow in flows} == {4}
    assert max(flow["data_packets_in"] for flow in flows) <= 4
