"""The channels of labelled laboratory captures, with what detection said of them along the capture."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from captures import read

from common.addresses import address_text
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.detect.channel import Key, Surroundings
from correlator.detect.fold import Memory, Taken, fold, judged
from correlator.detect.settings import DetectSettings

GAP_NS = 300 * NS_PER_S
STEP_NS = 60 * NS_PER_S
SETTINGS = DetectSettings()


class LabChannel(NamedTuple):
    """One channel of a capture: its labels, and the most that was said of it."""

    capture: str
    key: Key
    labels: frozenset[str]
    benign: bool
    flows: int
    probability: float
    symptoms: dict[str, str]
    """Each found at any time, with its explanation then."""


def lab_channels(lab: Path, capture: str) -> list[LabChannel]:
    """Return the channels of a capture, judged at every minute of it as detection does.

    The names behind a proxy are those of the laboratory's own list of connections.
    """
    rows = _rows(lab / "conn" / f"{capture}.tsv")
    _, flows = read(lab / f"{capture}.pcap")
    records = sorted((_named(flow, rows) for flow in flows if flow.protocol == 6), key=lambda flow: flow.end_ns)
    labels: dict[Key, set[tuple[str, bool]]] = defaultdict(set)
    most: dict[Key, float] = defaultdict(float)
    symptoms: dict[Key, dict[str, str]] = defaultdict(dict)
    memory, seen = Memory({}, {}), _Seen(records)
    for _, some in groupby(records, key=lambda flow: flow.end_ns // STEP_NS):
        step = list(some)
        for key in fold([Taken("tap", flow) for flow in step], memory, SETTINGS, GAP_NS):
            channel = memory.channels[key]
            judgement, sightings = judged(channel, seen.around(key, step[-1].end_ns), SETTINGS)
            most[key] = max(most[key], judgement.probability)
            symptoms[key].update({name: one.explanation for name, one in sightings.items() if one.found})
    for flow in records:
        row = rows.get(_ports(flow))
        if row is not None:
            labels[seen.key(flow)].add((row["label"], row["benign"] == "1"))
    return [
        LabChannel(
            capture, key, frozenset(label for label, _ in labels[key]), all(benign for _, benign in labels[key]),
            memory.channels[key].flows, most[key], symptoms[key],
        )
        for key in sorted(memory.channels)
    ]  # fmt: skip


class _Seen:
    """Who talked to whom in a capture, all of it at once."""

    def __init__(self, records: list[FlowRecord]) -> None:
        self._first_ns: dict[str, int] = {}
        self._clients: dict[str, set[str]] = defaultdict(set)
        for flow in records:
            key = self.key(flow)
            self._clients[key.peer].add(key.client)
            self._first_ns.setdefault(key.peer, flow.start_ns)
        self._begin_ns = min((flow.start_ns for flow in records), default=0)
        self._all = len({client for clients in self._clients.values() for client in clients})

    @staticmethod
    def key(flow: FlowRecord) -> Key:
        peer = flow.host or address_text(flow.server_ip)
        return Key(address_text(flow.client_ip), peer, flow.server_port, flow.protocol)

    def around(self, key: Key, now_ns: int) -> Surroundings:
        clients = len(self._clients[key.peer])
        return Surroundings(now_ns, clients, self._all, self._first_ns[key.peer], now_ns - self._begin_ns)


Ports = tuple[str, int, str, int]


def _ports(flow: FlowRecord) -> Ports:
    return address_text(flow.client_ip), flow.client_port, address_text(flow.server_ip), flow.server_port


def _rows(path: Path) -> dict[Ports, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["client"], int(row["client_port"]), row["server"], int(row["server_port"])): row
            for row in csv.DictReader(file, delimiter="\t")
        }


def _named(flow: FlowRecord, rows: dict[Ports, dict[str, str]]) -> FlowRecord:
    row = rows.get(_ports(flow))
    target = row["target"].split(" ")[-1] if row and row["target"] else ""
    return flow if flow.host or not target else flow._replace(host=target.rpartition(":")[0].lower())
