"""What is known about others' captures and flow logs: pairs to alarm on or not, and logs whose rows have labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lab_runs import Ran, imported, ran

from correlator.detect.alarm import Severity

# (client, server's address, its port)
Pair = tuple[str, str, int]

# Of a directory of logs the first of these is the one with the flows.
_CONN_LOGS: Final = ("conn.log", "conn.log.labeled", "labeled-conn.log")
_MEDIUM: Final = Severity.MEDIUM.rank


class Truth(NamedTuple):
    """One row of TRUTH-DETECT.tsv: a connection or pair, and whether it is to be alarmed on."""

    file: str
    client: str
    server: str
    port: int
    verdict: str
    """POS, NEG, CONNECT (a policy decides), MAYBE or NOISE."""
    kind: str

    def holds(self, alarm: Mapping[str, Any]) -> bool:
        """Whether an alarm is about it: ``*`` and 0 are any."""
        if alarm["client"] is None or not alarm["server"]:
            return False
        address, _, port = alarm["server"].rpartition(":")
        return (
            self.client in ("*", alarm["client"])
            and self.server in ("*", address.strip("[]"))
            and self.port in (0, int(port))
        )


def truths(data: Path) -> list[Truth]:
    """Return all rows."""
    with (data / "TRUTH-DETECT.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        Truth(row["file"], row["orig"], row["resp"], int(row["dport"]), row["verdict"], row["kind"]) for row in rows
    ]


def ran_kept(data: Path, file: str, folder: Path) -> Ran:
    """Run a capture or a directory of flow logs through the programs."""
    path = data / file
    if not path.is_dir():
        return ran(path, folder)
    return imported(flows_of(path), folder / f"{path.name}.db")


def flows_of(directory: Path) -> Path:
    """Return the log of a directory that has its flows."""
    return next(directory / name for name in _CONN_LOGS if (directory / name).exists())


def worst(alarms: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the most severe alarm, the more probable of two."""
    return max(alarms, key=lambda alarm: (Severity(alarm["severity"]).rank, alarm["probability"] or 0.0), default=None)


def labelled(log: Path) -> dict[Pair, Counter[str]]:
    """Return how many rows of a labelled Zeek log have which label, by pair."""
    names: list[str] = []
    found: dict[Pair, Counter[str]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        values = line.split("\t")
        if values[0] == "#fields":
            names = values[1:]
        elif names and not line.startswith("#"):
            row = dict(zip(names, values, strict=True))
            pair = row["id.orig_h"], row["id.resp_h"], int(row["id.resp_p"])
            found.setdefault(pair, Counter())[row["label"]] += 1
    return found


class Hits(NamedTuple):
    """Pairs of a labelled log: how many there are of each label, and how many an alarm of at least medium is about."""

    pairs: Counter[str]
    alarmed: Counter[str]


def hits(labels: Mapping[Pair, Counter[str]], alarms: Iterable[Mapping[str, Any]]) -> Hits:
    """Count a labelled log's pairs, each under the most frequent label of its rows."""
    about = set()
    for alarm in alarms:
        if alarm["client"] is not None and alarm["server"] and Severity(alarm["severity"]).rank >= _MEDIUM:
            address, _, port = alarm["server"].rpartition(":")
            about.add((alarm["client"], address.strip("[]"), int(port)))
    pairs: Counter[str] = Counter()
    alarmed: Counter[str] = Counter()
    for pair, counts in labels.items():
        ((label, _),) = counts.most_common(1)
        pairs[label] += 1
        alarmed[label] += pair in about
    return Hits(pairs, +alarmed)
