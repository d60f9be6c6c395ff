"""Notices as Suricata's EVE has alerts, so that tools which read eve.json take them.

The layout is that of Suricata's documentation ("Eve JSON Format": common section, event type alert, event type flow);
``tunnelwatch`` beside it holds the alarm itself.
"""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

from common.addresses import address_text, parse_endpoint
from common.communityid import community_id
from common.records import FlowRecord
from common.textrecords import protocol_name
from common.timespan import NS_PER_S, iso_time
from correlator.detect.alarm import Severity
from correlator.notify.formats.notice import Notice, json_line

_SEVERITIES: Final = {Severity.CRITICAL: 1, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}
"""Suricata counts from 1, the most severe."""
# Numbers of signatures that no rule set assigns: its own are below this, and a rule keeps its number here.
_FIRST_SIGNATURE: Final = 3_900_000_000
_SIGNATURES: Final = 100_000_000
_CATEGORY: Final = "Covert channel or tunnel"


def eve_line(notice: Notice) -> bytes:
    """Return a notice as a line of EVE JSON."""
    alarm = notice.alarm
    name = f"{alarm['kind']} {alarm['evidence'][0]['symptom']}" if alarm["evidence"] else str(alarm["kind"])
    event: dict[str, Any] = {"timestamp": eve_time(notice.time_ns), "event_type": "alert"}
    event |= _ends(notice)
    event["alert"] = {
        "action": "allowed",
        "gid": 1,
        "signature_id": _FIRST_SIGNATURE + crc32(str(alarm["kind"]).encode()) % _SIGNATURES,
        "rev": 1,
        "signature": f"tunnelwatch {name}",
        "category": _CATEGORY,
        "severity": _SEVERITIES[notice.severity],
    }
    if notice.flow is not None:
        event["flow"] = _flow(notice.flow)
        event["app_proto"] = notice.flow.app_out or "failed"
    event["tunnelwatch"] = {**alarm, "event": notice.event}
    return json_line(event)


def eve_time(time_ns: int) -> str:
    """Return a time as EVE writes it: ``2026-11-22T02:31:07.000000+0000``."""
    micros = time_ns % NS_PER_S // 1000
    return f"{iso_time(time_ns // NS_PER_S * NS_PER_S)[:-1]}.{micros:06d}+0000"


def _ends(notice: Notice) -> dict[str, Any]:
    """Return who talked to whom, as far as that is known."""
    flow, alarm = notice.flow, notice.alarm
    if flow is not None:
        return {
            "flow_id": flow.flow_id,
            "src_ip": address_text(flow.client_ip),
            "src_port": flow.client_port,
            "dest_ip": address_text(flow.server_ip),
            "dest_port": flow.server_port,
            "proto": protocol_name(flow.protocol).upper(),
            "community_id": community_id(flow),
        }
    found: dict[str, Any] = {}
    if alarm["client"] is not None:
        found["src_ip"] = alarm["client"]
    if alarm["server"] is not None:
        found["dest_ip"], port = parse_endpoint(alarm["server"])
        if port is not None:
            found["dest_port"] = port
    return found


def _flow(flow: FlowRecord) -> dict[str, Any]:
    return {
        "pkts_toserver": flow.packets_out,
        "pkts_toclient": flow.packets_in,
        "bytes_toserver": flow.wire_bytes_out,
        "bytes_toclient": flow.wire_bytes_in,
        "start": eve_time(flow.flow_start_ns),
        "end": eve_time(flow.end_ns),
        "age": (flow.end_ns - flow.flow_start_ns) // NS_PER_S,
        "state": "new" if flow.end_reason is None else "closed",
    }
