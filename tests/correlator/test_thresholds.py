"""Static thresholds: what raises an alarm, what it says, and that a repeat is the same alarm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log, parts

from common.records import FlowRecord


def alarms(
    cli: Cli, tmp_path: Path, config: str, *frames: Sequence[FlowRecord], option: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    settings = tmp_path / "c.toml"
    settings.write_text(config)
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch(records, number) for number, records in enumerate(frames, 1)]))
    cli.imported("--config", settings, log)
    found: list[dict[str, Any]] = cli.json("alarms", *option)
    return found


QUIET = """
[thresholds.channel_period]
bytes = 0
packets = 0
[thresholds.flow]
bytes = 0
packets = 0
duration_s = 0
"""


def test_an_ended_flow_that_lasted_names_pair_value_and_limit(cli: Cli, tmp_path: Path) -> None:
    long = flow(1, client_ip="10.1.1.46", client_port=51234, server_ip="10.1.1.1", server_port=3128, length_s=312)
    (alarm,) = alarms(cli, tmp_path, "[thresholds.flow]\nduration_s = 300\n", [long])
    assert alarm["message"] == "10.1.1.46:51234 -> 10.1.1.1:3128: flow has lasted 312 s, limit 300 s"
    assert {name: alarm[name] for name in ("kind", "severity", "client", "server", "host", "probability", "flows")} == {
        "kind": "flow-threshold",
        "severity": "low",
        "client": "10.1.1.46",
        "server": "10.1.1.1:3128",
        "host": None,
        "probability": None,
        "flows": ["1"],
    }
    (evidence,) = alarm["evidence"]
    assert (evidence["value"], evidence["threshold"], evidence["log10_lr"]) == (312, 300, None)
    assert set(evidence) == {"symptom", "family", "log10_lr", "value", "threshold", "explanation"}


def test_an_open_flow_is_measured_over_all_its_parts(cli: Cli, tmp_path: Path) -> None:
    limits = "[thresholds.flow]\nbytes = 3000\npackets = 0\nduration_s = 0\n"
    (alarm,) = alarms(cli, tmp_path, limits, *[[part] for part in parts(1, [60, 60, 60], closed=False)])
    assert "flow has moved 3720 bytes, limit 3000 bytes (still open)" in alarm["message"]
    assert alarm["seen_count"] == 1


def test_a_repeat_updates_the_alarm(cli: Cli, tmp_path: Path) -> None:
    found = alarms(
        cli,
        tmp_path,
        "[thresholds.flow]\nduration_s = 100\n",
        *[[part] for part in parts(1, [90, 90, 90, 90])],
    )
    (alarm,) = found
    assert "flow has lasted 360 s" in alarm["message"]
    assert "(still open)" not in alarm["message"]


def test_parts_that_come_in_one_frame_give_one_sight(cli: Cli, tmp_path: Path) -> None:
    (alarm,) = alarms(cli, tmp_path, "[thresholds.flow]\nduration_s = 100\n", parts(1, [90, 90, 90, 90]))
    assert (alarm["seen_count"], alarm["evidence"][0]["value"]) == (1, 360)


def test_a_channel_is_measured_per_period(cli: Cli, tmp_path: Path) -> None:
    limits = "[thresholds.channel_period]\nbytes = 3000\nseverity = 'high'\n"
    same_hour = [flow(number, start_s=number) for number in range(3)]
    next_hour = [flow(10, start_s=7200)]
    (alarm,) = alarms(cli, tmp_path, limits, same_hour, next_hour)
    assert alarm["kind"] == "channel-threshold"
    assert alarm["severity"] == "high"
    assert alarm["message"] == (
        "10.0.0.1 -> 192.0.2.1:443: 3720 bytes in the 3600 s from 2023-11-14T22:00:00Z, limit 3000 bytes"
    )
    assert alarm["flows"] == ["0", "1", "2"]


def test_channel_packets_and_tcp_uptime_have_their_rules(cli: Cli, tmp_path: Path) -> None:
    limits = "[thresholds.channel_period]\nbytes = 0\npackets = 20\ntcp_uptime_s = 25\n"
    found = alarms(cli, tmp_path, limits, [flow(number, start_s=number) for number in range(3)])
    assert {item["evidence"][0]["symptom"] for item in found} == {"channel-packets", "channel-tcp-uptime"}


def test_the_flows_of_an_alarm_are_bounded(cli: Cli, tmp_path: Path) -> None:
    limits = "[thresholds.channel_period]\nbytes = 1\n"
    (alarm,) = alarms(cli, tmp_path, limits, *[[flow(n * 100 + k) for k in range(15)] for n in range(3)])
    assert len(alarm["flows"]) == 20


def test_zero_turns_every_rule_off(cli: Cli, tmp_path: Path) -> None:
    assert alarms(cli, tmp_path, QUIET, [flow(1, length_s=10**6, payload_bytes_out=10**12, packets_in=10**9)]) == []


def test_a_value_at_the_limit_is_within_it(cli: Cli, tmp_path: Path) -> None:
    assert alarms(cli, tmp_path, QUIET.replace("duration_s = 0", "duration_s = 10"), [flow(1, length_s=10)]) == []


@pytest.mark.parametrize(("severity", "fail_on", "code"), [("low", "low", 3), ("low", "medium", 0), ("high", "low", 3)])
def test_fail_on_gives_three(cli: Cli, tmp_path: Path, severity: str, fail_on: str, code: int) -> None:
    alarms(cli, tmp_path, f"[thresholds.flow]\nduration_s = 5\nseverity = '{severity}'\n", [flow(1)])
    assert cli("alarms", "--fail-on", fail_on).code == code
    assert cli("alarms", "list", "--fail-on", fail_on).code == code


def test_an_acknowledged_alarm_does_not_fail(cli: Cli, tmp_path: Path) -> None:
    (alarm,) = alarms(cli, tmp_path, "[thresholds.flow]\nduration_s = 5\n", [flow(1)])
    assert cli("alarms", "ack", alarm["id"][:5]).code == 0
    assert cli("alarms", "--fail-on", "low").code == 0
    assert cli.json("alarms", "--new") == []
    assert cli.json("alarms", "show", alarm["id"])["acknowledged"] is not None
    assert "no alarm has an id that begins with 'zz'" in cli("alarms", "show", "zz").err


def test_alarms_are_chosen_by_time_client_and_server(cli: Cli, tmp_path: Path) -> None:
    limits = "[thresholds.flow]\nduration_s = 5\n"
    found = alarms(cli, tmp_path, limits, [flow(1), flow(2, client_ip="10.0.0.2", start_s=86400)])
    assert len(found) == 2
    assert [item["client"] for item in cli.json("alarms", "--since", "2023-11-15")] == ["10.0.0.2"]
    assert [item["client"] for item in cli.json("alarms", "--client", "10.0.0.1")] == ["10.0.0.1"]
    assert len(cli.json("alarms", "--server", "192.0.2.1")) == 2
    assert cli.json("alarms", "--server", "192.0.2.1:80") == []
    assert "flow has lasted" in cli("alarms", "show", found[0]["id"]).out


def test_importing_again_raises_nothing_new(cli: Cli, tmp_path: Path) -> None:
    limits = "[thresholds.flow]\nduration_s = 5\n[thresholds.channel_period]\nbytes = 1\n"
    first = alarms(cli, tmp_path, limits, [flow(1)])
    assert alarms(cli, tmp_path, limits, [flow(1)]) == first
