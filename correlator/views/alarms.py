"""Stored alarms as records, what the lists hide of them, and alarms grouped by channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from common.addresses import parse_endpoint
from common.timespan import iso_time
from correlator.detect.alarm import Evidence, Severity
from correlator.detect.lists import Entry, Lists, Subject, hiding_entry, subject_text
from correlator.rows import AlarmRow

_flows_decoder: Final = msgspec.json.Decoder(list[str])
_evidence_decoder: Final = msgspec.json.Decoder(list[Evidence])


def evidence_of(row: AlarmRow) -> list[Evidence]:
    """Return a stored alarm's evidence."""
    return _evidence_decoder.decode(row.evidence)


def flows_of(row: AlarmRow) -> list[str]:
    """Return the ids of some of a stored alarm's flows."""
    return _flows_decoder.decode(row.flows)


def hidden_by(row: AlarmRow, lists: Lists, now_ns: int) -> Entry | None:
    """Return the list entry that hides an alarm, None when it is shown."""
    if not lists.count:
        return None
    server, port = (None, None) if row.server is None else parse_endpoint(row.server)
    found = lists.find(Subject(row.client, server, port, row.host), now_ns)
    return hiding_entry(found, evidence_of(row)) if found else None


def alarm_record(row: AlarmRow, hiding: Entry | None = None) -> dict[str, Any]:
    """Return an alarm as the JSON object that commands print and outputs deliver."""
    return {
        "id": row.alarm_id,
        "time": iso_time(row.time_ns),
        "first_time": iso_time(row.first_time_ns),
        "seen_count": row.seen_count,
        "kind": row.kind,
        "severity": row.severity,
        "sensor": row.sensor,
        "client": row.client,
        "server": row.server,
        "host": row.host,
        "probability": row.probability,
        "message": row.message,
        "evidence": [item._asdict() for item in evidence_of(row)],
        "flows": flows_of(row),
        "acknowledged": None if row.acknowledged_ns is None else iso_time(row.acknowledged_ns),
        "hidden_by": None if hiding is None else f"{hiding.kind} {subject_text(hiding)}",
    }


def grouped(rows: Iterable[AlarmRow]) -> list[dict[str, Any]]:
    """Return a record per channel (by name where one is known; per sensor where none is), the worst first."""
    groups: dict[tuple[str, ...], list[AlarmRow]] = {}
    for row in rows:
        groups.setdefault((row.client or "", row.host or row.server or row.sensor or ""), []).append(row)
    found = sorted(groups.values(), key=_weight, reverse=True)
    return [_group_record(some) for some in found]


def _weight(rows: list[AlarmRow]) -> tuple[int, int]:
    return max(Severity(row.severity).rank for row in rows), max(row.time_ns for row in rows)


def _group_record(rows: list[AlarmRow]) -> dict[str, Any]:
    worst = max(rows, key=lambda row: (Severity(row.severity).rank, row.time_ns))
    kinds = dict.fromkeys(row.kind for row in rows)
    same_server = len({row.server for row in rows}) == 1
    return {
        "client": worst.client,
        "server": worst.server if same_server else None,
        "host": worst.host,
        "sensor": worst.sensor if worst.client is None else None,
        "severity": worst.severity,
        "alarms": len(rows),
        "seen_count": sum(row.seen_count for row in rows),
        "kinds": list(kinds),
        "first_time": iso_time(min(row.first_time_ns for row in rows)),
        "time": iso_time(max(row.time_ns for row in rows)),
        "acknowledged": all(row.acknowledged_ns is not None for row in rows),
        "message": worst.message,
        "ids": [row.alarm_id for row in rows],
    }
