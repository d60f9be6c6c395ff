"""The sensor's settings: one frozen section per component, every default here and nowhere else."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Annotated, Literal

import msgspec

from common.errors import UserError
from common.link import is_local

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]


class CaptureConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How interfaces are listened to."""

    promiscuous: bool = True
    snap_length_bytes: Annotated[int, msgspec.Meta(ge=96, le=262_144)] = 262_144
    buffer_bytes: Annotated[int, msgspec.Meta(ge=65_536, le=2**31 - 1)] = 16 << 20


class FlowConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When flows are cut and end, and how many are kept."""

    active_timeout_s: Seconds = 60
    tcp_timeout_s: PositiveSeconds = 7200
    tcp_unestablished_timeout_s: PositiveSeconds = 60
    tcp_attempt_timeout_s: Seconds = 0
    udp_timeout_s: PositiveSeconds = 120
    icmp_timeout_s: PositiveSeconds = 60
    max_flows: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 1_000_000
    memory_bytes: Annotated[int, msgspec.Meta(ge=8 << 20, le=2**50)] = 1 << 30
    vlan_in_key: bool = True
    home: tuple[str, ...] = ()


class InspectConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and how far it is told what connections carry."""

    enabled: bool = True
    memory_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=2**50)] = 64 << 20


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Whether HTTP exchanges are recorded, and how much of their URIs is kept."""

    exchanges: bool = True
    uri_bytes: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 16_384


class AlarmConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one flow that raise an alarm on the sensor; 0 switches one off."""

    bytes: Count = 0
    duration_s: Seconds = 0
    packets: Count = 0


class StatisticsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The sensor's account of itself."""

    interval_s: Seconds = 3600


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Counters for Prometheus."""

    bind: str = ""


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How records become frames of the flow log, and what text adds to them."""

    batch_records: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 500
    flush_s: PositiveSeconds = 1
    community_id: bool = False
    community_id_seed: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)] = 0


class ShipConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The link to the correlator and the spool that backs it."""

    endpoint: str = ""
    spool: str = ""
    plaintext: bool = False
    key: str = ""
    correlator_key: str = ""
    window_frames: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    window_bytes: Annotated[int, msgspec.Meta(ge=1 << 16, le=2**40)] = 8 << 20
    resend_s: PositiveSeconds = 5
    resend_max_s: PositiveSeconds = 60
    give_up_s: PositiveSeconds = 30
    heartbeat_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    spool_max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=2**62)] = 512 << 20
    spool_max_age_s: Seconds = 0
    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 16, le=1 << 26)] = 8 << 20
    fsync: Literal["batch", "interval", "never"] = "interval"
    fsync_interval_s: PositiveSeconds = 1


class SensorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All of the sensor's settings."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = msgspec.field(default_factory=socket.gethostname)
    capture: CaptureConfig = CaptureConfig()
    flow: FlowConfig = FlowConfig()
    inspect: InspectConfig = InspectConfig()
    http: HttpConfig = HttpConfig()
    alarm: AlarmConfig = AlarmConfig()
    statistics: StatisticsConfig = StatisticsConfig()
    log: LogConfig = LogConfig()
    ship: ShipConfig = ShipConfig()
    metrics: MetricsConfig = MetricsConfig()


def check_config(config: SensorConfig) -> None:
    """Check what the types cannot say, with nothing opened yet; UserError in one line."""
    if not config.name.isprintable():
        raise UserError(f"a sensor's name is printable text, not {config.name!r}; give another with --sensor")
    home_networks(config.flow)
    if config.ship.endpoint:
        check_link(config.ship)


def home_networks(flow: FlowConfig) -> list[tuple[bytes, int]]:
    """Return (packed address, prefix length) of the networks that are the user's own."""
    networks = []
    for text in flow.home:
        try:
            network = ip_network(text, strict=False)
        except ValueError as error:
            raise UserError(f"bad home network: {error}; write 10.0.0.0/8 or fd00::/8") from None
        networks.append((network.network_address.packed, network.prefixlen))
    return networks


def check_link(ship: ShipConfig) -> None:
    """Refuse a link that would carry records over a network as plain text, or to a correlator without a key."""
    if not ship.plaintext:
        if not ship.correlator_key:
            raise UserError(
                f"no public key of the correlator at {ship.endpoint}; 'tunnelwatch keygen' prints it there, "
                "give it with --correlator-key (no keys on this host alone: --plaintext)"
            )
        return
    if not is_local(ship.endpoint):
        raise UserError(
            f"a plaintext link to {ship.endpoint} would leave this host; use tcp://127.0.0.1:PORT or ipc://PATH"
        )
