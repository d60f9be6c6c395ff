"""Captures through both programs with the default configuration, no learning before; whole, in slices, or cut short."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import dpkt
from corr_cli import Cli
from lab_truth import Channel, Unit, Verdict, verdicts
from packets import pcap
from programs import SENSOR, run

from correlator.detect.alarm import Severity
from correlator.detect.judge import probability_of

_NS_PER_S: Final = 1_000_000_000

Row = Mapping[str, Any]
# A direction of a connection: sender, its port, receiver, its port.
_Direction = tuple[bytes, int, bytes, int]


class Ran(NamedTuple):
    """What the correlator says after a capture."""

    flows: list[Row]
    alarms: list[Row]
    judged: dict[Channel, float]
    """How probable a tunnel is in each channel, in the end."""


def ran(capture: Path, folder: Path) -> Ran:
    """Read a capture into a flow log, import that into a new database in ``folder``, and ask."""
    log = folder / f"{capture.name}.flowlog"
    code, _, err = run(SENSOR, "read", str(capture), "-w", str(log), timeout=120)
    assert code == 0 or log.exists(), err
    return imported(log, folder / f"{capture.name}.db")


def imported(log: Path, db: Path) -> Ran:
    """Import a log into a new database and ask; what is wrong with the log is the log's to say."""
    cli = Cli(db)
    result = cli("import", log)
    assert "records stored" in result.err, result
    return Ran(cli.json("flows"), cli.json("alarms"), _judged(db))


def _judged(db: Path) -> dict[Channel, float]:
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as conn:
        rows = conn.execute("SELECT client, peer, port, log10_odds FROM detect_channels").fetchall()
    return {(client, peer, port): probability_of(log10_odds) for client, peer, port, log10_odds in rows}


def judged(lab: Path, name: str, of: Sequence[Unit], folder: Path) -> list[Verdict]:
    """Return what the alarms say about each label of a capture."""
    return verdicts(of, *ran(lab / f"{name}.pcap", folder))


def delays_s(capture: Path, of: Sequence[Unit], folder: Path, step_s: float) -> list[float | None]:
    """Return how long after its start each label had an alarm of at least medium, to ``step_s``; None where none came.

    The sensor's records are imported as they would come over the link, ``step_s`` of them at a time, into one database.
    """
    code, out, err = run(SENSOR, "read", str(capture), "--format", "ndjson", timeout=120)
    assert code == 0, err
    rows = sorted((json.loads(line)["end_ns"], line) for line in out.decode().splitlines())
    cli = Cli(folder / f"{capture.name}.slices.db")
    found: list[float | None] = [None for _ in of]
    for number, (upto_ns, lines) in enumerate(_slices(rows, int(step_s * _NS_PER_S))):
        part = folder / f"{capture.name}.{number}.ndjson"
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        cli.imported(part)
        part.unlink()
        for place, verdict in enumerate(verdicts(of, cli.json("flows"), cli.json("alarms"))):
            if found[place] is None and verdict.level >= Severity.MEDIUM.rank:
                found[place] = max(0.0, upto_ns / _NS_PER_S - verdict.unit.start_s)
    return found


def _slices(rows: Sequence[tuple[int, str]], step_ns: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of every stretch of time that has some, with the time of its end."""
    place = 0
    while place < len(rows):
        upto_ns = (rows[place][0] // step_ns + 1) * step_ns
        lines = []
        while place < len(rows) and rows[place][0] < upto_ns:
            lines.append(rows[place][1])
            place += 1
        yield upto_ns, lines


def cut_short(capture: Path, target: Path, payloads: int) -> Path:
    """Write a capture without what follows the first ``payloads`` packets with payload of each direction.

    A connection then is as it was seen at the moment at which one side had sent so many, and the other no more.
    """
    kept: list[tuple[int, bytes]] = []
    counts: dict[_Direction, int] = {}
    with capture.open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        for time_s, frame in reader:
            if _is_wanted(frame, counts, payloads):
                kept.append((round(float(time_s) * _NS_PER_S), frame))
        target.write_bytes(pcap(kept, reader.datalink()))
    return target


def _is_wanted(frame: bytes, counts: dict[_Direction, int], payloads: int) -> bool:
    packet = dpkt.ethernet.Ethernet(frame).data
    if not isinstance(packet, dpkt.ip.IP) or not isinstance(packet.data, dpkt.tcp.TCP):
        return True
    segment = packet.data
    there = packet.src, segment.sport, packet.dst, segment.dport
    back = packet.dst, segment.dport, packet.src, segment.sport
    if segment.flags & dpkt.tcp.TH_SYN:
        counts[there] = 0
    if segment.data:
        counts[there] = counts.get(there, 0) + 1
    return max(counts.get(there, 0), counts.get(back, 0)) <= payloads
