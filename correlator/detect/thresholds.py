"""Static thresholds: limits from the configuration for flows, and for channels per period."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from common.addresses import address_text, endpoint_text
from common.records import SensorAlarm
from common.timespan import NS_PER_S, iso_time, seconds
from correlator.config import ChannelThresholds, FlowThresholds
from correlator.detect.alarm import MAX_FLOWS, Alarm, Evidence, Severity

_NOUNS: Final = {"bytes": "bytes", "packets": "packets", "duration": "s", "tcp-uptime": "s"}


class FlowTotals(NamedTuple):
    """One flow so far."""

    sensor: str
    flow_id: int
    client: str
    client_port: int
    server: str
    server_port: int
    bytes: int
    packets: int
    duration_ns: int
    end_ns: int
    open: bool
    host: str | None = None


class ChannelTotals(NamedTuple):
    """One channel in one period so far."""

    period_start_ns: int
    client: str
    server: str
    server_port: int
    protocol: int
    bytes: int
    packets: int
    tcp_uptime_ns: int
    last_ns: int
    flows: tuple[str, ...]
    """Some of its flows; the latest known."""


def flow_alarms(limits: FlowThresholds, flow: FlowTotals) -> Iterator[Alarm]:
    """Yield an alarm for every limit that the flow is over."""
    client = endpoint_text(flow.client, flow.client_port)
    server = endpoint_text(flow.server, flow.server_port)
    state = " (still open)" if flow.open else ""
    measured = (
        ("bytes", flow.bytes, limits.bytes, f"flow has moved {flow.bytes} bytes, limit {limits.bytes} bytes"),
        ("packets", flow.packets, limits.packets, f"flow has {flow.packets} packets, limit {limits.packets} packets"),
        (
            "duration",
            seconds(flow.duration_ns),
            limits.duration_s,
            f"flow has lasted {_short(flow.duration_ns)} s, limit {limits.duration_s} s",
        ),
    )
    for rule, value, limit, fact in measured:
        if limit and value > limit:
            yield Alarm(
                kind="flow-threshold",
                rule=rule,
                subject=f"{flow.sensor}|{flow.flow_id}",
                period_ns=None,
                severity=limits.severity,
                time_ns=flow.end_ns,
                sensor=flow.sensor,
                client=flow.client,
                server=server,
                host=flow.host,
                probability=None,
                message=f"{client} -> {server}: {fact}{state}",
                evidence=(_evidence(f"flow-{rule}", rule, value, limit, "one flow"),),
                flows=(str(flow.flow_id),),
            )


def channel_alarms(limits: ChannelThresholds, channel: ChannelTotals, period_ns: int) -> Iterator[Alarm]:
    """Yield an alarm for every limit that the channel is over in the period."""
    server = endpoint_text(channel.server, channel.server_port)
    span = f"in the {period_ns // NS_PER_S} s from {iso_time(channel.period_start_ns)}"
    measured = (
        ("bytes", channel.bytes, limits.bytes, f"{channel.bytes} bytes"),
        ("packets", channel.packets, limits.packets, f"{channel.packets} packets"),
        (
            "tcp-uptime",
            seconds(channel.tcp_uptime_ns),
            limits.tcp_uptime_s,
            f"{_short(channel.tcp_uptime_ns)} s of TCP uptime",
        ),
    )
    for rule, value, limit, fact in measured:
        if limit and value > limit:
            yield Alarm(
                kind="channel-threshold",
                rule=rule,
                subject=f"{channel.protocol}|{channel.client}|{server}",
                period_ns=channel.period_start_ns,
                severity=limits.severity,
                time_ns=channel.last_ns,
                sensor=None,
                client=channel.client,
                server=server,
                host=None,
                probability=None,
                message=f"{channel.client} -> {server}: {fact} {span}, limit {limit} {_NOUNS[rule]}",
                evidence=(_evidence(f"channel-{rule}", rule, value, limit, f"one channel {span}"),),
                flows=channel.flows[:MAX_FLOWS],
            )


def sensor_alarm(raised: SensorAlarm, sensor: str, severity: Severity) -> Alarm:
    """Return the alarm that a sensor raised by its own limits."""
    client_ip, server_ip = address_text(raised.client_ip), address_text(raised.server_ip)
    server = endpoint_text(server_ip, raised.server_port)
    is_time = raised.rule == "duration"
    value = seconds(raised.value) if is_time else raised.value
    limit = seconds(raised.limit) if is_time else raised.limit
    unit = "s" if is_time else raised.rule
    return Alarm(
        kind="sensor-threshold",
        rule=raised.rule,
        subject=f"{sensor}|{raised.flow_id}",
        period_ns=None,
        severity=severity,
        time_ns=raised.time_ns,
        sensor=sensor,
        client=client_ip,
        server=server,
        host=None,
        probability=None,
        message=(
            f"{endpoint_text(client_ip, raised.client_port)} -> {server}: sensor {sensor} saw {value} {unit}, "
            f"limit {limit} {unit} (packets out {raised.packets_out} in {raised.packets_in}, "
            f"bytes out {raised.payload_bytes_out} in {raised.payload_bytes_in}, {_short(raised.duration_ns)} s)"
        ),
        evidence=(_evidence(f"sensor-{raised.rule}", raised.rule, value, limit, "one flow, as the sensor saw it"),),
        flows=(str(raised.flow_id),),
    )


def _evidence(symptom: str, rule: str, value: float, limit: float, scope: str) -> Evidence:
    family = "time" if rule in ("duration", "tcp-uptime") else "volume"
    unit = _NOUNS.get(rule, "")
    explanation = f"{value} {unit} in {scope} is over the limit of {limit} {unit}"
    return Evidence(symptom, family, None, value, limit, explanation)


def _short(duration_ns: int) -> str:
    """Return seconds as an operator reads them: 312, or 0.25."""
    value = duration_ns / NS_PER_S
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"
