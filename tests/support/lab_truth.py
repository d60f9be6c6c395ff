"""What is known about labelled captures, and which of it alarms tell: alarms are matched to labels, and groups counted.

A capture's ``labels.json`` says who did what and when, its connection table which TCP connections that was. Behind
a proxy only the name asked for or the connection itself tells two labels apart.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

from correlator.detect.alarm import Severity
from correlator.detect.catalogue import CATALOGUE
from correlator.detect.symptom import Family

# (client, its port, server, its port)
Connection = tuple[str, int, str, int]
# (client, host name or server's address, server's port)
Channel = tuple[str, str, int]

SLACK_S: Final = 1.0
MEDIUM: Final = Severity.MEDIUM.rank
HIGH: Final = Severity.HIGH.rank


class Group(Enum):
    """How far a tunnel can be known: what the percentages are asked of."""

    FOREIGN = "a foreign protocol is there to be read"
    BEHAVIOUR = "only behaviour tells"
    TWIN = "a benign twin exists"
    NOTHING = "nothing was tunnelled"
    BENIGN = "benign"


# By label; behind TLS a WebSocket cannot be read, which its tool says.
_GROUPS: Final[Mapping[str, Group]] = {
    **dict.fromkeys(
        (
            "ssh-interactive-connect", "ssh-command-connect", "ssh-interactive-443", "ssh-command-443",
            "bulk-upload-connect", "bulk-download-connect", "reverse-shell-connect", "socks-ssh-connect",
            "ssh-reconnecting-connect", "ssh-on-21", "ssh-on-25", "ssh-on-80", "raw-file-connect", "websocket-shell",
            "wstunnel",
        ),
        Group.FOREIGN,
    ),
    **dict.fromkeys(
        (
            "httptunnel", "ssh-in-tls-interactive", "ssh-in-tls-bulk", "vpn-tcp443", "shadowsocks", "obfs4",
            "http-beacon", "https-beacon", "http-keepalive-messages",
        ),
        Group.BEHAVIOUR,
    ),
    **dict.fromkeys(
        ("slow-exfil-http", "slow-exfil-https", "big-post-http", "http-get-covert", "trojan", "v2ray-ws-tls"),
        Group.TWIN,
    ),
    "connect-refused": Group.NOTHING,
}  # fmt: skip
# These tools of a label are read less well than the others.
_BEHAVIOUR_TOOLS: Final = ("terminado, wss", "wstunnel http")
# A beacon of fewer gaps is not asked for.
BEACON_GAPS: Final = 20


def is_whole() -> bool:
    """Whether detection has symptoms of every family that the percentages are asked of."""
    have = {symptom.family for symptom in CATALOGUE.symptoms.values()}
    return have >= set(Family) - {Family.REPUTATION, Family.CONTEXT}


class Unit(NamedTuple):
    """One label of a capture, with the TCP connections that it is about."""

    capture: str
    label: str
    tool: str
    benign: bool
    client: str
    server: str
    port: int
    start_s: float
    connections: tuple[Connection, ...]

    @property
    def group(self) -> Group:
        """What it can be known by; a label that nobody has put into a group is an error."""
        if self.benign:
            return Group.BENIGN
        if self.tool in _BEHAVIOUR_TOOLS:
            return Group.BEHAVIOUR
        return _GROUPS[self.label]

    @property
    def asked(self) -> bool:
        """Whether its group's percentage counts it: not a beacon of too few gaps, nor what has no connection."""
        return len(self.connections) > (BEACON_GAPS if self.label.endswith("beacon") else 0)


class Verdict(NamedTuple):
    """What alarms say of one label."""

    unit: Unit
    severity: str | None
    """Of the most severe alarm about it; None where there is none."""
    probability: float | None
    """Of a tunnel in its channel, as the alarm says or, without one, as was judged in the end."""
    symptoms: tuple[str, ...]
    """Those that speak for a tunnel, the strongest first."""
    rank: int | None
    """Of its channel among all of its capture, 1 for the most probable; None where nothing is known of it."""

    @property
    def level(self) -> int:
        """The severity's place in the order, -1 without an alarm."""
        return -1 if self.severity is None else Severity(self.severity).rank


def units(lab: Path, name: str) -> list[Unit]:
    """Return the labels of a capture with their connections."""
    labels = json.loads((lab / f"{name}.labels.json").read_text(encoding="utf-8"))
    with (lab / "conn" / f"{name}.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    mine: list[list[Connection]] = [[] for _ in labels]
    for row in rows:
        fitting = [place for place, label in enumerate(labels) if _fits(row, label)]
        if fitting:  # one label may begin in the second in which another ends
            mine[max(fitting, key=lambda place: _closeness(row, labels[place]))].append(_connection(row))
    return [
        Unit(
            capture=name,
            label=label["label"],
            tool=label["tool"],
            benign=label["benign"],
            client=label["client"],
            server=label["server"],
            port=label["server_port"],
            start_s=label["start"],
            connections=tuple(connections),
        )
        for label, connections in zip(labels, mine, strict=True)
    ]


def _connection(row: Mapping[str, str]) -> Connection:
    return row["client"], int(row["client_port"]), row["server"], int(row["server_port"])


def _fits(row: Mapping[str, str], label: Mapping[str, Any]) -> bool:
    same = all(row[name] == label[name] for name in ("label", "tool", "client", "server"))
    return bool(
        same
        and (not label["server_port"] or int(row["server_port"]) == label["server_port"])
        and label["start"] - SLACK_S <= float(row["start"]) <= label["end"] + SLACK_S
    )


def _closeness(row: Mapping[str, str], label: Mapping[str, Any]) -> tuple[bool, float]:
    start_s = float(row["start"])
    return bool(label["start"] <= start_s <= label["end"]), -abs(start_s - label["start"])


def verdicts(
    of: Sequence[Unit],
    flows: Iterable[Mapping[str, Any]],
    alarms: Iterable[Mapping[str, Any]],
    judged: Mapping[Channel, float] | None = None,
) -> list[Verdict]:
    """Match alarms to labels; ``flows`` and ``alarms`` are those of ``tunnelwatch flows --json`` and ``alarms --json``.

    ``judged`` are the probabilities of all channels, those without an alarm too.
    An alarm is about a label when one of its flows is, or, where it names none, its channel. Where a tunnel and
    ordinary use share a channel, an alarm that is about the tunnel is none about the other.
    """
    mine: list[set[str]] = [set() for _ in of]
    channels: list[set[Channel]] = [set() for _ in of]
    places: dict[Connection, list[int]] = {}
    for place, unit in enumerate(of):
        for connection in unit.connections:
            places.setdefault(connection, []).append(place)
    for flow in flows:
        connection = flow["client_ip"], flow["client_port"], flow["server_ip"], flow["server_port"]
        for place in places.get(connection, ()):
            mine[place].add(str(flow["flow_id"]))
            channels[place].add(_channel_of_flow(flow))
    about: list[list[Mapping[str, Any]]] = [[] for _ in of]
    alarms = [alarm for alarm in alarms if alarm["client"] is not None]
    for alarm in alarms:
        for place in _subjects(of, alarm, mine, channels):
            about[place].append(alarm)
    scores = _scores(alarms, judged or {})
    return [_verdict(unit, found, known, scores) for unit, found, known in zip(of, about, channels, strict=True)]


def _channel_of_flow(flow: Mapping[str, Any]) -> Channel:
    host = flow.get("host")
    return flow["client_ip"], host.lower() if host else flow["server_ip"], flow["server_port"]


def channel_of_alarm(alarm: Mapping[str, Any]) -> Channel | None:
    """Return the channel that an alarm is about; None when it says no server."""
    if alarm["client"] is None or not alarm["server"]:
        return None
    server, _, port = alarm["server"].rpartition(":")
    return alarm["client"], (alarm["host"] or server.strip("[]")).lower(), int(port)


def _subjects(
    of: Sequence[Unit], alarm: Mapping[str, Any], mine: Sequence[set[str]], channels: Sequence[set[Channel]]
) -> list[int]:
    named = set(map(str, alarm["flows"]))
    found = [place for place, ids in enumerate(mine) if ids & named]
    if not found:
        channel = channel_of_alarm(alarm)
        found = [place for place, known in enumerate(channels) if channel in known]
    tunnels = [place for place in found if not of[place].benign]
    return tunnels or found


def _scores(alarms: Iterable[Mapping[str, Any]], judged: Mapping[Channel, float]) -> dict[Channel, float]:
    """Return the highest probability that was stated of each channel."""
    found = dict(judged)
    for alarm in alarms:
        if channel := channel_of_alarm(alarm):
            found[channel] = max(found.get(channel, 0.0), alarm["probability"] or 0.0)
    return found


def _verdict(
    unit: Unit, about: Sequence[Mapping[str, Any]], channels: set[Channel], scores: Mapping[Channel, float]
) -> Verdict:
    mine = [scores[channel] for channel in channels if channel in scores]
    # Those that are as probable share a rank.
    rank = 1 + sum(other > max(mine) for other in scores.values()) if mine else None
    if not about:
        return Verdict(unit, None, max(mine, default=None), (), rank)
    worst = max(about, key=lambda alarm: (Severity(alarm["severity"]).rank, alarm["probability"] or 0.0))
    return Verdict(unit, worst["severity"], worst["probability"], speaking(worst), rank)


def speaking(alarm: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the symptoms of an alarm that speak for a tunnel, the strongest first; limits that were passed, too."""
    evidence = [
        item
        for item in alarm["evidence"]
        if item["family"] != "prior" and (item["log10_lr"] is None or item["log10_lr"] > 0)
    ]
    evidence.sort(key=lambda item: -(item["log10_lr"] or 0))
    return tuple(dict.fromkeys(item["symptom"] for item in evidence))


class Score(NamedTuple):
    """How many labels of a group reached what is asked of it."""

    group: Group
    asked: int
    reached: int

    @property
    def share(self) -> float:
        """From 0 to 1; 1 where nothing was asked."""
        return self.reached / self.asked if self.asked else 1.0


def score(group: Group, found: Iterable[Verdict], least: int) -> Score:
    """Count the labels of a group that have an alarm of at least this severity."""
    asked = [verdict for verdict in found if verdict.unit.group is group and verdict.unit.asked]
    return Score(group, len(asked), sum(verdict.level >= least for verdict in asked))


def outranked(found: Sequence[Verdict]) -> Iterator[tuple[Verdict, Verdict]]:
    """Yield the tunnels with a benign twin that rank below or beside benign use of their capture, and that use."""
    for verdict in found:
        if verdict.unit.group is not Group.TWIN or verdict.rank is None:
            continue
        for other in found:
            if other.unit.benign and other.rank is not None and other.rank <= verdict.rank:
                yield verdict, other
