"""The rows that the store gives to the views, and the selection that the views ask it with."""

from __future__ import annotations

from typing import NamedTuple

from common.records import SensorStats
from correlator.detect.sensors import Account
from correlator.views.figures import Figures


class Selection(NamedTuple):
    """Which records a question is about; None means all."""

    since_ns: int | None = None
    until_ns: int | None = None
    client: str | None = None
    """An address, or a network in CIDR."""
    server: str | None = None
    """An address, or a network in CIDR."""
    server_port: int | None = None
    server_ports: tuple[int, int] | None = None
    """The first and the last of a range of ports."""
    host: str | None = None
    """A name in lower case, or ``*.example.com`` for all names below one."""
    protocol: int | None = 6
    wire: bool = False
    """Count IP bytes and not payload bytes."""


class ChannelRow(NamedTuple):
    """One channel's figures in the selection."""

    channel_id: int
    client: str
    server: str
    server_port: int
    protocol: int
    figures: Figures


class ClientRow(NamedTuple):
    """One client's figures in the selection, and how many services it used."""

    client: str
    services: int
    figures: Figures


class ServiceRow(NamedTuple):
    """One service's figures in the selection, and how many clients it had."""

    server: str
    server_port: int
    protocol: int
    clients: int
    figures: Figures


class Overall(NamedTuple):
    """What a selection amounts to; no figures when nothing is in it."""

    clients: int
    services: int
    channels: int
    figures: Figures | None


class FlowFigures(NamedTuple):
    """One flow's figures in the selection, its parts merged."""

    sensor: str
    flow_id: int
    client: str
    client_port: int
    server: str
    server_port: int
    protocol: int
    open: bool
    figures: Figures


class BucketRow(NamedTuple):
    """One period's or minute's figures in the selection."""

    start_ns: int
    clients: int
    services: int
    figures: Figures


class HostRow(NamedTuple):
    """The figures of all flows in which clients asked for one host name."""

    host: str
    clients: int
    services: int
    figures: Figures


class HostChannelRow(NamedTuple):
    """One channel's by name: the figures of all flows in which a client asked for a host name."""

    client: str
    host: str
    services: int
    figures: Figures


class SensorRow(NamedTuple):
    """What is known of one sensor."""

    sensor: str
    version: str | None
    source: str | None
    first_contact_ns: int
    last_contact_ns: int
    link_contact_ns: int | None
    """None for names that files were imported under."""
    retired_ns: int | None
    records_stored: int
    records_duplicate: int
    records_refused: int
    frames_refused: int
    frames_duplicate: int
    frames_missing: int
    runs: int
    stats: SensorStats | None
    account: Account | None


class AlarmRow(NamedTuple):
    """One alarm as it is stored."""

    alarm_id: str
    kind: str
    rule: str
    severity: str
    first_time_ns: int
    time_ns: int
    seen_count: int
    sensor: str | None
    client: str | None
    server: str | None
    host: str | None
    probability: float | None
    message: str
    evidence: str
    flows: str
    acknowledged_ns: int | None
