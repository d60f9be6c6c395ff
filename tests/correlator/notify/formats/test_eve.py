"""Notices as EVE alerts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corr_flows import T0, flow
from notices import notice

from common.communityid import community_id
from correlator.detect.alarm import Severity
from correlator.notify.formats.eve import eve_line, eve_time
from correlator.notify.formats.notice import Notice


def read(told: Notice) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(eve_line(told))
    return found


def test_an_alert_has_the_fields_that_readers_of_eve_look_for() -> None:
    record = flow(7, app_out="tls")
    event = read(notice()._replace(flow=record))
    assert list(event)[:2] == ["timestamp", "event_type"]
    assert {name: event[name] for name in ("event_type", "src_ip", "src_port", "dest_ip", "dest_port", "proto")} == {
        "event_type": "alert",
        "src_ip": "10.0.0.1",
        "src_port": 40000,
        "dest_ip": "192.0.2.1",
        "dest_port": 443,
        "proto": "TCP",
    }
    assert (event["flow_id"], event["community_id"], event["app_proto"]) == (7, community_id(record), "tls")
    assert event["flow"]["pkts_toserver"] == 5
    assert event["flow"]["bytes_toclient"] == 900
    assert event["alert"]["action"] == "allowed"
    assert event["alert"]["signature"] == "tunnelwatch channel-threshold channel-bytes"
    assert event["tunnelwatch"]["evidence"][0]["threshold"] == 1000


def test_without_its_flow_an_alert_has_what_the_alarm_knows() -> None:
    event = read(notice())
    assert (event["src_ip"], event["dest_ip"], event["dest_port"]) == ("10.0.0.1", "192.0.2.1", 443)
    assert not {"src_port", "proto", "community_id", "flow", "flow_id"} & event.keys()
    sensor = read(notice(client=None, server=None, sensor="tap", kind="sensor"))
    assert not {"src_ip", "dest_ip"} & sensor.keys()


@pytest.mark.parametrize(("severity", "number"), [("critical", 1), ("high", 1), ("medium", 2), ("low", 3)])
def test_severities_count_from_one_the_most_severe(severity: str, number: int) -> None:
    assert read(notice(severity=Severity(severity)))["alert"]["severity"] == number


def test_a_kind_keeps_its_number() -> None:
    numbers = [read(notice(n, kind=kind))["alert"]["signature_id"] for n, kind in enumerate(("a", "b", "a"))]
    assert numbers[0] == numbers[2] != numbers[1]
    assert all(3_900_000_000 <= number < 1 << 32 for number in numbers)


def test_times_are_as_suricata_writes_them() -> None:
    assert eve_time(T0 + 1_234_567) == "2023-11-14T22:13:20.001234+0000"
    assert eve_time(0) == "1970-01-01T00:00:00.000000+0000"
