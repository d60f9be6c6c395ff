"""The flows of labelled captures, whole, with what the tests of single flows find in each."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from captures import read

from common.addresses import address_text
from common.records import FlowRecord
from correlator.detect.catalogue import of_flow
from correlator.detect.settings import DetectSettings
from sensor.inspect._content import Inspector

SETTINGS = DetectSettings()
Ports = tuple[str, int, str, int]


class LabFlow(NamedTuple):
    """One TCP flow of a capture."""

    capture: str
    label: str
    """Empty where nothing is labelled."""
    benign: bool
    record: FlowRecord
    symptoms: dict[str, str]
    """Those found, each with its explanation."""


def flows_of(path: Path) -> list[LabFlow]:
    """Return the TCP flows of a capture, with the labels of a list of connections beside it, if there is one."""
    rows = _rows(path.parent / "conn" / f"{path.stem}.tsv")
    _, records = read(path, inspector=Inspector())
    found = []
    for record in records:
        if record.protocol == 6:
            row = rows.get(_ports(record), {})
            symptoms = {sight.symptom: sight.explanation for sight in of_flow(record, SETTINGS) if sight.found}
            found.append(LabFlow(path.stem, row.get("label", ""), row.get("benign") == "1", record, symptoms))
    return found


def lab_flows(lab: Path, pattern: str) -> dict[str, list[LabFlow]]:
    """Return the flows of the captures whose names match, by label."""
    by_label = defaultdict(list)
    for path in sorted(lab.glob(f"{pattern}.pcap")):
        for flow in flows_of(path):
            by_label[flow.label].append(flow)
    return by_label


def _rows(path: Path) -> dict[Ports, dict[str, str]]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["client"], int(row["client_port"]), row["server"], int(row["server_port"])): row
            for row in csv.DictReader(file, delimiter="\t")
        }


def _ports(flow: FlowRecord) -> Ports:
    return address_text(flow.client_ip), flow.client_port, address_text(flow.server_ip), flow.server_port
